// The scheduler: what runs beside a request changes nothing of it, not a bit. Every decoder of
// tests/data/models, in both precisions.
#include "engine/infer/scheduler.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "engine/api/generate.h"
#include "engine/api/model.h"
#include "engine/core/error.h"
#include "engine/core/rng.h"

using namespace lm;
namespace fs = std::filesystem;

namespace {

const fs::path kModels = fs::path(LM_SOURCE_DIR) / "tests" / "data" / "models";

std::shared_ptr<const Model> load(const std::string& name, const std::string& precision,
                                  int64_t kv_cache_tokens = 0) {
  LoadOptions options;
  options.precision = precision;
  options.kv_cache_tokens = kv_cache_tokens;
  return Model::load((kModels / name).string(), options);
}

// Folders of decoders without an encoder or images. With dynamic RoPE the keys depend on the length
// that the text had when they were made, as in transformers: its texts have a history.
std::vector<std::string> decoders() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kModels)) {
    const std::string name = entry.path().filename().string();
    if (!fs::exists(entry.path() / "config.json") || name.find("lora") != std::string::npos ||
        name == "llama-rope-dynamic")
      continue;
    const auto model = load(name, "fast");
    const ModelSpec& spec = model->spec();
    if (spec.causal() && spec.output && !spec.encoder && !spec.image && !spec.vision && !spec.head)
      names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<int32_t> random_ids(Rng& rng, int64_t vocab, size_t n) {
  std::vector<int32_t> ids(n);
  for (int32_t& id : ids) id = static_cast<int32_t>(rng.next() % static_cast<uint64_t>(vocab));
  return ids;
}

struct Request {
  std::vector<int32_t> prompt;
  GenerateOptions options;
};

// Prompts that share beginnings and ones that do not, greedy and drawn.
std::vector<Request> requests(const Model& model) {
  Rng rng(5);
  const int64_t vocab = model.info().vocab_size;
  const auto most = static_cast<size_t>(model.info().context_length);
  const auto shared = random_ids(rng, vocab, std::min<size_t>(70, most / 2));
  std::vector<Request> all;
  for (size_t i = 0; i < 6; ++i) {
    Request r;
    if (i % 2 == 0) r.prompt = shared;
    const auto more = random_ids(rng, vocab, 1 + 3 * i);
    r.prompt.insert(r.prompt.end(), more.begin(), more.end());
    r.options.max_tokens =
        std::min<int64_t>(8 + static_cast<int64_t>(i), static_cast<int64_t>(most) / 4);
    r.options.ignore_eos = true;
    r.options.logprobs = 2;
    r.options.sampling.temperature = i < 3 ? 0.0 : 1.0;
    r.options.sampling.seed = 7 + i;
    all.push_back(r);
  }
  return all;
}

struct Answer {
  std::vector<int32_t> ids;
  std::vector<double> logprobs;
  bool operator==(const Answer&) const = default;
};

Answer read(Generation& generation) {
  std::string piece;
  while (generation.next(&piece)) {
  }
  Answer out{generation.tokens(), {}};
  for (const StepLogprobs& step : generation.logprobs()) {
    out.logprobs.push_back(step.chosen.logprob);
    for (const TokenLogprob& top : step.top) out.logprobs.push_back(top.logprob);
  }
  return out;
}

std::vector<Answer> one_by_one(const std::string& name, const std::string& precision) {
  std::vector<Answer> out;
  // A fresh model for each: nothing is known from before.
  const auto count = requests(*load(name, precision)).size();
  for (size_t i = 0; i < count; ++i) {
    const auto model = load(name, precision);
    Request r = requests(*model)[i];
    Generation generation(std::make_shared<Context>(model), r.prompt, r.options);
    out.push_back(read(generation));
  }
  return out;
}

std::vector<Answer> together(const std::shared_ptr<const Model>& model) {
  std::vector<std::unique_ptr<Generation>> running;
  for (const Request& r : requests(*model)) {
    running.push_back(
        std::make_unique<Generation>(std::make_shared<Context>(model), r.prompt, r.options));
    running.back()->start();
  }
  std::vector<Answer> out;
  for (const auto& generation : running) out.push_back(read(*generation));
  return out;
}

}  // namespace

TEST_CASE("scheduler: a request gives the same bits alone and beside others, for every decoder") {
  for (const std::string& name : decoders())
    for (const char* precision : {"fast", "high", "exact"}) {
      CAPTURE(name);
      CAPTURE(precision);
      const auto alone = one_by_one(name, precision);
      const auto model = load(name, precision);
      CHECK(together(model) == alone);
      // Again, with everything in the prefix cache.
      CHECK(together(model) == alone);
      const SchedulerStats stats = Scheduler::of(*model).stats();
      CHECK(stats.running == 0);
      CHECK(stats.waiting == 0);
      if (model->spec().n_meta == 0 && model->spec().fixed_rope_length() > 80)
        CHECK(stats.reused_tokens > 0);
    }
}

TEST_CASE("scheduler: a text goes on from where another ended, to the token, with the same bits") {
  for (const bool started : {false, true}) {
    CAPTURE(started);
    std::vector<int32_t> prompt(45);
    for (size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<int32_t>(3 + i * 7 % 50);
    GenerateOptions o;
    o.max_tokens = 12;
    const auto ask = [&](const std::shared_ptr<const Model>& model, std::vector<int32_t> ids) {
      Generation generation(std::make_shared<Context>(model), std::move(ids), o);
      if (started) generation.start();
      std::string piece;
      while (generation.next(&piece)) {
      }
      return std::pair(generation.tokens(), generation.stats().reused_tokens);
    };
    const auto model = load("llama", "high");
    const auto [tokens, none] = ask(model, prompt);
    CHECK(none == 0);
    REQUIRE(tokens.size() > 2);
    CHECK(ask(model, prompt) == std::pair(tokens, int64_t{44}));  // the last is evaluated again
    auto longer = prompt;
    longer.insert(longer.end(), tokens.begin(), tokens.end() - 1);
    longer.push_back(5);
    const auto [more, reused] = ask(model, longer);
    CHECK(reused == static_cast<int64_t>(longer.size()) - 1);
    CHECK(more == ask(load("llama", "high"), longer).first);
    auto other = prompt;
    other[40] = 6;
    CHECK(ask(model, other).second == 40);
  }
}

TEST_CASE("scheduler: threads that wait for their own answers share the steps") {
  const auto alone = one_by_one("llama", "fast");
  const auto model = load("llama", "fast");
  const auto all = requests(*model);
  std::vector<Answer> got(all.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < all.size(); ++i)
    threads.emplace_back([&, i] {
      Generation generation(std::make_shared<Context>(model), all[i].prompt, all[i].options);
      got[i] = read(generation);
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(got == alone);
}

TEST_CASE("scheduler: short memory preempts and begins anew, with the same bits") {
  for (const char* name : {"llama", "mistral-window", "gemma3"}) {
    CAPTURE(name);
    const auto alone = one_by_one(name, "fast");
    const auto model = load(name, "fast", 4 * kPageTokens);
    CHECK(together(model) == alone);
    const SchedulerStats stats = Scheduler::of(*model).stats();
    CHECK(stats.n_pages == 4);
    CHECK(stats.preemptions > 0);
  }
}

TEST_CASE("scheduler: a text that can never fit is refused, and others go on") {
  const auto model = load("llama", "fast", kPageTokens);
  Rng rng(3);
  const auto long_ids = random_ids(rng, model->info().vocab_size, 40);
  Context context(model);
  CHECK_THROWS_WITH_AS(context.eval(long_ids), doctest::Contains("40 tokens does not fit"), Error);
  CHECK(context.tokens().empty());
  CHECK_NOTHROW(context.eval(std::vector<int32_t>(long_ids.begin(), long_ids.begin() + 20)));
}

TEST_CASE("scheduler: cancelling one request leaves the others as they are") {
  const auto alone = one_by_one("llama", "fast");
  const auto model = load("llama", "fast");
  const auto all = requests(*model);
  std::vector<std::unique_ptr<Generation>> running;
  for (const Request& r : all) {
    running.push_back(
        std::make_unique<Generation>(std::make_shared<Context>(model), r.prompt, r.options));
    running.back()->start();
  }
  std::string piece;
  running[2]->next(&piece);
  running[0].reset();
  running[3].reset();
  for (const size_t i : {1u, 2u, 4u, 5u}) CHECK(read(*running[i]) == alone[i]);
}

TEST_CASE("contexts: a copy goes on like the text it was copied from, for every decoder") {
  for (const std::string& name : decoders()) {
    CAPTURE(name);
    const auto model = load(name, "fast");
    Rng rng(9);
    const auto n = std::min<size_t>(45, static_cast<size_t>(model->info().context_length) - 4);
    auto ids = random_ids(rng, model->info().vocab_size, n);
    Context first(model), second(model);
    first.eval(ids);
    second.become(first, n);
    ids.push_back(3);
    const auto a = first.append(5);
    const std::vector<float> other(a.begin(), a.end());
    const auto b = second.eval(ids);
    const std::vector<float> copied(b.begin(), b.end());
    CHECK(second.n_reused() == static_cast<int64_t>(n));
    Context fresh(load(name, "fast"));
    const auto want = fresh.eval(ids);
    CHECK(std::equal(want.begin(), want.end(), copied.begin()));
    ids.back() = 5;
    Context fresh5(load(name, "fast"));
    const auto want5 = fresh5.eval(ids);
    CHECK(std::equal(want5.begin(), want5.end(), other.begin()));
  }
}

TEST_CASE("context overflow: stops by default, shifts by choice") {
  const auto model = load("llama", "fast");
  Rng rng(4);
  const auto prompt = random_ids(rng, model->info().vocab_size, 20);
  const auto run = [&](const std::string& overflow) {
    GenerateOptions o;
    o.sampling.temperature = 0.0;
    o.max_tokens = 40;
    o.ignore_eos = true;
    o.overflow = overflow;
    o.keep = 4;
    Generation g(std::make_shared<Context>(model, 32), prompt, o);
    std::string piece;
    while (g.next(&piece)) {
    }
    return std::make_pair(g.tokens(), g.stats().finish_reason);
  };
  const auto [stopped, reason] = run("stop");
  CHECK(stopped.size() == 13);  // the last one needs no place
  CHECK(reason == "length");
  const auto [shifted, end] = run("shift");
  CHECK(shifted.size() == 40);
  CHECK(end == "length");
  // Token 14 follows the first four tokens and the newer half of the rest.
  std::vector<int32_t> seen = prompt;
  seen.insert(seen.end(), shifted.begin(), shifted.begin() + 12);
  std::vector<int32_t> kept(seen.begin(), seen.begin() + 4);
  kept.insert(kept.end(), seen.end() - 14, seen.end());
  kept.push_back(shifted[12]);
  Context context(model);
  const auto logits = context.eval(kept);
  CHECK(std::max_element(logits.begin(), logits.end()) - logits.begin() == shifted[13]);
  CHECK_THROWS_WITH_AS(run("slide"), doctest::Contains("overflow is \"slide\""), Error);
}

namespace {

// The answers of all requests with speculation, and what was guessed.
std::pair<std::vector<Answer>, GenerateStats> with_speculation(
    const std::shared_ptr<const Model>& model, const SpeculationOptions& speculation,
    bool at_once) {
  std::vector<std::unique_ptr<Generation>> running;
  for (Request r : requests(*model)) {
    r.options.speculation = speculation;
    r.options.speculation.draft =
        speculation.draft ? std::make_shared<Context>(speculation.draft->model()) : nullptr;
    running.push_back(
        std::make_unique<Generation>(std::make_shared<Context>(model), r.prompt, r.options));
    if (at_once) running.back()->start();
  }
  std::pair<std::vector<Answer>, GenerateStats> out;
  for (const auto& generation : running) {
    out.first.push_back(read(*generation));
    out.second.draft_tokens += generation->stats().draft_tokens;
    out.second.accepted_tokens += generation->stats().accepted_tokens;
  }
  return out;
}

}  // namespace

TEST_CASE("speculation: the answers are the same, token by token and bit by bit") {
  SpeculationOptions lookup;
  lookup.kind = SpeculationOptions::Kind::prompt_lookup;
  int64_t guessed = 0;
  for (const std::string& name : decoders()) {
    CAPTURE(name);
    const auto alone = one_by_one(name, "fast");
    const auto model = load(name, "fast");
    for (const bool at_once : {false, true}) {
      const auto [answers, stats] = with_speculation(model, lookup, at_once);
      CHECK(answers == alone);
      guessed += stats.draft_tokens;
    }
    SpeculationOptions draft;
    draft.kind = SpeculationOptions::Kind::draft_model;
    draft.draft = std::make_shared<Context>(load(name, "exact"));  // nearly always right
    const auto [answers, stats] = with_speculation(model, draft, false);
    CHECK(answers == alone);
    if (!model->spec().recurrent()) CHECK(stats.accepted_tokens > 0);
  }
  CHECK(guessed > 0);
}

TEST_CASE("speculation: a draft model with other tokens is refused with the first that differs") {
  const auto model = load("llama", "fast"), other = load("smolvlm", "fast");
  GenerateOptions o;
  o.speculation.kind = SpeculationOptions::Kind::draft_model;
  o.speculation.draft = std::make_shared<Context>(other);
  CHECK_THROWS_WITH_AS(Generation(std::make_shared<Context>(model), {1, 2}, o),
                       doctest::Contains("expected the same vocabulary"), Error);
  o.speculation.max_draft_tokens = 9;
  CHECK_THROWS_WITH_AS(Generation(std::make_shared<Context>(model), {1, 2}, o),
                       doctest::Contains("max_draft_tokens is 9"), Error);
}

TEST_CASE("adapters: a context works with those it chose") {
  const auto model = load("llama", "fast");
  Rng rng(8);
  const auto ids = random_ids(rng, model->info().vocab_size, 40);
  const auto logits = [&](Context& context) {
    const auto values = context.eval(ids);
    return std::vector<float>(values.begin(), values.end());
  };
  Context plain(model), with_a(model), with_both(model), none(model);
  const auto base = logits(plain);
  model->add_adapter((kModels / "llama-lora").string(), "a", 1.0);
  const auto a = logits(with_a);
  model->add_adapter((kModels / "llama-rslora-gate").string(), "b", 1.0);
  const auto both = logits(with_both);
  with_a.choose_adapters({"a"});
  CHECK(logits(with_a) == a);
  none.choose_adapters({});
  CHECK(logits(none) == base);
  CHECK(logits(plain) == both);
  CHECK(a != base);
  CHECK(both != a);
  none.choose_adapters({"c"});
  CHECK_THROWS_WITH_AS(none.eval(ids), doctest::Contains("no adapter \"c\""), Error);
}

TEST_CASE("sessions: what is restored goes on with the same bits, for every decoder") {
  const std::string path = (fs::temp_directory_path() / "lmfast_session_test").string();
  for (const std::string& name : decoders()) {
    CAPTURE(name);
    const auto model = load(name, "fast");
    Rng rng(6);
    const auto ids = random_ids(rng, model->info().vocab_size, 40);
    Context first(model);
    first.eval(ids);
    first.save(path, "what was said");
    const auto logits = first.append(3);
    const std::vector<float> want(logits.begin(), logits.end());
    const auto again = load(name, "fast");
    Context second(again);
    CHECK(second.restore(path) == "what was said");
    CHECK(second.tokens() == ids);
    const auto got = second.append(3);
    CHECK(std::equal(want.begin(), want.end(), got.begin()));
  }
  fs::remove(path);
}

TEST_CASE("sessions: other models' and damaged files are refused, and the context goes on") {
  const std::string path = (fs::temp_directory_path() / "lmfast_session_test2").string();
  const auto model = load("llama", "fast");
  Context context(model);
  context.eval(std::vector<int32_t>{1, 2, 3});
  context.save(path);
  std::string whole;
  {
    std::ifstream in(path, std::ios::binary);
    whole.assign(std::istreambuf_iterator<char>(in), {});
  }
  const auto refused = [&](const std::string& bytes, const char* why) {
    std::ofstream(path, std::ios::binary) << bytes;
    CHECK_THROWS_WITH_AS(context.restore(path), doctest::Contains(why), Error);
  };
  Context other(load("qwen2", "fast"));
  CHECK_THROWS_WITH_AS(other.restore(path), doctest::Contains("another model"), Error);
  Context exact(load("llama", "exact"));
  CHECK_THROWS_AS(exact.restore(path), Error);
  refused("", "");
  refused("hello", "it has 5 bytes");
  refused(std::string(200, 'x'), "does not begin with LMSESS1");
  refused(whole.substr(0, whole.size() - 1), "is damaged: it has");
  for (const size_t at : {8u, 16u, 24u, 32u, 64u, 90u, 200u}) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x40);
    refused(flipped, "");
  }
  context.eval(std::vector<int32_t>{1, 2, 3});
  fs::remove(path);
}

TEST_CASE("adapters: texts with different ones share a pass, each as it is alone") {
  const std::string lora = (kModels / "llama-lora").string(),
                    rslora = (kModels / "llama-rslora-gate").string();
  Rng rng(8);
  const auto prompt = random_ids(rng, load("llama", "fast")->info().vocab_size, 20);
  GenerateOptions o;
  o.sampling.temperature = 0.0;
  o.max_tokens = 12;
  o.ignore_eos = true;
  o.logprobs = 1;
  // What a text began with it keeps: no adapter, one, two, one again.
  const auto begin = [&](const std::shared_ptr<const Model>& model) {
    auto generation = std::make_unique<Generation>(std::make_shared<Context>(model), prompt, o);
    generation->start();
    return generation;
  };
  const auto run = [&](bool together) {
    std::vector<Answer> out;
    std::vector<std::unique_ptr<Generation>> running;
    const auto model = load("llama", "fast");
    const auto next = [&] {
      running.push_back(begin(model));
      if (!together) out.push_back(read(*running.back()));
    };
    next();
    model->add_adapter(lora, "a", 1.0);
    next();
    model->add_adapter(rslora, "b", 1.0);
    next();
    model->remove_adapter("a");
    next();
    if (together)
      for (const auto& generation : running) out.push_back(read(*generation));
    return out;
  };
  const auto alone = run(false), together = run(true);
  CHECK(together == alone);
  for (size_t i = 1; i < alone.size(); ++i) CHECK(alone[i].logprobs != alone[0].logprobs);
}
