// Room for more tokens: new rows of the embedding and the output matrix, and a tokenizer that knows
// them.
#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/api/new_model.h"
#include "engine/core/error.h"
#include "engine/export/changed_tensors.h"
#include "engine/formats/json_file.h"
#include "engine/kernels/cpu/to_f32.h"
#include "engine/text/tokenizer.h"

namespace lm {
namespace fs = std::filesystem;
using nlohmann::ordered_json;

namespace {

// The matrix [old, C] with rows for ids begin .. begin + n - 1, each the mean of the first `begin`
// rows. Rows beyond the vocabulary that the file has already are used first.
void grow(const TensorMap& file, const std::string& name, int64_t begin, int64_t n,
          ChangedTensors* out) {
  const TensorView& view = file.at(name);
  const int64_t cols = view.cols(), old = view.rows(), rows = std::max(old, begin + n);
  std::vector<float> values(static_cast<size_t>(rows * cols));
  check_to_f32(view.dtype);
  to_f32(view, 0, view.numel(), values.data());
  std::vector<double> mean(static_cast<size_t>(cols));
  for (int64_t r = 0; r < begin; ++r)
    for (int64_t c = 0; c < cols; ++c)
      mean[static_cast<size_t>(c)] += values[static_cast<size_t>(r * cols + c)];
  for (int64_t r = begin; r < begin + n; ++r)
    for (int64_t c = 0; c < cols; ++c)
      values[static_cast<size_t>(r * cols + c)] =
          static_cast<float>(mean[static_cast<size_t>(c)] / static_cast<double>(begin));
  Shape shape = view.shape;
  shape[0] = rows;
  out->set(name, view.dtype, values, shape);
}

void put(const std::string& path, const ordered_json& j) {
  const std::string text = j.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
  write_file_atomic(path, std::as_bytes(std::span(text)));
}

ordered_json read(const std::string& path) {
  ordered_json j = ordered_json::parse(read_file(path), nullptr, false);
  LM_CHECK(j.is_object(), ErrorCode::bad_file, "{}: not a JSON object", path);
  return j;
}

void add_to_tokenizer(const std::string& folder, const std::vector<std::string>& tokens,
                      int64_t begin) {
  const std::string path = folder + "/tokenizer.json";
  LM_CHECK(fs::exists(path), ErrorCode::unsupported,
           "the model has no tokenizer.json, which new tokens would stand in");
  ordered_json j = read(path);
  if (!j["added_tokens"].is_array()) j["added_tokens"] = ordered_json::array();
  int64_t id = begin;
  for (const std::string& token : tokens)
    j["added_tokens"].push_back({{"id", id++},
                                 {"content", token},
                                 {"single_word", false},
                                 {"lstrip", false},
                                 {"rstrip", false},
                                 {"normalized", false},
                                 {"special", true}});
  put(path, j);
}

}  // namespace

int64_t write_with_new_tokens(const std::string& from, const std::vector<std::string>& tokens,
                              const std::string& folder) {
  const OpenedModel opened = open_model(from);
  const ModelSpec spec = describe_model(opened);
  std::vector<std::string> added;
  for (const std::string& token : tokens) {
    LM_CHECK(!token.empty(), ErrorCode::bad_option, "new_tokens has an empty token");
    const bool twice = std::find(added.begin(), added.end(), token) != added.end();
    if (opened.tokenizer->id_of(token) < 0 && !twice) added.push_back(token);
  }
  const auto n = static_cast<int64_t>(added.size());
  const int64_t begin = opened.tokenizer->size();
  const TensorMap& file = opened.file.tensors;
  ChangedTensors changed;
  for (const std::string& name : {spec.embedding.weight, spec.output ? spec.output->weight : ""})
    if (!name.empty() && !changed.views().contains(name) && n > 0)
      grow(file, name, begin, n, &changed);
  LM_CHECK(!spec.output || spec.output->bias.empty() || begin + n <= spec.vocab_size,
           ErrorCode::unsupported, "\"{}\" has an output bias, which cannot grow", from);
  fs::create_directories(folder);
  write_changed_model(from, changed, folder);
  if (n == 0) return 0;
  add_to_tokenizer(folder, added, begin);
  ordered_json config = read(folder + "/config.json");
  config["vocab_size"] = changed.views().at(spec.embedding.weight).shape[0];
  put(folder + "/config.json", config);
  return n;
}

}  // namespace lm
