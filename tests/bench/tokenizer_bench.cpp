// Speed of the tokenizers on one thread, in processor time: milliseconds to load, megabytes per
// second to encode and decode. Prints one JSON line per tokenizer. Usage: tokenizer_bench TEXT
// TOKENIZER ...; TEXT is plain, or documents each after its length and a newline
// (scripts/bench/tokenizer_peers.py writes such).
#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include "engine/core/mapped_file.h"
#include "engine/text/tokenizer.h"

namespace {

double cpu_ms() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

double best_ms(int runs, const std::function<void()>& work) {
  double best = 1e300;
  for (int i = 0; i < runs; ++i) {
    const double start = cpu_ms();
    work();
    best = std::min(best, cpu_ms() - start);
  }
  return best;
}

std::vector<std::string> documents(const std::string& text) {
  std::vector<std::string> out;
  for (size_t at = 0; at < text.size();) {
    const size_t newline = text.find('\n', at);
    if (newline == text.npos || newline - at > 9 ||
        text.find_first_not_of("0123456789", at) != newline)
      return {text};
    const size_t size = std::strtoul(text.c_str() + at, nullptr, 10);
    out.push_back(text.substr(newline + 1, size));
    at = newline + 1 + size;
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr, "usage: tokenizer_bench TEXT TOKENIZER ...\n");
    return 2;
  }
  const std::vector<std::string> texts = documents(lm::read_file(argv[1]));
  double mb = 0;
  for (const std::string& text : texts) mb += static_cast<double>(text.size()) / 1e6;
  for (int i = 2; i < argc; ++i) {
    std::shared_ptr<const lm::Tokenizer> tokenizer;
    const double load_ms = best_ms(5, [&] { tokenizer = lm::open_tokenizer(argv[i]); });
    std::vector<std::vector<int32_t>> ids(texts.size());
    const auto encode = [&] {
      for (size_t t = 0; t < texts.size(); ++t)
        ids[t] = tokenizer->encode(texts[t], {.add_special = false});
    };
    const double first_ms = best_ms(1, encode), encode_ms = best_ms(5, encode);
    const double decode_ms = best_ms(3, [&] {
      for (const auto& list : ids) tokenizer->decode(list);
    });
    size_t n_ids = 0;
    for (const auto& list : ids) n_ids += list.size();
    fmt::print(
        "{{\"file\": \"{}\", \"tokens\": {}, \"load_ms\": {:.1f}, \"text_mb\": {:.2f}, \"ids\": "
        "{}, \"first_mb_s\": {:.1f}, \"encode_mb_s\": {:.1f}, \"decode_mb_s\": {:.1f}}}\n",
        argv[i], tokenizer->size(), load_ms, mb, n_ids, mb / first_ms * 1e3, mb / encode_ms * 1e3,
        mb / decode_ms * 1e3);
  }
  return 0;
}
