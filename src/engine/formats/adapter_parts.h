// What the readers of adapters share.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "engine/formats/adapter.h"

namespace lm::adapter_parts {

// A matrix of an adapter as floats.
struct Matrix {
  int64_t rows = 0, cols = 0;
  std::vector<float> values;
  Matrix transposed() const;
};

// Throws unsupported for other shapes and types; `file` is for messages, as everywhere here.
Matrix read_matrix(const TensorView& view, const std::string& tensor, const std::string& file);
// A vector, or a matrix with one row or one column.
std::vector<float> read_vector(const TensorView& view, const std::string& tensor,
                               const std::string& file);

// The two halves of each adapted matrix, by the name of W.
using Pairs = std::map<std::string, std::pair<Matrix, Matrix>>;

// Throws bad_file for a missing half or shapes that do not fit each other.
AdapterTensor make_tensor(const std::string& name, Matrix a, Matrix b, const std::string& file);

nlohmann::json config_object(std::string_view text, const std::string& name);
double number_or(const nlohmann::json& object, const char* key, double fallback,
                 const std::string& file);
bool flag(const nlohmann::json& object, const char* key);
std::string string_or(const nlohmann::json& object, const char* key, const char* fallback);

void sort_by_name(Adapter* adapter);

}  // namespace lm::adapter_parts
