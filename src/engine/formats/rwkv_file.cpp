// Files of rwkv.cpp: one header, then tensors one after the other. Source: RWKV/rwkv.cpp
// docs/FILE_FORMAT.md.
#include <cstring>

#include "engine/core/error.h"
#include "engine/formats/checkpoint.h"

namespace lm {
namespace {

constexpr uint32_t kMagic = 0x67676d66;  // "ggmf"

// The format's numbers of data types; its older quantised ones are gone from every tool.
bool type_of(int32_t number, DType* out) {
  switch (number) {
    case 0:
      *out = DType::f32;
      return true;
    case 1:
      *out = DType::f16;
      return true;
    case 2:
      *out = DType::q4_0;
      return true;
    case 3:
      *out = DType::q4_1;
      return true;
    case 7:
      *out = DType::q5_0;
      return true;
    case 8:
      *out = DType::q5_1;
      return true;
    case 9:
      *out = DType::q8_0;
      return true;
    default:
      return false;
  }
}

class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  std::span<const std::byte> take(uint64_t n, const char* what) {
    LM_CHECK(n <= bytes_.size() - at_, ErrorCode::bad_file,
             "{}: {} at byte {} needs {} bytes; the file has {} left", name_, what, at_, n,
             bytes_.size() - at_);
    const auto out = bytes_.subspan(at_, static_cast<size_t>(n));
    at_ += static_cast<size_t>(n);
    return out;
  }
  int32_t number(const char* what) {
    int32_t v;
    std::memcpy(&v, take(4, what).data(), 4);
    return v;
  }
  bool done() const { return at_ == bytes_.size(); }

 private:
  std::span<const std::byte> bytes_;
  const std::string& name_;
  size_t at_ = 0;
};

void read_tensor(Reader& in, const std::string& name, TensorMap* out) {
  const int32_t n_dims = in.number("a number of dimensions"),
                key_bytes = in.number("a name's length"), type = in.number("a data type");
  LM_CHECK(n_dims >= 1 && n_dims <= 4, ErrorCode::bad_file,
           "{}: a tensor of {} dimensions; expected 1..4", name, n_dims);
  LM_CHECK(key_bytes >= 1 && key_bytes <= 1024, ErrorCode::bad_file,
           "{}: a tensor's name of {} bytes; expected 1..1024", name, key_bytes);
  TensorView view;
  LM_CHECK(type_of(type, &view.dtype), ErrorCode::unsupported,
           "{}: tensors of data type {}; expected 0, 1, 2, 3, 7, 8 or 9", name, type);
  int64_t numel = 1;
  for (int32_t i = 0; i < n_dims; ++i) {
    const int32_t d = in.number("a dimension");
    LM_CHECK(d >= 1 && numel <= (int64_t{1} << 40) / d, ErrorCode::bad_file,
             "{}: a dimension of {} after {} values; expected a tensor of at most 2^40", name, d,
             numel);
    numel *= d;
    view.shape.insert(view.shape.begin(), d);  // the file counts fastest first
  }
  const auto key = in.take(static_cast<uint64_t>(key_bytes), "a name");
  std::string tensor(reinterpret_cast<const char*>(key.data()), key.size());
  const int block = dtype_info(view.dtype).block;
  LM_CHECK(view.cols() % block == 0, ErrorCode::bad_file,
           "{}: \"{}\" has rows of {} values; {} needs a multiple of {}", name, tensor, view.cols(),
           dtype_name(view.dtype), block);
  view.data = in.take(static_cast<uint64_t>(view.size_bytes()), "a tensor").data();
  LM_CHECK(out->emplace(std::move(tensor), std::move(view)).second, ErrorCode::bad_file,
           "{}: two tensors have the same name", name);
}

}  // namespace

bool looks_like_rwkv_file(std::span<const std::byte> bytes) {
  uint32_t magic = 0;
  if (bytes.size() >= 24) std::memcpy(&magic, bytes.data(), 4);
  return magic == kMagic;
}

TensorMap parse_rwkv_file(std::span<const std::byte> bytes, const std::string& name) {
  Reader in(bytes, name);
  const auto magic = static_cast<uint32_t>(in.number("the magic number"));
  const int32_t version = in.number("the version");
  LM_CHECK(magic == kMagic && (version == 100 || version == 101), ErrorCode::bad_file,
           "{}: magic {:x} and version {}; expected 67676d66 and 100 or 101", name, magic, version);
  in.take(16, "the header");  // sizes that the tensors tell too
  TensorMap out;
  while (!in.done()) read_tensor(in, name, &out);
  return out;
}

}  // namespace lm
