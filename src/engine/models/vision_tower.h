// What ViT and SigLIP share: patches with learned positions, then blocks of LayerNorm, attention to
// all patches and a plain MLP.
#pragma once

#include <string>

#include "engine/models/arch.h"

namespace lm {

// Sizes from config.json. prefix: "" or the object that holds them, with its dot. Throws bad_file
// for missing or impossible ones.
struct VisionConfig {
  int64_t hidden_size = 0, n_layers = 0, n_heads = 0, head_dim = 0, ffn_size = 0;
  int64_t image_size = 0, patch_size = 0, n_channels = 0;
  double norm_eps = 0;
  std::string activation;
};
VisionConfig read_vision_config(const ConfigSource& source, const std::string& prefix,
                                double default_eps);

// From preprocessor_config.json, or from config.json itself when there is none. Throws bad_file,
// and unsupported for what is not done here (cropping, other sizes).
ImagePreprocessSpec read_preprocess(const ModelConfig& config, const ImageInputSpec& image,
                                    Resample default_filter);

// Tensors "v.patch_embd", "v.position_embd", "v.blk.<layer>.*", "v.post_ln" as llama.cpp's mmproj
// files call them; class token, projections' biases and final norm where the file has them.
ModelSpec describe_vision_tower(const VisionConfig& config, const TensorMap& tensors);

// Hugging Face's names in SigLIP and in models that have its tower inside.
std::vector<NameRule> siglip_names();

}  // namespace lm
