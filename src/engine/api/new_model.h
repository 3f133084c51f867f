// Models to be trained from nothing, and models with room for more tokens: Hugging Face folders
// that lm.train then works on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lm {

// Sizes of a decoder, under the names of engine/formats/model_config.h.
struct ModelShape {
  std::string architecture = "llama";  // new_model_architectures()
  int64_t hidden_size = 0, n_layers = 0, n_heads = 0;
  int64_t n_kv_heads = 0;  // 0: n_heads
  int64_t head_dim = 0;    // 0: hidden_size / n_heads
  int64_t ffn_size = 0;
  int64_t context_length = 0;
  double rope_theta = 10000.0;
  bool tie_embeddings = true;  // the output matrix is the embedding
};

struct NewModelOptions {
  ModelShape shape;
  // A tokenizer.json (with what its folder says about special tokens), a folder or a .gguf file.
  std::string tokenizer;
  // Instead of both: what Model::load takes; the new model has its shape and tokenizer.
  std::string like;
  uint64_t seed = 42;
  std::string folder;  // to write, made if it is not there
};

struct NewModelResult {
  int64_t n_parameters = 0, vocab_size = 0;
};

// Writes config.json, f32 weights and tokenizer files. Weights are drawn as GPT-2's were (Radford
// et al. 2019): N(0, 0.02), those that write to the residual stream N(0, 0.02 / sqrt(2 layers));
// biases are 0, norms 1. Throws bad_option for sizes that do not fit together and for a tokenizer
// without an end-of-text token, unsupported, not_found, io.
NewModelResult write_new_model(const NewModelOptions& options);
std::vector<const char*> new_model_architectures();

// Writes the model of `from` (what Model::load takes) to `folder` as a Hugging Face folder whose
// tokenizer has these tokens too. Each new row of the embedding, and of an output matrix, is the
// mean of the old ones (Hewitt 2021). Tokens that exist are left as they are; returns how many are
// new. Throws unsupported for models without a tokenizer.json, and what convert_model throws.
int64_t write_with_new_tokens(const std::string& from, const std::vector<std::string>& tokens,
                              const std::string& folder);

}  // namespace lm
