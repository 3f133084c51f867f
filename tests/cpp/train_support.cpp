#include "train_support.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "engine/formats/adapter.h"
#include "engine/formats/checkpoint.h"

namespace lm_test {

using namespace lm;
using nlohmann::json;

namespace {

const std::string kData = std::string(LM_SOURCE_DIR) + "/tests/data/";

#define LM_OPTION_NUMBER(name, initial, least, most, doc) o->name = j.value(#name, o->name);
#define LM_OPTION_INTEGER(name, initial, least, most, doc) o->name = j.value(#name, o->name);
#define LM_OPTION_BOOLEAN(name, initial, doc) o->name = j.value(#name, o->name);
#define LM_OPTION_WORD(name, initial, choices, doc) o->name = j.value(#name, o->name);

void read_options(const json& j, TrainOptions* o) {
#include "engine/api/train_options.inc"
}
void read_options(const json& j, LoraOptions* o){
#include "engine/api/lora_options.inc"
}

#undef LM_OPTION_NUMBER
#undef LM_OPTION_INTEGER
#undef LM_OPTION_BOOLEAN
#undef LM_OPTION_WORD

std::vector<float> floats(const TensorView& view) {
  REQUIRE(view.dtype == DType::f32);
  std::vector<float> out(static_cast<size_t>(view.numel()));
  std::memcpy(out.data(), view.data, out.size() * sizeof(float));
  return out;
}

// scale B A, [out * in].
std::vector<double> change_of(const AdapterTensor& t) {
  std::vector<double> out(static_cast<size_t>(t.out * t.in));
  for (int64_t r = 0; r < t.out; ++r)
    for (int64_t k = 0; k < t.rank; ++k)
      for (int64_t c = 0; c < t.in; ++c)
        out[static_cast<size_t>(r * t.in + c)] +=
            static_cast<double>(t.scale) *
            static_cast<double>(t.b[static_cast<size_t>(r * t.rank + k)]) *
            static_cast<double>(t.a[static_cast<size_t>(k * t.in + c)]);
  return out;
}

}  // namespace

const TrainApi* training() {
  try {
    return &train_api();
  } catch (const Error& e) {
    std::printf("skipped: the training library cannot be opened (%s)\n", e.message().c_str());
    std::fflush(stdout);
    return nullptr;
  }
}

std::string TrainCase::folder() const {
  return kData + "training/" + name + "/";
}

TrainCase train_case(const std::string& name) {
  TrainCase c;
  c.name = name;
  std::ifstream in(c.folder() + "case.json");
  REQUIRE(in.good());
  c.fields = json::parse(in);
  c.losses = c.fields["losses"].get<std::vector<double>>();
  c.norms = c.fields["grad_norms"].get<std::vector<double>>();
  return c;
}

TrainOptions TrainCase::options(const std::string& output) const {
  TrainOptions o;
  o.model = kData + "models/" + fields["model"].get<std::string>();
  for (const json& row : fields["rows"]) o.rows.push_back(row.dump());
  o.output = output;
  o.max_length = 32;
  o.packing = o.shuffle = false;
  o.precision = "f32";
  read_options(fields["options"], &o);
  const std::vector<std::string> none;
  o.train_only = fields["options"].value("train_only", none);
  o.freeze = fields["options"].value("freeze", none);
  o.no_decay = fields["options"].value("no_decay", none);
  if (!fields["lora"].is_null()) read_options(fields["lora"], &o.lora);
  if (std::filesystem::exists(folder() + "start")) o.init_adapter = folder() + "start";
  return o;
}

std::vector<double> TrainedRun::losses() const {
  std::vector<double> out;
  for (const TrainEvent& e : steps) out.push_back(e.loss);
  return out;
}

TrainedRun run_training(const TrainOptions& options, TrainSink sink) {
  TrainedRun out;
  sink.on_event = [&, inner = sink.on_event](const TrainEvent& e) {
    if (e.kind == "step") out.steps.push_back(e);
    if (e.kind == "eval") out.evaluations.push_back(e);
    if (inner) inner(e);
  };
  out.result = train_api().train(options, sink);
  return out;
}

std::string checkpoint_of(const std::string& run, int64_t step) {
  return fmt::format("{}/checkpoint-{:06}", run, step);
}

void check_steps(const TrainCase& expected, const TrainedRun& actual, double tolerance,
                 double first) {
  CAPTURE(expected.name);
  REQUIRE(actual.steps.size() == expected.losses.size());
  for (size_t i = 0; i < actual.steps.size(); ++i) {
    CAPTURE(i);
    CHECK(actual.steps[i].loss ==
          doctest::Approx(expected.losses[i]).epsilon(i == 0 ? first : tolerance));
    CHECK(actual.steps[i].grad_norm == doctest::Approx(expected.norms[i]).epsilon(10 * tolerance));
  }
}

void check_tensors(const std::string& expected, const std::string& actual, double tolerance) {
  const TensorFile want_file = open_checkpoint(expected), got_file = open_checkpoint(actual);
  for (const auto& [name, view] : want_file.tensors) {
    CAPTURE(name);
    const auto it = got_file.tensors.find(name);
    REQUIRE(it != got_file.tensors.end());
    REQUIRE(it->second.shape == view.shape);
    const std::vector<float> want = floats(view), got = floats(it->second);
    double worst = 0;
    for (size_t i = 0; i < want.size(); ++i)
      worst =
          std::max(worst, std::fabs(static_cast<double>(want[i]) - static_cast<double>(got[i])));
    CHECK(worst <= tolerance);
  }
  CHECK(got_file.tensors.size() == want_file.tensors.size());
}

void check_changes(const std::string& expected, const std::string& actual, double tolerance) {
  const Adapter want = open_adapter(expected), got = open_adapter(actual);
  REQUIRE(want.tensors.size() == got.tensors.size());
  for (size_t i = 0; i < want.tensors.size(); ++i) {
    CAPTURE(want.tensors[i].name);
    REQUIRE(got.tensors[i].name == want.tensors[i].name);
    double difference = 0, size = 0;
    const std::vector<double> x = change_of(want.tensors[i]), y = change_of(got.tensors[i]);
    REQUIRE(x.size() == y.size());
    for (size_t j = 0; j < x.size(); ++j) {
      difference += (x[j] - y[j]) * (x[j] - y[j]);
      size += x[j] * x[j];
    }
    CHECK(std::sqrt(difference / size) <= tolerance);
  }
}

}  // namespace lm_test
