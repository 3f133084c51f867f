#include "engine/train/history.h"

#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/core/output_file.h"

namespace lm::train {

using nlohmann::json;

void History::add(const TrainEvent& e) const {
  json j = {{"kind", e.kind}, {"step", e.step}, {"epoch", e.epoch}, {"tokens", e.tokens}};
  if (e.kind != "save") {
    j["loss"] = e.loss;
    j["accuracy"] = e.accuracy;
    j["entropy"] = e.entropy;
  }
  if (e.kind == "step") {
    j["grad_norm"] = e.grad_norm;
    j["learning_rate"] = e.learning_rate;
    j["tokens_per_s"] = e.tokens_per_s;
    j["memory"] = e.memory;
  }
  if (!e.path.empty()) j["path"] = e.path;
  std::ofstream out(path_, std::ios::app);
  out << j.dump() << "\n";
  out.flush();
  LM_CHECK(out.good(), ErrorCode::io, "{}: cannot be written; is the disk full?", path_);
}

void History::truncate(int64_t step) const {
  if (!std::filesystem::exists(path_)) return;
  std::ifstream in(path_);
  std::string kept;
  for (std::string line; std::getline(in, line);) {
    const json j = json::parse(line, nullptr, false);
    if (j.is_object() && j.value("step", int64_t{0}) <= step) kept += line + "\n";
  }
  OutputFile file(path_);
  file.write(kept);
  file.commit();
}

int64_t peak_memory() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  return int64_t{use.ru_maxrss} * 1024;
}

}  // namespace lm::train
