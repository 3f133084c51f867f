#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/formats/checkpoint.h"
#include "engine/formats/json_file.h"

namespace lm {
namespace {

constexpr uint64_t kMaxHeader = 100'000'000;  // the reference implementation's limit

constexpr std::pair<const char*, DType> kTypes[] = {{"F64", DType::f64},
                                                    {"F32", DType::f32},
                                                    {"F16", DType::f16},
                                                    {"BF16", DType::bf16},
                                                    {"I64", DType::i64},
                                                    {"I32", DType::i32},
                                                    {"I16", DType::i16},
                                                    {"I8", DType::i8},
                                                    {"U64", DType::u64},
                                                    {"U32", DType::u32},
                                                    {"U16", DType::u16},
                                                    {"U8", DType::u8},
                                                    {"BOOL", DType::boolean},
                                                    {"F8_E4M3", DType::f8_e4m3},
                                                    {"F8_E5M2", DType::f8_e5m2},
                                                    {"F8_E4M3FNUZ", DType::f8_e4m3fnuz},
                                                    {"F8_E5M2FNUZ", DType::f8_e5m2fnuz},
                                                    {"F8_E8M0", DType::f8_e8m0},
                                                    {"F6_E2M3", DType::f6_e2m3},
                                                    {"F6_E3M2", DType::f6_e3m2},
                                                    {"F4", DType::f4_e2m1},
                                                    {"C64", DType::c64}};

DType safetensors_dtype(const std::string& s, const std::string& file, const std::string& tensor) {
  for (const auto& [name, type] : kTypes)
    if (s == name) return type;
  raise(ErrorCode::unsupported, "{}: tensor \"{}\" has dtype \"{}\", which is unknown here", file,
        tensor, s);
}

uint64_t unsigned_number(const nlohmann::json& j, const std::string& file,
                         const std::string& tensor, const char* what) {
  LM_CHECK(j.is_number_unsigned(), ErrorCode::bad_file,
           "{}: tensor \"{}\" has {} {}; expected a whole number", file, tensor, what, j.dump());
  return j.get<uint64_t>();
}

struct Extent {
  uint64_t begin, end;
  std::string name;
};

TensorView read_entry(const nlohmann::json& entry, const std::string& name, const std::string& file,
                      std::span<const std::byte> data, Extent* extent) {
  const bool shaped = entry.is_object() && entry.contains("dtype") && entry["dtype"].is_string() &&
                      entry.contains("shape") && entry["shape"].is_array() &&
                      entry.contains("data_offsets") && entry["data_offsets"].is_array() &&
                      entry["data_offsets"].size() == 2;
  LM_CHECK(shaped, ErrorCode::bad_file,
           "{}: tensor \"{}\" is not described by dtype, shape and two data_offsets", file, name);
  TensorView view;
  view.dtype = safetensors_dtype(entry["dtype"].get<std::string>(), file, name);
  LM_CHECK(entry["shape"].size() <= 8, ErrorCode::bad_file,
           "{}: tensor \"{}\" has {} dimensions; at most 8 are accepted", file, name,
           entry["shape"].size());
  uint64_t numel = 1;
  for (const auto& d : entry["shape"]) {
    const uint64_t n = unsigned_number(d, file, name, "dimension");
    LM_CHECK(n <= (uint64_t{1} << 48) / std::max<uint64_t>(numel, 1), ErrorCode::bad_file,
             "{}: tensor \"{}\" has more than 2^48 elements (dimension {})", file, name, n);
    numel *= n;
    view.shape.push_back(static_cast<int64_t>(n));
  }
  *extent = {unsigned_number(entry["data_offsets"][0], file, name, "offset"),
             unsigned_number(entry["data_offsets"][1], file, name, "offset"), name};
  LM_CHECK(extent->begin <= extent->end && extent->end <= data.size(), ErrorCode::bad_file,
           "{}: tensor \"{}\" lies at bytes {}..{}; the data section has {}: the file is truncated "
           "or wrong",
           file, name, extent->begin, extent->end, data.size());
  LM_CHECK(numel % static_cast<uint64_t>(dtype_info(view.dtype).block) == 0, ErrorCode::bad_file,
           "{}: tensor \"{}\" has {} elements of {}; they are stored {} together", file, name,
           numel, dtype_name(view.dtype), dtype_info(view.dtype).block);
  const auto bytes = static_cast<uint64_t>(dtype_bytes(view.dtype, static_cast<int64_t>(numel)));
  LM_CHECK(extent->end - extent->begin == bytes, ErrorCode::bad_file,
           "{}: tensor \"{}\" of shape {} {} needs {} bytes but has {}", file, name,
           shape_string(view.shape), dtype_name(view.dtype), bytes, extent->end - extent->begin);
  view.data = data.data() + extent->begin;
  return view;
}

}  // namespace

TensorMap parse_safetensors(std::span<const std::byte> bytes, const std::string& name) {
  LM_CHECK(bytes.size() >= 8, ErrorCode::bad_file,
           "{}: {} bytes; a safetensors file has at least 8", name, bytes.size());
  uint64_t header_size;
  std::memcpy(&header_size, bytes.data(), 8);
  LM_CHECK(header_size <= kMaxHeader && header_size <= bytes.size() - 8, ErrorCode::bad_file,
           "{}: header of {} bytes; the file has {} and the limit is {}", name, header_size,
           bytes.size() - 8, kMaxHeader);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + 8,
                              static_cast<size_t>(header_size));
  const auto header = parse_json(text, name);
  LM_CHECK(header.is_object(), ErrorCode::bad_file, "{}: the header is not a JSON object", name);
  const auto data = bytes.subspan(8 + static_cast<size_t>(header_size));
  TensorMap tensors;
  std::vector<Extent> extents;
  for (const auto& [key, entry] : header.items()) {
    if (key == "__metadata__") continue;
    Extent extent;
    tensors.emplace(key, read_entry(entry, key, name, data, &extent));
    extents.push_back(std::move(extent));
  }
  std::sort(extents.begin(), extents.end(), [](const Extent& a, const Extent& b) {
    return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
  });
  uint64_t position = 0;
  for (const Extent& e : extents) {
    LM_CHECK(e.begin == position, ErrorCode::bad_file,
             "{}: tensor \"{}\" starts at byte {}; expected {} (tensors must not overlap or leave "
             "holes)",
             name, e.name, e.begin, position);
    position = e.end;
  }
  LM_CHECK(position == data.size(), ErrorCode::bad_file, "{}: {} bytes follow the last tensor",
           name, data.size() - position);
  return tensors;
}

const char* safetensors_dtype_name(DType dtype) {
  for (const auto& [name, type] : kTypes)
    if (type == dtype) return name;
  return nullptr;
}

}  // namespace lm
