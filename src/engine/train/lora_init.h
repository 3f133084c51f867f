// First values of adapters, and adapters as files know them.
#pragma once

#include "engine/api/train.h"
#include "engine/formats/adapter.h"
#include "engine/models/open_model.h"
#include "engine/train/train_model.h"

namespace lm::train {

// A uniform in +-1/sqrt(in) (Kaiming with a = sqrt 5), B zero: PEFT's default. The numbers of a
// matrix depend on the seed and its name only.
void init_lora(TrainModel* model, uint64_t seed);

// Takes the values of an adapter of the same ranks. Throws bad_option where it does not fit.
void load_lora(TrainModel* model, const Adapter& adapter);

// The adapter as it is now, under GGUF's names.
Adapter lora_adapter(TrainModel* model);

}  // namespace lm::train
