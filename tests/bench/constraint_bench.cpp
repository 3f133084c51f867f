// Times constraints on JSON Schemas as a server meets them: compile, then for each token of each
// valid instance a mask and an accept. Reads lines from standard input: "S <tab> name <tab>
// schema", "V <tab> instance" (JSON that satisfies the last schema), "I <tab> instance" (JSON that
// does not). Prints one JSON object: microseconds, and how many schemas passed.
//
// Usage: constraint_bench TOKENIZER < lines
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <vector>

#include "engine/api/constraint.h"
#include "engine/core/error.h"
#include "engine/text/tokenizer.h"

namespace {

using Clock = std::chrono::steady_clock;

double microseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

void print_times(const char* name, std::vector<double> times) {
  std::sort(times.begin(), times.end());
  double sum = 0;
  for (const double t : times) sum += t;
  const auto at = [&](double p) {
    return times.empty() ? 0.0
                         : times[static_cast<size_t>(p * static_cast<double>(times.size() - 1))];
  };
  std::printf(
      "\"%s\": {\"n\": %zu, \"mean\": %.2f, \"p50\": %.2f, \"p90\": %.2f, \"p99\": %.2f, "
      "\"max\": %.1f}",
      name, times.size(), times.empty() ? 0 : sum / static_cast<double>(times.size()), at(0.5),
      at(0.9), at(0.99), at(1));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: constraint_bench TOKENIZER < lines\n");
    return 2;
  }
  const auto tokenizer = lm::open_tokenizer(argv[1]);
  const auto start = Clock::now();
  lm::ConstraintOptions trivial;
  trivial.text = "true";
  lm::Constraint::compile(trivial, tokenizer);
  const double trie = microseconds_since(start);

  std::vector<double> compile, masks, accepts;
  std::vector<uint64_t> bits((static_cast<size_t>(tokenizer->size()) + 63) / 64);
  std::shared_ptr<const lm::Constraint> constraint;
  std::string line, name;
  size_t schemas = 0, failed = 0, forced = 0, rejected = 0, accepted = 0, passing = 0;
  bool is_rejected = false, is_accepted = false;
  const auto count = [&] {
    rejected += is_rejected;
    accepted += is_accepted;
    passing += constraint && !is_rejected && !is_accepted;
    is_rejected = is_accepted = false;
  };
  double worst = 0;
  std::string worst_name;
  while (std::getline(std::cin, line)) {
    if (line.starts_with("S\t")) {
      count();
      ++schemas;
      const size_t tab = line.find('\t', 2);
      name = line.substr(2, tab - 2);
      lm::ConstraintOptions options;
      options.text = line.substr(tab + 1);
      const auto begin = Clock::now();
      try {
        constraint = lm::Constraint::compile(options, tokenizer);
        compile.push_back(microseconds_since(begin));
      } catch (const lm::Error&) {
        constraint.reset();
        ++failed;
      }
      continue;
    }
    if (!constraint) continue;
    if (line.starts_with("I\t")) {
      is_accepted = is_accepted || constraint->accepts(line.substr(2));
      continue;
    }
    lm::ConstraintState state(constraint);
    const auto ids = tokenizer->encode(line.substr(2), {.add_special = false});
    try {
      for (size_t i = 0; i <= ids.size(); ++i) {
        const auto begin = Clock::now();
        state.mask(bits);
        masks.push_back(microseconds_since(begin));
        if (masks.back() > worst) worst = masks.back(), worst_name = name;
        if (i == ids.size()) break;
        const auto id = static_cast<size_t>(ids[i]);
        forced += !state.forced().empty();
        const auto middle = Clock::now();
        const bool good = state.accept(ids[i]);
        accepts.push_back(microseconds_since(middle));
        if (!good || (bits[id >> 6] >> (id & 63) & 1) == 0) {
          is_rejected = true;
          break;
        }
      }
      is_rejected = is_rejected || !state.may_stop();
    } catch (const lm::Error& e) {
      std::fprintf(stderr, "%s: %s\n", name.c_str(), e.what());
      is_rejected = true;
    }
  }
  count();
  std::printf(
      "{\"vocabulary\": %d, \"trie_us\": %.0f, \"schemas\": %zu, \"refused\": %zu, \"passing\": "
      "%zu, "
      "\"wrongly_rejected\": %zu, \"wrongly_accepted\": %zu, \"forced_places\": %zu, \"slowest\": "
      "\"%s\", ",
      tokenizer->size(), trie, schemas, failed, passing, rejected, accepted, forced,
      worst_name.c_str());
  print_times("compile_us", compile);
  std::printf(", ");
  print_times("mask_us", masks);
  std::printf(", ");
  print_times("accept_us", accepts);
  std::printf("}\n");
  return 0;
}
