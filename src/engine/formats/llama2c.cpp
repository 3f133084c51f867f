#include <fmt/format.h>

#include <cstring>
#include <limits>

#include "engine/core/error.h"
#include "engine/formats/checkpoint.h"

namespace lm {
namespace {

constexpr uint32_t kMagic = 0x616b3432;  // "ak42"
constexpr size_t kHeaderV1 = 256;

int32_t i32_at(std::span<const std::byte> bytes, size_t offset) {
  int32_t v;
  std::memcpy(&v, bytes.data() + offset, 4);
  return v;
}

// Hands out consecutive f32 tensors of the file.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, size_t offset, const std::string& name, TensorMap* out)
      : bytes_(bytes), offset_(offset), name_(name), out_(out) {}
  void take(const std::string& tensor, Shape shape) {
    TensorView view{bytes_.data() + offset_, DType::f32, std::move(shape)};
    skip(static_cast<uint64_t>(view.numel()) * 4, tensor);
    out_->emplace(tensor, std::move(view));
  }
  // n_layers matrices in a row; `pattern` has one {} for the layer.
  void take_layers(const char* pattern, int n_layers, const Shape& shape) {
    for (int i = 0; i < n_layers; ++i) take(fmt::format(fmt::runtime(pattern), i), shape);
  }
  void skip(uint64_t bytes, const std::string& what) {
    LM_CHECK(
        bytes <= bytes_.size() - offset_, ErrorCode::bad_file,
        "{}: {} needs {} bytes at {}; the file has {}: it is truncated or no llama2.c checkpoint",
        name_, what, bytes, offset_, bytes_.size());
    offset_ += static_cast<size_t>(bytes);
  }
  size_t left() const { return bytes_.size() - offset_; }

 private:
  std::span<const std::byte> bytes_;
  size_t offset_;
  const std::string& name_;
  TensorMap* out_;
};

bool plausible(const Llama2cHeader& h) {
  const auto in = [](int v, int hi) { return v >= 1 && v <= hi; };
  return in(h.dim, 1 << 20) && in(h.hidden_dim, 1 << 22) && in(h.n_layers, 4096) &&
         in(h.n_heads, 4096) && in(h.n_kv_heads, h.n_heads) && in(h.vocab_size, 1 << 24) &&
         in(h.seq_len, 1 << 24) && h.dim % h.n_heads == 0 && h.n_heads % h.n_kv_heads == 0;
}

Llama2cHeader read_header(std::span<const std::byte> b, size_t at) {
  Llama2cHeader h{i32_at(b, at),      i32_at(b, at + 4),  i32_at(b, at + 8),  i32_at(b, at + 12),
                  i32_at(b, at + 16), i32_at(b, at + 20), i32_at(b, at + 24), true};
  return h;
}

bool is_v1(std::span<const std::byte> bytes) {
  return bytes.size() >= kHeaderV1 && static_cast<uint32_t>(i32_at(bytes, 0)) == kMagic &&
         i32_at(bytes, 4) == 1;
}

// Both versions use f32; they differ in order. Version 0 has all norms of a kind beside the
// matrices, version 1 all norms first.
void read_v0(Cursor& c, const Llama2cHeader& h) {
  const int64_t dim = h.dim, ffn = h.hidden_dim, kv = dim / h.n_heads * h.n_kv_heads;
  c.take("token_embd.weight", {h.vocab_size, dim});
  c.take_layers("blk.{}.attn_norm.weight", h.n_layers, {dim});
  c.take_layers("blk.{}.attn_q.weight", h.n_layers, {dim, dim});
  c.take_layers("blk.{}.attn_k.weight", h.n_layers, {kv, dim});
  c.take_layers("blk.{}.attn_v.weight", h.n_layers, {kv, dim});
  c.take_layers("blk.{}.attn_output.weight", h.n_layers, {dim, dim});
  c.take_layers("blk.{}.ffn_norm.weight", h.n_layers, {dim});
  c.take_layers("blk.{}.ffn_gate.weight", h.n_layers, {ffn, dim});
  c.take_layers("blk.{}.ffn_down.weight", h.n_layers, {dim, ffn});
  c.take_layers("blk.{}.ffn_up.weight", h.n_layers, {ffn, dim});
  c.take("output_norm.weight", {dim});
  c.skip(static_cast<uint64_t>(h.seq_len) * static_cast<uint64_t>(dim / h.n_heads) * 4,
         "rotary tables");  // cos and sin, head_dim / 2 each
  if (!h.shared_classifier) c.take("output.weight", {h.vocab_size, dim});
}

void read_v1(Cursor& c, const Llama2cHeader& h) {
  const int64_t dim = h.dim, ffn = h.hidden_dim, kv = dim / h.n_heads * h.n_kv_heads;
  c.take_layers("blk.{}.attn_norm.weight", h.n_layers, {dim});
  c.take_layers("blk.{}.ffn_norm.weight", h.n_layers, {dim});
  c.take("output_norm.weight", {dim});
  c.take("token_embd.weight", {h.vocab_size, dim});
  c.take_layers("blk.{}.attn_q.weight", h.n_layers, {dim, dim});
  c.take_layers("blk.{}.attn_k.weight", h.n_layers, {kv, dim});
  c.take_layers("blk.{}.attn_v.weight", h.n_layers, {kv, dim});
  c.take_layers("blk.{}.attn_output.weight", h.n_layers, {dim, dim});
  c.take_layers("blk.{}.ffn_gate.weight", h.n_layers, {ffn, dim});
  c.take_layers("blk.{}.ffn_down.weight", h.n_layers, {dim, ffn});
  c.take_layers("blk.{}.ffn_up.weight", h.n_layers, {ffn, dim});
  if (!h.shared_classifier) c.take("output.weight", {h.vocab_size, dim});
}

// The smallest int32 has no opposite; it stays, and plausible() refuses it.
int32_t without_sign(int32_t size) {
  return size < 0 && size != std::numeric_limits<int32_t>::min() ? -size : size;
}

}  // namespace

bool looks_like_llama2c(std::span<const std::byte> bytes) {
  if (bytes.size() < 28) return false;
  if (is_v1(bytes)) return true;
  Llama2cHeader h = read_header(bytes, 0);
  h.vocab_size = without_sign(h.vocab_size);
  return plausible(h);
}

TensorMap parse_llama2c(std::span<const std::byte> bytes, const std::string& name,
                        Llama2cHeader* header) {
  LM_CHECK(looks_like_llama2c(bytes), ErrorCode::bad_file, "{}: not a llama2.c checkpoint", name);
  TensorMap tensors;
  Llama2cHeader h;
  if (is_v1(bytes)) {
    h = read_header(bytes, 8);
    h.shared_classifier = i32_at(bytes, 36) % 256 != 0;
  } else {
    h = read_header(bytes, 0);
    h.shared_classifier =
        h.vocab_size > 0;  // version 0 marks a separate classifier by a negative vocabulary size
    h.vocab_size = without_sign(h.vocab_size);
  }
  LM_CHECK(plausible(h), ErrorCode::bad_file,
           "{}: the header says dim {}, hidden_dim {}, {} layers, {} heads, {} kv heads, "
           "vocabulary {}, length {}",
           name, h.dim, h.hidden_dim, h.n_layers, h.n_heads, h.n_kv_heads, h.vocab_size, h.seq_len);
  Cursor cursor(bytes, is_v1(bytes) ? kHeaderV1 : 28, name, &tensors);
  is_v1(bytes) ? read_v1(cursor, h) : read_v0(cursor, h);
  LM_CHECK(cursor.left() == 0, ErrorCode::bad_file, "{}: {} bytes follow the last tensor", name,
           cursor.left());
  *header = h;
  return tensors;
}

TensorFile open_llama2c(const std::string& path, Llama2cHeader* header) {
  TensorFile out;
  out.files.push_back(std::make_shared<MappedFile>(path));
  out.tensors = parse_llama2c(out.files[0]->bytes(), path, header);
  return out;
}

}  // namespace lm
