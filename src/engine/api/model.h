// A loaded model: weights, tokenizer and chat template. Immutable and shared; any number of
// contexts can use it at once.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace lm {

class Tokenizer;
class ChatTemplate;
struct ModelSpec;
struct ModelWeights;
struct AdapterSet;

struct LoadOptions {
  // "high": compute in the file's own types (int8 dot products for quantized weights, f16 cache)
  // with 16-bit activations: no visible difference to "exact".
  // "fast": the same with 8-bit activations where they cost least: long prompts are read up to a
  // quarter faster, close decisions between tokens may fall otherwise.
  // "exact": dequantise everything and compute in f32, for exact comparisons; 4 bytes of memory per
  // weight.
  std::string precision = "high";
  // Keys and values unless exact: "f16", "bf16" (same size, wider range), "int8" (half of it, one
  // scale for each position and head) or "int4" (keys as int8, values in 4 bits: 0.42 of it).
  std::string kv_cache = "f16";
  // Tokens whose keys and values are held at most, of all texts together. 0: room for one text of
  // the model's length at least, for 16 where they take no more than an eighth of the memory.
  int64_t kv_cache_tokens = 0;
  // Keeps the weights in RAM, so that they are never swapped out. Throws out_of_memory where the
  // system's limit is lower.
  bool mlock = false;
  // Only to know the sizes: weights are laid out and counted but stay empty, and nothing can be
  // computed.
  bool measure = false;
  // Called with 0..1 while loading; may be empty.
  std::function<void(double)> progress;
};

struct ModelInfo {
  std::string name;  // from the file, or the file's own name
  std::string path;
  std::string architecture;  // "llama", ...
  std::string format;        // "gguf", "safetensors", "llama2c"
  std::string dtype;         // the type that holds most of the weights, e.g. "q4_1"
  std::string precision;     // "fast", "high" or "exact"
  std::string kv_cache;      // type of keys and values: "f32", "f16", "bf16", "int8", "int4"
  std::string tokenizer;     // kind, e.g. "bpe (byte level)"
  std::string warning;       // what the loader had to assume; empty: nothing
  int64_t n_params = 0, file_bytes = 0, memory_bytes = 0;
  int64_t n_layers = 0, hidden_size = 0, n_heads = 0, n_kv_heads = 0, head_dim = 0, ffn_size = 0,
          vocab_size = 0;
  int64_t context_length = 0;
  int64_t kv_bytes_per_token = 0;
  int64_t kv_cache_tokens = 0;  // as asked for
  bool has_chat_template = false;
};

class Model {
 public:
  // path: a .gguf file, a .safetensors file beside its config.json, a folder of either, or a
  // llama2.c .bin file. Throws not_found, io, bad_file, unsupported, out_of_memory, interrupted.
  static std::shared_ptr<const Model> load(const std::string& path,
                                           const LoadOptions& options = {});
  ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const ModelInfo& info() const { return info_; }
  const std::shared_ptr<const Tokenizer>& tokenizer() const { return tokenizer_; }
  const ChatTemplate* chat_template() const {
    return template_.get();
  }  // null when the model has none
  // Adapters (LoRA) work beside the weights; several add up. Every handle of the model sees the
  // change; contexts evaluate their tokens anew. path: see open_adapter in formats/adapter.h. name:
  // "" takes the folder's or file's. Throws as open_adapter does, bad_file for an adapter of
  // another base (with the shapes), bad_option for a name that is taken.
  void add_adapter(const std::string& path, const std::string& name, double scale) const;
  // Throws not_found naming those that are there.
  void remove_adapter(const std::string& name) const;
  std::shared_ptr<const AdapterSet> adapters() const;  // null when there are none

  // A place for what runs the model, which lives as long as it: made by `make` on first use.
  void* runtime(const std::function<std::shared_ptr<void>()>& make) const;

  const ModelSpec& spec() const { return *spec_; }
  const ModelWeights& weights() const { return *weights_; }

 private:
  Model();
  ModelInfo info_;
  std::unique_ptr<ModelSpec> spec_;
  std::unique_ptr<ModelWeights> weights_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::unique_ptr<ChatTemplate> template_;
  struct Base;  // what adapters are fitted to
  std::unique_ptr<const Base> base_;
  mutable std::mutex adapters_mutex_;
  mutable std::shared_ptr<const AdapterSet> adapters_;
  mutable std::mutex runtime_mutex_;
  mutable std::shared_ptr<void> runtime_;  // last: it reads the rest until it is gone
};

}  // namespace lm
