// What memory a model takes, before it is loaded.
#pragma once

#include <cstdint>
#include <string>

#include "engine/api/model.h"

namespace lm {

struct MemoryPlan {
  int64_t weights = 0;   // packed
  int64_t kv_cache = 0;  // keys and values of `batch` texts of `context` tokens
  int64_t state = 0;     // states of recurrent layers, of all texts
  int64_t scratch = 0;   // of the forward pass
  int64_t logits = 0;    // and what sampling copies of them
  int64_t program = 0;   // the program itself, with tokenizer and template
  int64_t total = 0;     // of all
  int64_t context = 0, batch = 0;
  int64_t kv_bytes_per_token = 0;
  int64_t free_bytes = 0;  // of the machine
};

// context: 0 for the model's own length. Reads the file's header and small tensors. Throws as
// Model::load, bad_option for a context beyond the model's or a batch below 1.
MemoryPlan plan_memory(const std::string& path, const LoadOptions& options, int64_t context,
                       int64_t batch);

}  // namespace lm
