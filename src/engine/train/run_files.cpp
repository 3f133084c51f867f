#include "engine/train/run_files.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "engine/core/error.h"
#include "engine/core/output_file.h"
#include "engine/export/changed_tensors.h"
#include "engine/formats/adapter_writer.h"
#include "engine/models/adapter_names.h"
#include "engine/train/adapter_values.h"
#include "engine/train/roles.h"

namespace lm::train {

void write_description(const RunSetup& setup, const TrainOptions& o) {
  const auto put = [&](const char* name, const std::string& text) {
    OutputFile file(o.output + name);
    file.write(text + "\n");
    file.commit();
  };
  put("/options.json", options_json(o));
  put("/data.json", data_json(setup));
}

void save_adapter(RunSetup& setup, const TrainOptions& o, const std::string& folder) {
  if (!trains_adapter(o)) return;
  Adapter adapter = adapter_of(setup.model.get());
  unfit_adapter(&adapter, find_arch(setup.opened.config.architecture), setup.opened.config);
  PeftConfig config;
  config.base_model = o.model_name.empty() ? o.model : o.model_name;
  std::set<std::string> modules;
  for (const AdapterTensor& t : adapter.tensors) {
    const std::string module = t.name.substr(0, t.name.rfind(".weight"));
    modules.insert(module.substr(module.rfind('.') + 1));
    config.rank = t.rank;  // of all; twice lora.rank where the base changed
  }
  config.target_modules.assign(modules.begin(), modules.end());
  config.rslora = o.lora.rslora;
  if (o.lora.rank > 0) {
    const auto r = static_cast<double>(config.rank);
    config.alpha = lora_scale(o.lora) * (config.rslora ? std::sqrt(r) : r);
  }
  write_peft_adapter(adapter, config, folder);
}

namespace {

// Trained numbers into the tensor they are from.
void write_weight(const Piece& piece, int64_t in, std::span<float> values, int64_t cols) {
  const float* from = piece.weight->value.const_data_ptr<float>();
  const int64_t begin = std::max<int64_t>(0, piece.spec.row_begin);
  for (int64_t r = 0; r < piece.n_out; ++r)
    for (int64_t c = 0; c < in; ++c)
      values[static_cast<size_t>(piece.spec.transposed ? c * cols + r : (begin + r) * cols + c)] =
          from[r * in + c];
}

// Every tensor whose values training changed.
ChangedTensors changed_tensors(RunSetup& setup) {
  ChangedTensors out;
  const TensorMap& file = setup.opened.file.tensors;
  std::set<const Parameter*> done;
  setup.model->for_each_linear([&](Linear& linear) {
    for (const Piece& piece : linear.pieces()) {
      if (piece.weight == nullptr) continue;
      done.insert(piece.weight);
      out.change(file, piece.spec.weight, [&](std::span<float> values, int64_t cols) {
        write_weight(piece, linear.in(), values, cols);
      });
    }
  });
  // Norms, biases, tables: as they are in the file.
  for (const Parameter& p : setup.model->parameters().all()) {
    if (done.contains(&p)) continue;
    out.change(file, p.name, [&](std::span<float> values, int64_t) {
      LM_CHECK(static_cast<int64_t>(values.size()) == p.value.numel(), ErrorCode::unsupported,
               "training: \"{}\" cannot be written back", p.name);
      std::copy_n(p.value.const_data_ptr<float>(), values.size(), values.begin());
    });
  }
  return out;
}

}  // namespace

void save_result(RunSetup& setup, const TrainOptions& o, TrainResult* r) {
  r->model = o.model;
  if (!trains_adapter(o)) {
    r->model = o.output + "/model";
    write_changed_model(o.model, changed_tensors(setup), r->model);
    return;
  }
  r->adapter = o.output + "/adapter";
  save_adapter(setup, o, r->adapter);
}

}  // namespace lm::train
