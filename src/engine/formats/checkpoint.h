// Named tensors of one model on disk, whatever the format: the common face of GGUF, safetensors and
// llama2.c files.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/core/mapped_file.h"
#include "engine/core/tensor_view.h"

namespace lm {

struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
};
using TensorMap = std::unordered_map<std::string, TensorView, StringHash, std::equal_to<>>;

struct TensorFile {
  TensorMap tensors;                               // names as the file spells them
  std::vector<std::shared_ptr<MappedFile>> files;  // the bytes behind the views
};

// The weights of a Hugging Face model. path: a folder with model.safetensors, pytorch_model.bin or
// the index of their shards (safetensors first), or one file of either kind. Throws not_found, io,
// bad_file, unsupported.
TensorFile open_checkpoint(const std::string& path);

// A .safetensors file in memory that the caller keeps alive. Checks the header against the bytes:
// lengths, dtypes, shapes, overlapping or missing bytes. Source: huggingface/safetensors README,
// "Format".
TensorMap parse_safetensors(std::span<const std::byte> bytes, const std::string& name);
// The format's name of a type ("BF16"); nullptr when it has none.
const char* safetensors_dtype_name(DType dtype);

// A PyTorch zip checkpoint (.pt, .pth, .bin; torch.save since 1.6) in memory that the caller keeps
// alive. The pickle inside is read, never executed: only what tensors and plain containers need is
// understood, everything else is refused by name. Tensors in nested containers get names joined by
// dots; other values are left out. Source: torch/serialization.py, torch/_utils.py.
TensorMap parse_torch(std::span<const std::byte> bytes, const std::string& name);
bool looks_like_zip(std::span<const std::byte> bytes);

// What a llama2.c file says about its model.
struct Llama2cHeader {
  int dim = 0, hidden_dim = 0, n_layers = 0, n_heads = 0, n_kv_heads = 0, vocab_size = 0,
      seq_len = 0;
  bool shared_classifier = true;
};
// A llama2.c checkpoint: legacy version 0 or version 1 (magic "ak42"), f32. Tensors get GGUF's
// names. Source: karpathy/llama2.c export.py.
TensorFile open_llama2c(const std::string& path, Llama2cHeader* header);
bool looks_like_llama2c(std::span<const std::byte> bytes);
TensorMap parse_llama2c(std::span<const std::byte> bytes, const std::string& name,
                        Llama2cHeader* header);

// A file of rwkv.cpp (magic "ggmf") in memory that the caller keeps alive. Names are those of
// RWKV's author ("blocks.0.att.key.weight"); decays are stored ready for use and low-rank factors
// as [out, in], which is how GGUF has them too. Throws bad_file, unsupported.
TensorMap parse_rwkv_file(std::span<const std::byte> bytes, const std::string& name);
bool looks_like_rwkv_file(std::span<const std::byte> bytes);

}  // namespace lm
