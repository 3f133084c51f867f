#include "engine/train/checkpoint.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/core/output_file.h"
#include "engine/formats/checkpoint.h"
#include "engine/formats/json_file.h"
#include "engine/formats/safetensors_writer.h"

namespace lm::train {
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

DType dtype_of(const at::Tensor& t) {
  switch (t.scalar_type()) {
    case at::kFloat:
      return DType::f32;
    case at::kDouble:
      return DType::f64;
    case at::kByte:
      return DType::u8;
    case at::kBFloat16:
      return DType::bf16;
    default:
      raise(ErrorCode::internal, "checkpoint: no such element type");
  }
}

at::ScalarType scalar_type_of(DType type, const std::string& name) {
  switch (type) {
    case DType::f32:
      return at::kFloat;
    case DType::f64:
      return at::kDouble;
    case DType::u8:
      return at::kByte;
    case DType::bf16:
      return at::kBFloat16;
    default:
      raise(ErrorCode::bad_file, "checkpoint: tensor \"{}\" is stored as {}", name,
            dtype_name(type));
  }
}

OutputTensor output_tensor(const std::string& name, const at::Tensor& value) {
  const at::Tensor t = value.detach().contiguous();
  return {name, dtype_of(t), {t.sizes().begin(), t.sizes().end()}, [t](const ByteSink& sink) {
            sink({static_cast<const std::byte*>(t.const_data_ptr()), t.nbytes()});
          }};
}

void read_into(const TensorView& view, const std::string& name, at::Tensor& to) {
  const Shape shape(to.sizes().begin(), to.sizes().end());
  LM_CHECK(view.shape == shape && scalar_type_of(view.dtype, name) == to.scalar_type(),
           ErrorCode::bad_file,
           "checkpoint: tensor \"{}\" has shape {}; expected {}: it is of another run", name,
           shape_string(view.shape), shape_string(shape));
  std::memcpy(to.mutable_data_ptr(), view.data, to.nbytes());
}

void read_parameters(const TensorFile& file, ParameterSet* parameters) {
  const at::NoGradGuard no_grad;
  for (Parameter& p : parameters->all()) {
    const auto it = file.tensors.find("parameter/" + p.name);
    LM_CHECK(it != file.tensors.end(), ErrorCode::bad_file,
             "checkpoint: no tensor \"{}\"; it is of another run", p.name);
    at::Tensor value = p.value.detach();
    read_into(it->second, p.name, value);
  }
}

json state_json(const RunState& s) {
  return {{"step", s.step},
          {"tokens", s.tokens},
          {"best_loss", s.best_loss},
          {"best_step", s.best_step},
          {"without_better", s.without_better},
          {"data_hash", s.data_hash},
          {"options", json::parse(s.options)}};
}

constexpr const char* kPrefix = "checkpoint-";

}  // namespace

std::string checkpoint_path(const std::string& run, int64_t step) {
  return fmt::format("{}/{}{:06}", run, kPrefix, step);
}

std::string save_checkpoint(const std::string& run, const RunState& state,
                            const ParameterSet& parameters, const OptimizerStates& optimizer,
                            const std::function<void(const std::string&)>& more) {
  const std::string path = checkpoint_path(run, state.step), partial = path + ".partial";
  fs::remove_all(partial);
  fs::create_directories(partial);
  std::vector<OutputTensor> tensors;
  for (const Parameter& p : parameters.all())
    tensors.push_back(output_tensor("parameter/" + p.name, p.value));
  for (const auto& [name, values] : optimizer)
    for (const auto& [key, value] : values)
      tensors.push_back(output_tensor(fmt::format("optimizer/{}/{}", key, name), value));
  write_safetensors(partial, "trainer", tensors);
  more(partial);
  OutputFile file(partial + "/state.json");
  file.write(state_json(state).dump(2) + "\n");
  file.commit();
  fs::remove_all(path);
  fs::rename(partial, path);
  return path;
}

RunState load_checkpoint(const std::string& folder, ParameterSet* parameters,
                         OptimizerStates* optimizer) {
  const json j = read_json_file(folder + "/state.json");
  RunState s;
  try {
    s.step = j.at("step");
    s.tokens = j.at("tokens");
    s.best_loss = j.at("best_loss");
    s.best_step = j.at("best_step");
    s.without_better = j.at("without_better");
    s.data_hash = j.at("data_hash");
    s.options = j.at("options").dump();
  } catch (const json::exception& e) {
    raise(ErrorCode::bad_file, "{}/state.json: {}", folder, e.what());
  }
  const TensorFile file = open_checkpoint(folder + "/trainer.safetensors");
  read_parameters(file, parameters);
  for (const auto& [name, view] : file.tensors) {
    if (!name.starts_with("optimizer/")) continue;
    const size_t slash = name.find('/', 10);
    LM_CHECK(slash != std::string::npos, ErrorCode::bad_file, "checkpoint: tensor \"{}\"", name);
    at::Tensor value = at::empty(view.shape, scalar_type_of(view.dtype, name));
    read_into(view, name, value);
    (*optimizer)[name.substr(slash + 1)][name.substr(10, slash - 10)] = value;
  }
  return s;
}

std::vector<int64_t> checkpoint_steps(const std::string& run) {
  std::vector<int64_t> steps;
  if (!fs::is_directory(run)) return steps;
  for (const auto& entry : fs::directory_iterator(run)) {
    const std::string name = entry.path().filename().string();
    const std::string digits = name.starts_with(kPrefix) ? name.substr(11) : "";
    if (digits.empty() || digits.size() > 15 ||
        digits.find_first_not_of("0123456789") != std::string::npos)
      continue;
    if (fs::exists(entry.path() / "state.json")) steps.push_back(std::stoll(digits));
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

void remove_old_checkpoints(const std::string& run, int64_t keep, int64_t best) {
  std::vector<int64_t> steps = checkpoint_steps(run);
  const auto n = static_cast<int64_t>(steps.size());
  for (int64_t i = 0; i < n - keep; ++i)
    if (steps[static_cast<size_t>(i)] != best)
      fs::remove_all(checkpoint_path(run, steps[static_cast<size_t>(i)]));
}

}  // namespace lm::train
