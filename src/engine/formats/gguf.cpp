#include "engine/formats/gguf.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <limits>

#include "engine/core/error.h"

namespace lm {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is read in place, little-endian");

constexpr uint64_t kMaxNameBytes =
    65535;  // far above any name in use; keeps a lying length from being echoed
constexpr uint64_t kMaxSplits = 10000;

// Bytes of one scalar of this type; 0 for strings and unknown types.
size_t scalar_bytes(GgufType type) {
  switch (type) {
    case GgufType::u8:
    case GgufType::i8:
    case GgufType::boolean:
      return 1;
    case GgufType::u16:
    case GgufType::i16:
      return 2;
    case GgufType::u32:
    case GgufType::i32:
    case GgufType::f32:
      return 4;
    case GgufType::u64:
    case GgufType::i64:
    case GgufType::f64:
      return 8;
    case GgufType::string:
    case GgufType::array:
      return 0;
  }
  return 0;
}

// Reads forward through the bytes of one file; every read is checked against the end.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  std::span<const std::byte> take(uint64_t n, const char* what) {
    LM_CHECK(n <= bytes_.size() - pos_, ErrorCode::bad_file,
             "{}: {} at byte {} needs {} bytes; the file has {} left", name_, what, pos_, n,
             bytes_.size() - pos_);
    const auto out = bytes_.subspan(pos_, static_cast<size_t>(n));
    pos_ += static_cast<size_t>(n);
    return out;
  }
  template <typename T>
  T number(const char* what) {
    T value;
    std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
    return value;
  }
  // Version 1 has 32-bit counts, lengths and dimensions.
  void narrow_counts() { count_bytes_ = 4; }
  uint8_t count_bytes() const { return count_bytes_; }
  uint64_t count(const char* what) {
    return count_bytes_ == 4 ? number<uint32_t>(what) : number<uint64_t>(what);
  }
  std::string_view string(const char* what) {
    const auto n = count(what);
    const auto raw = take(n, what);
    return {reinterpret_cast<const char*>(raw.data()), raw.size()};
  }
  std::string_view name_string(const char* what) {
    const auto s = string(what);
    LM_CHECK(s.size() <= kMaxNameBytes && s.find('\0') == std::string_view::npos,
             ErrorCode::bad_file,
             "{}: {} of {} bytes ends at byte {}; expected a name of at most {} bytes without NUL",
             name_, what, s.size(), pos_, kMaxNameBytes);
    return s;
  }
  // The bytes of `count` strings, each checked.
  std::span<const std::byte> strings(uint64_t count, const char* what) {
    const size_t begin = pos_;
    LM_CHECK(count <= (bytes_.size() - pos_) / count_bytes_, ErrorCode::bad_file,
             "{}: {} has {} strings; the file has room for at most {}", name_, what, count,
             (bytes_.size() - pos_) / count_bytes_);
    for (uint64_t i = 0; i < count; ++i) string(what);
    return bytes_.subspan(begin, pos_ - begin);
  }
  size_t pos() const { return pos_; }
  const std::string& name() const { return name_; }

 private:
  std::span<const std::byte> bytes_;
  const std::string& name_;
  size_t pos_ = 0;
  uint8_t count_bytes_ = 8;
};

GgufValue read_value(Reader& in, std::string_view key) {
  const std::string what = fmt::format("value of \"{}\"", key);
  GgufValue value;
  value.length_bytes = in.count_bytes();
  auto type = in.number<uint32_t>(what.c_str());
  if (type == static_cast<uint32_t>(GgufType::array)) {
    value.is_array = true;
    type = in.number<uint32_t>(what.c_str());
    value.count = in.count(what.c_str());
    LM_CHECK(type != static_cast<uint32_t>(GgufType::array), ErrorCode::unsupported,
             "{}: \"{}\" is an array of arrays; GGUF arrays of plain values are supported",
             in.name(), key);
  }
  LM_CHECK(type <= static_cast<uint32_t>(GgufType::f64), ErrorCode::bad_file,
           "{}: \"{}\" has value type {}; expected 0..12", in.name(), key, type);
  value.type = static_cast<GgufType>(type);
  if (value.type == GgufType::string) {
    value.data = in.strings(value.count, what.c_str());
    return value;
  }
  const size_t size = scalar_bytes(value.type);
  LM_CHECK(value.count <= std::numeric_limits<uint64_t>::max() / 8, ErrorCode::bad_file,
           "{}: \"{}\" has {} elements; the file cannot hold them", in.name(), key, value.count);
  value.data = in.take(value.count * size, what.c_str());
  return value;
}

struct TensorInfo {
  std::string_view name;
  DType dtype{};
  Shape shape;  // row-major
  uint64_t offset = 0, bytes = 0;
};

TensorInfo read_tensor_info(Reader& in) {
  TensorInfo info;
  info.name = in.name_string("tensor name");
  const auto n_dims = in.number<uint32_t>("number of dimensions");
  LM_CHECK(n_dims >= 1 && n_dims <= 4, ErrorCode::bad_file,
           "{}: tensor \"{}\" has {} dimensions; expected 1..4", in.name(), info.name, n_dims);
  uint64_t numel = 1;
  for (uint32_t i = 0; i < n_dims; ++i) {
    const auto d = in.count("tensor dimension");
    LM_CHECK(d >= 1 && d <= (uint64_t{1} << 48) / numel, ErrorCode::bad_file,
             "{}: tensor \"{}\" has dimension {} of {}; sizes must be positive and their product "
             "at most 2^48",
             in.name(), info.name, i, d);
    numel *= d;
    info.shape.insert(info.shape.begin(), static_cast<int64_t>(d));
  }
  const auto type = in.number<uint32_t>("tensor type");
  LM_CHECK(dtype_from_ggml(type, &info.dtype), ErrorCode::unsupported,
           "{}: tensor \"{}\" has GGML type {}, which is unknown here", in.name(), info.name, type);
  const int block = dtype_info(info.dtype).block;
  LM_CHECK(info.shape.back() % block == 0, ErrorCode::bad_file,
           "{}: tensor \"{}\" has rows of {} elements; type {} needs a multiple of {}", in.name(),
           info.name, info.shape.back(), dtype_name(info.dtype), block);
  info.bytes = static_cast<uint64_t>(dtype_bytes(info.dtype, static_cast<int64_t>(numel)));
  info.offset = in.number<uint64_t>("tensor offset");
  return info;
}

// "x-00001-of-00003.gguf" -> path of part i (1-based) of n; empty when the name is not of that
// form.
std::string split_path(const std::string& path, uint64_t i, uint64_t n) {
  constexpr size_t kTail = sizeof("-00001-of-00001.gguf") - 1;
  if (path.size() < kTail) return {};
  const std::string tail = path.substr(path.size() - kTail);
  if (tail.compare(0, 1, "-") != 0 || tail.compare(6, 4, "-of-") != 0 ||
      tail.compare(15, 5, ".gguf") != 0)
    return {};
  return path.substr(0, path.size() - kTail) + fmt::format("-{:05}-of-{:05}.gguf", i, n);
}

}  // namespace

GgufFile GgufFile::open(const std::string& path) {
  GgufFile file;
  file.name_ = path;
  file.files_.push_back(std::make_shared<MappedFile>(path));
  file.parse_part(file.files_[0]->bytes(), path, true);
  const auto parts = file.get_int("split.count").value_or(1);
  if (parts <= 1) return file;
  LM_CHECK(static_cast<uint64_t>(parts) <= kMaxSplits && !split_path(path, 1, 1).empty(),
           ErrorCode::bad_file,
           "{}: split.count is {}; expected a name like model-00001-of-{:05}.gguf", path, parts,
           parts);
  LM_CHECK(file.get_int("split.no").value_or(0) == 0, ErrorCode::bad_file,
           "{}: this is part {} of {}; open the first part", path, *file.get_int("split.no") + 1,
           parts);
  for (int64_t i = 2; i <= parts; ++i) {
    const std::string part =
        split_path(path, static_cast<uint64_t>(i), static_cast<uint64_t>(parts));
    file.files_.push_back(std::make_shared<MappedFile>(part));
    file.parse_part(file.files_.back()->bytes(), part, false);
  }
  return file;
}

GgufFile GgufFile::parse(std::span<const std::byte> bytes, const std::string& name) {
  GgufFile file;
  file.name_ = name;
  file.parse_part(bytes, name, true);
  return file;
}

// Later parts of a split set repeat a few metadata keys; only the first part's are kept.
void GgufFile::parse_part(std::span<const std::byte> bytes, const std::string& name, bool first) {
  Reader in(bytes, name);
  LM_CHECK(bytes.size() >= 4 && std::memcmp(bytes.data(), "GGUF", 4) == 0, ErrorCode::bad_file,
           "{}: not a GGUF file; it does not start with \"GGUF\"", name);
  in.take(4, "magic");
  version_ = in.number<uint32_t>("version");
  LM_CHECK(version_ == 0 || (version_ & 0xffff) != 0, ErrorCode::unsupported,
           "{}: a big-endian GGUF file (version bytes {:#010x}); little-endian files are supported",
           name, version_);
  LM_CHECK(version_ >= 1 && version_ <= 3, ErrorCode::unsupported,
           "{}: GGUF version {}; versions 1, 2 and 3 are supported", name, version_);
  if (version_ == 1) in.narrow_counts();
  const uint64_t n_tensors = in.count("tensor count");
  const uint64_t n_values = in.count("metadata count");
  // A tensor entry takes at least 24 bytes and a value at least 9: larger counts lie.
  LM_CHECK(n_tensors <= bytes.size() / 24 && n_values <= bytes.size() / 9, ErrorCode::bad_file,
           "{}: claims {} tensors and {} metadata values; a file of {} bytes cannot hold them",
           name, n_tensors, n_values, bytes.size());

  for (uint64_t i = 0; i < n_values; ++i) {
    const auto key = in.name_string("metadata key");
    const GgufValue value = read_value(in, key);
    const bool inserted = first && values_.emplace(key, value).second;
    LM_CHECK(inserted || !first, ErrorCode::bad_file, "{}: metadata key \"{}\" appears twice", name,
             key);
    if (first) keys_.emplace_back(key);
  }

  uint64_t alignment = 32;
  if (const auto a = get_int("general.alignment")) alignment = static_cast<uint64_t>(*a);
  LM_CHECK(alignment >= 1 && alignment <= (1u << 20) && std::has_single_bit(alignment),
           ErrorCode::bad_file, "{}: general.alignment is {}; expected a power of two up to 2^20",
           name, alignment);

  std::vector<TensorInfo> infos;
  infos.reserve(static_cast<size_t>(n_tensors));
  for (uint64_t i = 0; i < n_tensors; ++i) infos.push_back(read_tensor_info(in));
  const uint64_t data = (in.pos() + alignment - 1) / alignment * alignment;
  const uint64_t room = data <= bytes.size() ? bytes.size() - data : 0;
  for (TensorInfo& info : infos) {
    LM_CHECK(info.offset % alignment == 0, ErrorCode::bad_file,
             "{}: tensor \"{}\" starts at offset {}; expected a multiple of {}", name, info.name,
             info.offset, alignment);
    LM_CHECK(info.bytes <= room && info.offset <= room - info.bytes, ErrorCode::bad_file,
             "{}: tensor \"{}\" needs bytes {}..{} of the data section, which has {}; the file is "
             "truncated or wrong",
             name, info.name, info.offset, info.offset + info.bytes, room);
    TensorView view{bytes.data() + data + info.offset, info.dtype, std::move(info.shape)};
    LM_CHECK(tensors_.emplace(info.name, std::move(view)).second, ErrorCode::bad_file,
             "{}: tensor \"{}\" appears twice", name, info.name);
    tensor_names_.emplace_back(info.name);
  }
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto it = values_.find(key);
  return it == values_.end() ? nullptr : &it->second;
}

const TensorView* GgufFile::tensor(std::string_view name) const {
  const auto it = tensors_.find(name);
  return it == tensors_.end() ? nullptr : &it->second;
}

namespace {

template <typename T>
T load(const std::byte* p) {
  T value;
  std::memcpy(&value, p, sizeof(T));
  return value;
}

// Element i of a numeric value as Out; nullopt for strings, and for floats when an integer is
// wanted.
template <typename Out>
std::optional<Out> element(const GgufValue& v, size_t i) {
  const std::byte* p = v.data.data() + i * scalar_bytes(v.type);
  switch (v.type) {
    case GgufType::u8:
      return static_cast<Out>(load<uint8_t>(p));
    case GgufType::i8:
      return static_cast<Out>(load<int8_t>(p));
    case GgufType::u16:
      return static_cast<Out>(load<uint16_t>(p));
    case GgufType::i16:
      return static_cast<Out>(load<int16_t>(p));
    case GgufType::u32:
      return static_cast<Out>(load<uint32_t>(p));
    case GgufType::i32:
      return static_cast<Out>(load<int32_t>(p));
    case GgufType::u64:
      return static_cast<Out>(load<uint64_t>(p));
    case GgufType::i64:
      return static_cast<Out>(load<int64_t>(p));
    case GgufType::boolean:
      return static_cast<Out>(load<uint8_t>(p) != 0);
    case GgufType::f32:
      if constexpr (std::is_floating_point_v<Out>) return static_cast<Out>(load<float>(p));
      return std::nullopt;
    case GgufType::f64:
      if constexpr (std::is_floating_point_v<Out>) return static_cast<Out>(load<double>(p));
      return std::nullopt;
    case GgufType::string:
    case GgufType::array:
      return std::nullopt;
  }
  return std::nullopt;
}

template <typename Out>
std::vector<Out> elements(const GgufValue& v, const std::string& name, std::string_view key) {
  std::vector<Out> out;
  out.reserve(static_cast<size_t>(v.count));
  for (size_t i = 0; i < v.count; ++i) {
    const auto x = element<Out>(v, i);
    LM_CHECK(x.has_value(), ErrorCode::bad_file, "{}: \"{}\" has value type {}; expected numbers",
             name, key, static_cast<uint32_t>(v.type));
    out.push_back(*x);
  }
  return out;
}

template <typename Out>
std::optional<Out> scalar(const GgufValue* v, const std::string& name, std::string_view key,
                          const char* expected) {
  if (!v) return std::nullopt;
  const auto x = v->is_array ? std::nullopt : element<Out>(*v, 0);
  LM_CHECK(x.has_value(), ErrorCode::bad_file, "{}: \"{}\" has value type {}{}; expected {}", name,
           key, static_cast<uint32_t>(v->type), v->is_array ? " (array)" : "", expected);
  return x;
}

}  // namespace

std::optional<int64_t> GgufFile::get_int(std::string_view key) const {
  return scalar<int64_t>(find(key), name_, key, "an integer");
}
std::optional<double> GgufFile::get_float(std::string_view key) const {
  return scalar<double>(find(key), name_, key, "a number");
}
std::optional<bool> GgufFile::get_bool(std::string_view key) const {
  const auto x = scalar<int64_t>(find(key), name_, key, "a boolean");
  return x ? std::optional<bool>(*x != 0) : std::nullopt;
}

std::optional<std::string_view> GgufFile::get_string(std::string_view key) const {
  const GgufValue* v = find(key);
  if (!v) return std::nullopt;
  LM_CHECK(v->type == GgufType::string && !v->is_array, ErrorCode::bad_file,
           "{}: \"{}\" is not a string", name_, key);
  return std::string_view(reinterpret_cast<const char*>(v->data.data()) + v->length_bytes,
                          v->data.size() - v->length_bytes);
}

std::vector<std::string_view> GgufFile::get_strings(std::string_view key) const {
  const GgufValue* v = find(key);
  if (!v) return {};
  LM_CHECK(v->type == GgufType::string && v->is_array, ErrorCode::bad_file,
           "{}: \"{}\" is not an array of strings", name_, key);
  std::vector<std::string_view> out;
  out.reserve(static_cast<size_t>(v->count));
  const std::byte* p = v->data.data();
  for (uint64_t i = 0; i < v->count; ++i) {
    const auto n =
        v->length_bytes == 4 ? load<uint32_t>(p) : static_cast<size_t>(load<uint64_t>(p));
    out.emplace_back(reinterpret_cast<const char*>(p) + v->length_bytes, n);
    p += v->length_bytes + n;
  }
  return out;
}

std::vector<float> GgufFile::get_floats(std::string_view key) const {
  const GgufValue* v = find(key);
  return v ? elements<float>(*v, name_, key) : std::vector<float>{};
}
std::vector<int64_t> GgufFile::get_ints(std::string_view key) const {
  const GgufValue* v = find(key);
  return v ? elements<int64_t>(*v, name_, key) : std::vector<int64_t>{};
}

}  // namespace lm
