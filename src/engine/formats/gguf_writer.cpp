#include "engine/formats/gguf_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <memory>

#include "engine/core/error.h"

namespace lm {
namespace {

template <typename T>
void put(std::string* out, T value) {
  out->append(reinterpret_cast<const char*>(&value), sizeof value);
}
void put_string(std::string* out, std::string_view s) {
  put<uint64_t>(out, s.size());
  out->append(s);
}
std::string typed(GgufType type) {
  std::string out;
  put(&out, static_cast<uint32_t>(type));
  return out;
}
template <typename T>
std::string scalar(GgufType type, T value) {
  std::string out = typed(type);
  put(&out, value);
  return out;
}
std::string array(GgufType type, uint64_t count) {
  std::string out = typed(GgufType::array);
  put(&out, static_cast<uint32_t>(type));
  put(&out, count);
  return out;
}

uint64_t padded(uint64_t n, uint64_t alignment) {
  return (n + alignment - 1) / alignment * alignment;
}

}  // namespace

void GgufMetadata::set(std::string_view key, std::string value) {
  for (Entry& e : entries_)
    if (e.key == key) {
      e.value = std::move(value);
      return;
    }
  entries_.push_back({std::string(key), std::move(value)});
}

void GgufMetadata::set_string(std::string_view key, std::string_view value) {
  std::string out = typed(GgufType::string);
  put_string(&out, value);
  set(key, std::move(out));
}
void GgufMetadata::set_u32(std::string_view key, uint64_t value) {
  LM_CHECK(value <= std::numeric_limits<uint32_t>::max(), ErrorCode::internal,
           "GGUF key \"{}\": {} does not fit 32 bits", key, value);
  set(key, scalar(GgufType::u32, static_cast<uint32_t>(value)));
}
void GgufMetadata::set_i32(std::string_view key, int64_t value) {
  set(key, scalar(GgufType::i32, static_cast<int32_t>(value)));
}
void GgufMetadata::set_u16(std::string_view key, uint16_t value) {
  set(key, scalar(GgufType::u16, value));
}
void GgufMetadata::set_f32(std::string_view key, double value) {
  set(key, scalar(GgufType::f32, static_cast<float>(value)));
}
void GgufMetadata::set_bool(std::string_view key, bool value) {
  set(key, scalar(GgufType::boolean, static_cast<uint8_t>(value)));
}
void GgufMetadata::set_strings(std::string_view key, std::span<const std::string> values) {
  std::string out = array(GgufType::string, values.size());
  for (const std::string& v : values) put_string(&out, v);
  set(key, std::move(out));
}
void GgufMetadata::set_floats(std::string_view key, std::span<const float> values) {
  std::string out = array(GgufType::f32, values.size());
  for (const float v : values) put(&out, v);
  set(key, std::move(out));
}
void GgufMetadata::set_i32s(std::string_view key, std::span<const int32_t> values) {
  std::string out = array(GgufType::i32, values.size());
  for (const int32_t v : values) put(&out, v);
  set(key, std::move(out));
}
void GgufMetadata::set_u8s(std::string_view key, std::string_view values) {
  set(key, array(GgufType::u8, values.size()).append(values));
}
void GgufMetadata::set_bools(std::string_view key, const std::vector<bool>& values) {
  std::string out = array(GgufType::boolean, values.size());
  for (const bool v : values) put(&out, static_cast<uint8_t>(v));
  set(key, std::move(out));
}

void GgufMetadata::copy(std::string_view key, const GgufValue& v) {
  std::string out = v.is_array ? array(v.type, v.count) : typed(v.type);
  const std::string_view raw(reinterpret_cast<const char*>(v.data.data()), v.data.size());
  if (v.type != GgufType::string || v.length_bytes == 8) {
    out.append(raw);
  } else {  // version 1: lengths grow to 64 bits
    for (size_t at = 0; at < raw.size();) {
      uint32_t n;
      std::copy_n(raw.data() + at, 4, reinterpret_cast<char*>(&n));
      put_string(&out, raw.substr(at + 4, n));
      at += 4 + n;
    }
  }
  set(key, std::move(out));
}
void GgufMetadata::copy_all(const GgufFile& file) {
  for (const std::string& key : file.keys()) copy(key, *file.find(key));
}
void GgufMetadata::erase(std::string_view key) {
  std::erase_if(entries_, [&](const Entry& e) { return e.key == key; });
}
bool GgufMetadata::contains(std::string_view key) const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const Entry& e) { return e.key == key; });
}
std::string GgufMetadata::bytes() const {
  std::string out;
  for (const Entry& e : entries_) {
    put_string(&out, e.key);
    out += e.value;
  }
  return out;
}

std::shared_ptr<const GgufFile> metadata_file(const GgufMetadata& metadata) {
  struct Owner {
    std::string bytes = "GGUF";
    std::optional<GgufFile> file;
  };
  auto owner = std::make_shared<Owner>();
  const uint32_t version = 3;
  const uint64_t counts[2] = {0, metadata.size()};
  owner->bytes.append(reinterpret_cast<const char*>(&version), sizeof version);
  owner->bytes.append(reinterpret_cast<const char*>(counts), sizeof counts);
  owner->bytes += metadata.bytes();
  owner->file = GgufFile::parse(std::as_bytes(std::span(owner->bytes)), "metadata");
  return {owner, &*owner->file};
}

namespace {

void check_tensors(const std::vector<OutputTensor>& tensors) {
  check_unique_names(tensors);
  for (const OutputTensor& t : tensors) {
    LM_CHECK(!t.name.empty() && t.name.size() <= 63, ErrorCode::bad_option,
             "GGUF: the tensor name \"{}\" has {} bytes; 1 to 63 are allowed", t.name,
             t.name.size());
    LM_CHECK(dtype_info(t.dtype).ggml_id >= 0, ErrorCode::bad_option,
             "GGUF has no type for {} (tensor \"{}\")", dtype_name(t.dtype), t.name);
    LM_CHECK(t.shape.size() >= 1 && t.shape.size() <= 4, ErrorCode::bad_option,
             "GGUF: tensor \"{}\" has {} dimensions; 1 to 4 are allowed", t.name, t.shape.size());
    LM_CHECK(t.shape.back() % dtype_info(t.dtype).block == 0, ErrorCode::bad_option,
             "GGUF: tensor \"{}\" has rows of {} elements; type {} needs a multiple of {}", t.name,
             t.shape.back(), dtype_name(t.dtype), dtype_info(t.dtype).block);
  }
}

std::string header(const GgufMetadata& metadata, std::span<const OutputTensor> tensors,
                   uint64_t alignment) {
  std::string out = "GGUF";
  put<uint32_t>(&out, 3);
  put<uint64_t>(&out, tensors.size());
  put<uint64_t>(&out, metadata.size());
  out += metadata.bytes();
  uint64_t offset = 0;
  for (const OutputTensor& t : tensors) {
    put_string(&out, t.name);
    put(&out, static_cast<uint32_t>(t.shape.size()));
    for (size_t i = t.shape.size(); i-- > 0;) put(&out, static_cast<uint64_t>(t.shape[i]));
    put(&out, static_cast<uint32_t>(dtype_info(t.dtype).ggml_id));
    put(&out, offset);
    offset += padded(t.size_bytes(), alignment);
  }
  out.resize(padded(out.size(), alignment));
  return out;
}

}  // namespace

std::vector<std::string> write_gguf(const std::string& path, const GgufMetadata& metadata,
                                    const std::vector<OutputTensor>& tensors,
                                    const GgufWriteOptions& options) {
  const uint64_t alignment = options.alignment;
  LM_CHECK(std::has_single_bit(alignment) && alignment >= 8, ErrorCode::bad_option,
           "GGUF: alignment is {}; expected a power of two of at least 8", alignment);
  check_tensors(tensors);
  const std::vector<size_t> ends = split_ends(tensors, options.max_file_bytes);
  const size_t parts = ends.size();
  LM_CHECK(parts <= 10000, ErrorCode::bad_option, "GGUF: {} parts; at most 10000 are allowed",
           parts);
  std::string stem = path;
  if (stem.ends_with(".gguf")) stem.resize(stem.size() - 5);

  TensorProgress progress(tensors, options);
  std::vector<std::unique_ptr<OutputFile>> files;
  size_t begin = 0;
  for (size_t part = 0; part < parts; ++part) {
    GgufMetadata keys = part == 0 ? metadata : GgufMetadata();
    if (alignment != 32) keys.set_u32("general.alignment", alignment);
    if (parts > 1) {
      keys.set_u16("split.no", static_cast<uint16_t>(part));
      keys.set_u16("split.count", static_cast<uint16_t>(parts));
      keys.set_i32("split.tensors.count", static_cast<int64_t>(tensors.size()));
    }
    files.push_back(std::make_unique<OutputFile>(
        parts == 1 ? path : fmt::format("{}-{:05}-of-{:05}.gguf", stem, part + 1, parts)));
    const auto mine = std::span(tensors).subspan(begin, ends[part] - begin);
    files.back()->write(header(keys, mine, alignment));
    for (const OutputTensor& t : mine) {
      progress.write(t, files.back().get());
      files.back()->write_zeros(padded(t.size_bytes(), alignment) - t.size_bytes());
    }
    begin = ends[part];
  }
  std::vector<std::string> names;
  for (const auto& file : files) {
    file->commit();
    names.push_back(file->path());
  }
  return names;
}

}  // namespace lm
