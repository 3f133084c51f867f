// The description that reads a model's images. Internal to infer.
#pragma once

#include "engine/models/model_spec.h"

namespace lm {

class Model;

// The model's own, or its vision tower's; its `image` has a value. Throws unsupported for models
// that read texts only.
const ModelSpec& image_spec(const Model& model);

}  // namespace lm
