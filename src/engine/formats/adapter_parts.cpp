#include "engine/formats/adapter_parts.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/core/half.h"
#include "engine/formats/json_file.h"

namespace lm::adapter_parts {

using nlohmann::json;

namespace {

constexpr int64_t kMaxRank = 65536;

float element(const TensorView& v, int64_t i) {
  if (v.dtype == DType::f32) {
    float f;
    std::copy_n(v.data + i * 4, 4, reinterpret_cast<std::byte*>(&f));
    return f;
  }
  uint16_t h;
  std::copy_n(v.data + i * 2, 2, reinterpret_cast<std::byte*>(&h));
  return v.dtype == DType::f16 ? half_to_float(h) : bf16_to_float(h);
}

std::vector<float> floats(const TensorView& v, const std::string& tensor, const std::string& file) {
  LM_CHECK(v.dtype == DType::f32 || v.dtype == DType::f16 || v.dtype == DType::bf16,
           ErrorCode::unsupported,
           "{}: tensor \"{}\" is stored as {}; f32, f16 and bf16 are supported", file, tensor,
           dtype_name(v.dtype));
  std::vector<float> out(static_cast<size_t>(v.numel()));
  for (int64_t i = 0; i < v.numel(); ++i) out[static_cast<size_t>(i)] = element(v, i);
  return out;
}

}  // namespace

Matrix Matrix::transposed() const {
  Matrix t{cols, rows, std::vector<float>(values.size())};
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < cols; ++c)
      t.values[static_cast<size_t>(c * rows + r)] = values[static_cast<size_t>(r * cols + c)];
  return t;
}

Matrix read_matrix(const TensorView& v, const std::string& tensor, const std::string& file) {
  LM_CHECK(v.shape.size() == 2, ErrorCode::unsupported,
           "{}: tensor \"{}\" has shape {}; adapters of matrices are supported", file, tensor,
           shape_string(v.shape));
  return {v.shape[0], v.shape[1], floats(v, tensor, file)};
}

std::vector<float> read_vector(const TensorView& v, const std::string& tensor,
                               const std::string& file) {
  const bool one =
      v.shape.size() == 1 || (v.shape.size() == 2 && (v.shape[0] == 1 || v.shape[1] == 1));
  LM_CHECK(one, ErrorCode::unsupported, "{}: tensor \"{}\" has shape {}; expected a vector", file,
           tensor, shape_string(v.shape));
  return floats(v, tensor, file);
}

AdapterTensor make_tensor(const std::string& name, Matrix a, Matrix b, const std::string& file) {
  LM_CHECK(!a.values.empty() && !b.values.empty(), ErrorCode::bad_file,
           "{}: \"{}\" has only one of its two matrices A and B", file, name);
  LM_CHECK(a.rows == b.cols && a.rows <= kMaxRank, ErrorCode::bad_file,
           "{}: \"{}\" has A {}x{} and B {}x{}; expected A [r, in] and B [out, r]", file, name,
           a.rows, a.cols, b.rows, b.cols);
  AdapterTensor t;
  t.name = name;
  t.rank = a.rows;
  t.in = a.cols;
  t.out = b.rows;
  t.a = std::move(a.values);
  t.b = std::move(b.values);
  return t;
}

json config_object(std::string_view text, const std::string& name) {
  json config = parse_json(text, name);
  LM_CHECK(config.is_object(), ErrorCode::bad_file, "{}: not a JSON object", name);
  return config;
}

double number_or(const json& object, const char* key, double fallback, const std::string& file) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return fallback;
  LM_CHECK(it->is_number(), ErrorCode::bad_file, "{}: \"{}\" is {}; expected a number", file, key,
           it->dump());
  return it->get<double>();
}

bool flag(const json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_boolean() && it->get<bool>();
}

std::string string_or(const json& object, const char* key, const char* fallback) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : fallback;
}

void sort_by_name(Adapter* adapter) {
  std::sort(adapter->tensors.begin(), adapter->tensors.end(),
            [](const AdapterTensor& x, const AdapterTensor& y) { return x.name < y.name; });
}

}  // namespace lm::adapter_parts
