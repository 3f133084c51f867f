#include "engine/train/run_files.h"

#include <set>

#include "engine/formats/adapter_writer.h"
#include "engine/models/adapter_names.h"
#include "engine/train/lora_init.h"
#include "engine/train/roles.h"

namespace lm::train {

void save_adapter(RunSetup& setup, const TrainOptions& o, const std::string& folder) {
  if (o.lora.rank == 0) return;
  const Arch& arch = find_arch(setup.opened.config.architecture);
  Adapter adapter = lora_adapter(setup.model.get());
  PeftConfig config;
  config.base_model = o.model_name.empty() ? o.model : o.model_name;
  config.rank = o.lora.rank;
  config.alpha = lora_alpha(o.lora);
  config.rslora = o.lora.rslora;
  std::set<std::string> modules;
  for (const AdapterTensor& t : adapter.tensors) modules.insert(module_name(arch, t.name));
  config.target_modules.assign(modules.begin(), modules.end());
  unfit_adapter(&adapter, arch, setup.opened.config);
  write_peft_adapter(adapter, config, folder);
}

void save_result(RunSetup& setup, const TrainOptions& o, TrainResult* r) {
  r->model = o.model;
  if (o.lora.rank == 0) return;
  r->adapter = o.output + "/adapter";
  save_adapter(setup, o, r->adapter);
}

}  // namespace lm::train
