// SigLIP's vision tower (Zhai et al. 2023, arXiv:2303.15343). Its attention pooling head is not
// read: the hidden states after the last norm are what other models use.
#include "engine/models/vision_tower.h"

namespace lm {
namespace {

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  VisionConfig v = read_vision_config(*c.source, "", 1e-6);
  if (v.activation.empty()) v.activation = "gelu_pytorch_tanh";
  ModelSpec spec = describe_vision_tower(v, tensors);
  spec.architecture = c.architecture;
  spec.image->preprocess = read_preprocess(c, *spec.image, Resample::bicubic);
  spec.pooling = Pooling::mean;
  return spec;
}

}  // namespace

extern const Arch kArch_siglip;
const Arch kArch_siglip = {"siglip",       {"siglip_vision_model"},  describe,
                           siglip_names(), "SigLIP (vision towers)", false};

}  // namespace lm
