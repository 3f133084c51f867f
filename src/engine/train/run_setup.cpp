#include "engine/train/run_setup.h"

#include <nlohmann/json.hpp>

#include "engine/core/cpu_features.h"
#include "engine/core/error.h"
#include "engine/models/adapter_names.h"
#include "engine/text/chat_template.h"
#include "engine/train/adapter_values.h"
#include "engine/train/rates.h"
#include "engine/train/roles.h"

namespace lm::train {

using nlohmann::json;

namespace {

void fill_defaults(TrainOptions& o) {
  if (o.learning_rate == 0)
    o.learning_rate = o.method != "auto" ? 1e-2 : trains_adapter(o) ? 2e-4 : 2e-5;
  if (o.schedule == "auto") o.schedule = o.optimizer == "schedule_free" ? "constant" : "cosine";
  if (o.precision == "auto") o.precision = cpu_features().avx512_bf16 ? "bf16" : "f32";
}

TrainOn train_on(const std::string& word) {
  return word == "all" ? TrainOn::all : word == "last" ? TrainOn::last : TrainOn::assistant;
}

// What each of several sources gives.
std::vector<std::string> describe_sources(const Dataset& d) {
  std::vector<std::string> out;
  for (const DataSource& s : d.sources)
    if (d.sources.size() > 1)
      out.push_back(fmt::format("{}: {} rows, {} tokens{}", s.name, s.n_rows, s.n_tokens,
                                s.weight == 1 ? "" : fmt::format(" (weight {})", s.weight)));
  return out;
}

class DataReader {
 public:
  DataReader(const TrainOptions& o, const OpenedModel& opened, const TrainSink& sink)
      : o_(o), opened_(opened), sink_(sink) {
    if (!opened.chat_template.empty())
      template_ = std::make_unique<ChatTemplate>(opened.chat_template);
  }
  Dataset read(const std::vector<std::string>& paths, const std::vector<double>& weights,
               const std::vector<std::string>& rows, const char* what) const {
    DatasetOptions d;
    d.paths = paths;
    d.weights = weights;
    d.rows = rows;
    d.wrapped = o_.wrapped;
    d.seed = static_cast<uint64_t>(o_.seed);
    d.cache = token_cache_folder();
    d.format = o_.format;
    d.max_length = o_.max_length;
    d.too_long = o_.too_long;
    d.stop_at_bad_rows = o_.bad_rows == "stop";
    d.encode = {opened_.tokenizer.get(), template_.get(), train_on(o_.train_on), true};
    d.progress = sink_.on_wait;
    Dataset out = load_dataset(d);
    note(out, what);
    return out;
  }

 private:
  void note(const Dataset& d, const char* what) const {
    if (!sink_.on_note) return;
    const ReadCounts& c = d.counts;
    std::string text =
        fmt::format("{}: {} rows of {} examples ({}), {} tokens, {} of them trained on", what,
                    d.rows.size(), c.n_examples, c.format, d.n_tokens(), d.n_trained());
    if (c.n_cut > 0) text += fmt::format("; {} longer than {}", c.n_cut, o_.max_length);
    if (c.n_dropped > 0) text += fmt::format("; {} too long and left out", c.n_dropped);
    if (c.n_untrained > 0) text += fmt::format("; {} without a token to train on", c.n_untrained);
    if (c.n_bad > 0) text += fmt::format("; {} bad", c.n_bad);
    sink_.on_note(text);
    for (const std::string& problem : c.problems) sink_.on_note("  left out  " + problem);
    for (const std::string& source : describe_sources(d)) sink_.on_note("  " + source);
    for (const auto& store : d.stores)
      if (!store->path().empty()) sink_.on_note("  tokens are kept in " + store->path());
    const std::string shown = show_trained(d.rows[0], *opened_.tokenizer);
    sink_.on_note("first example, trained on is what stands in « »:\n" +
                  (shown.size() > 1500 ? shown.substr(0, 1500) + " ..." : shown));
  }
  const TrainOptions& o_;
  const OpenedModel& opened_;
  const TrainSink& sink_;
  std::unique_ptr<ChatTemplate> template_;
};

Recompute recompute(const std::string& word) {
  return word == "all" ? Recompute::all : word == "mlp" ? Recompute::mlp : Recompute::none;
}

void check_options(const TrainOptions& o, const ModelSpec& spec) {
  LM_CHECK(!o.output.empty(), ErrorCode::internal, "training: no output folder");
  LM_CHECK(!o.data.empty() || !o.rows.empty(), ErrorCode::bad_option,
           "training: no data; expected files or rows");
  LM_CHECK(!o.optimizer_in_backward || (o.accumulate == 1 && o.max_grad_norm == 0),
           ErrorCode::bad_option,
           "optimizer_in_backward drops gradients before all of them are there: accumulate is {}, "
           "max_grad_norm {}; expected 1 and 0",
           o.accumulate, o.max_grad_norm);
  LM_CHECK(!o.optimizer_in_backward || !o.auto_batch_size, ErrorCode::bad_option,
           "auto_batch_size may need several passes for a step, optimizer_in_backward has one; "
           "expected one of the two");
  const int64_t n_virtual = n_virtual_tokens(o);
  LM_CHECK(o.max_length + n_virtual <= spec.context_length, ErrorCode::bad_option,
           "max_length is {}{}; the model's context is {} tokens", o.max_length,
           n_virtual > 0 ? fmt::format(" with {} virtual_tokens", n_virtual) : "",
           spec.context_length);
}

}  // namespace

RunSetup::RunSetup(TrainOptions& o, const TrainSink& sink)
    : opened(open_model(o.model)), spec(describe_model(opened)) {
  fill_defaults(o);
  check_options(o, spec);
  const DataReader reader(o, opened, sink);
  train = reader.read(o.data, o.weights, o.rows, "data");
  if (!o.eval_data.empty())
    eval = reader.read(o.eval_data, {}, {}, "evaluation");
  else if (o.eval_split > 0)
    eval = split_off(&train, o.eval_split, static_cast<uint64_t>(o.seed));
  const Arch& arch = find_arch(opened.config.architecture);
  ModelOptions m;
  m.compute = o.precision == "bf16" ? at::kBFloat16 : at::kFloat;
  m.fused = o.fused;
  m.recompute = recompute(o.recompute);
  m.grads_by_block = o.optimizer_in_backward;
  m.role = make_roles(o, arch, opened.file.tensors);
  m.loss.smoothing = static_cast<float>(o.label_smoothing);
  m.loss.z_loss = static_cast<float>(o.z_loss);
  m.loss.dft = o.loss == "dft";
  m.neftune = static_cast<float>(o.neftune);
  m.n_virtual = n_virtual_tokens(o);
  m.virtual_kind = o.method == "prefix" ? VirtualTokens::Kind::prefix : VirtualTokens::Kind::prompt;
  if (sink.on_wait) sink.on_wait(0.0, "loading the model");
  model = std::make_unique<TrainModel>(spec, opened.file, m);
  // Its numbers have been copied; the file's pages would count as this process's memory.
  for (const auto& file : opened.file.files) file->release(0, file->bytes().size());
  LM_CHECK(model->parameters().numel() > 0, ErrorCode::bad_option,
           "training: train_only and freeze leave nothing to train");
  init_adapter(model.get(), o, *opened.tokenizer);
  if (!o.init_adapter.empty()) {
    Adapter adapter = open_adapter(o.init_adapter);
    fit_adapter(&adapter, arch, opened.config, opened.file.tensors);
    load_adapter(model.get(), adapter);
  }
  set_rates(o, arch, static_cast<int64_t>(spec.layers.size()), &model->parameters());
}

std::vector<Batch> eval_batches(const Dataset& data, const TrainOptions& o) {
  std::vector<Batch> out;
  std::vector<int64_t> rows;
  int64_t tokens = 0;
  for (int64_t i = 0; i < static_cast<int64_t>(data.rows.size()); ++i) {
    const auto n = static_cast<int64_t>(data.rows[static_cast<size_t>(i)].ids.size());
    if (!rows.empty() && tokens + n > o.batch_size * o.max_length) {
      out.push_back(make_batch(data, rows, n_virtual_tokens(o)));
      rows.clear();
      tokens = 0;
    }
    rows.push_back(i);
    tokens += n;
  }
  if (!rows.empty()) out.push_back(make_batch(data, rows, n_virtual_tokens(o)));
  return out;
}

std::string data_json(const RunSetup& setup) {
  const auto describe = [](const Dataset& d) {
    const ReadCounts& c = d.counts;
    return json{{"rows", d.rows.size()},
                {"tokens", d.n_tokens()},
                {"trained tokens", d.n_trained()},
                {"examples", c.n_examples},
                {"format", c.format},
                {"bad", c.n_bad},
                {"too long", c.n_cut + c.n_dropped},
                {"without a token to train on", c.n_untrained},
                {"problems", c.problems}};
  };
  json j = describe(setup.train);
  j["sources"] = describe_sources(setup.train);
  if (!setup.eval.rows.empty())
    j["evaluation"] = {{"rows", setup.eval.rows.size()}, {"tokens", setup.eval.n_tokens()}};
  return j.dump(2, ' ', false, json::error_handler_t::replace);
}

std::string options_json(const TrainOptions& o) {
  json j, lora;
#define LM_OPTION_NUMBER(name, initial, least, most, doc) j[#name] = o.name;
#define LM_OPTION_INTEGER(name, initial, least, most, doc) j[#name] = o.name;
#define LM_OPTION_BOOLEAN(name, initial, doc) j[#name] = o.name;
#define LM_OPTION_WORD(name, initial, choices, doc) j[#name] = o.name;
#include "engine/api/train_options.inc"
#undef LM_OPTION_NUMBER
#undef LM_OPTION_INTEGER
#undef LM_OPTION_BOOLEAN
#undef LM_OPTION_WORD
#define LM_OPTION_NUMBER(name, initial, least, most, doc) lora[#name] = o.lora.name;
#define LM_OPTION_INTEGER(name, initial, least, most, doc) lora[#name] = o.lora.name;
#define LM_OPTION_BOOLEAN(name, initial, doc) lora[#name] = o.lora.name;
#define LM_OPTION_WORD(name, initial, choices, doc) lora[#name] = o.lora.name;
#include "engine/api/lora_options.inc"
#undef LM_OPTION_NUMBER
#undef LM_OPTION_INTEGER
#undef LM_OPTION_BOOLEAN
#undef LM_OPTION_WORD
  lora["targets"] = o.lora.targets;
  j["lora"] = lora;
  j["model"] = o.model;
  j["model_name"] = o.model_name;
  j["data"] = o.data;
  j["weights"] = o.weights;
  j["eval_data"] = o.eval_data;
  j["train_only"] = o.train_only;
  j["freeze"] = o.freeze;
  j["no_decay"] = o.no_decay;
  j["init_adapter"] = o.init_adapter;
  j["prompt_text"] = o.prompt_text;
  return j.dump(2);
}

}  // namespace lm::train
