// Converts models between file formats and weight types.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace lm {

struct ConvertOptions {
  std::string from;  // what Model::load takes
  std::string to;    // "name.gguf", or a folder for Hugging Face's layout
  std::string type;  // file type ("q4_k_m", "bf16", ...); empty: the weights as they are
  uint64_t max_file_bytes =
      0;                   // larger models become several files; 0: GGUF one file, safetensors 5 GB
  bool overwrite = false;  // replace what is at `to`
  std::vector<std::pair<std::string, double>> adapters;  // merged in: path and scale
  std::function<void(double)> progress;                  // 0..1; may be empty
};

struct ConvertResult {
  std::string format;                                  // "gguf" or "safetensors"
  std::vector<std::string> files;                      // written, weights first
  int64_t file_bytes = 0;                              // of those files
  std::vector<std::pair<std::string, int64_t>> types;  // weight type -> number of tensors
};

// Throws not_found, io, bad_file, bad_option (unknown type, something at `to` already), unsupported
// (an architecture or tokenizer that the other format cannot hold), interrupted. Files appear whole
// or not at all.
ConvertResult convert_model(const ConvertOptions& options);
// Names that `type` takes.
std::vector<const char*> convert_types();

}  // namespace lm
