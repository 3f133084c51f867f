// Speed of the tokenizers: milliseconds to load, megabytes per second to encode, one thread. Prints
// one JSON line per file. Usage: tokenizer_bench TEXT FILE.gguf|FOLDER|tokenizer.bin ...
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <vector>

#include "engine/core/mapped_file.h"
#include "engine/formats/gguf.h"
#include "engine/text/tokenizer.h"

namespace {

double median_ms(int runs, const std::function<void()>& work) {
  std::vector<double> times;
  for (int i = 0; i < runs; ++i) {
    const auto start = std::chrono::steady_clock::now();
    work();
    times.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
            .count());
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

std::shared_ptr<const lm::Tokenizer> load(const std::string& path) {
  if (std::filesystem::is_directory(path)) return lm::load_tokenizer_folder(path);
  if (path.ends_with(".bin")) return lm::load_tokenizer_llama2c(path);
  return lm::load_tokenizer(lm::GgufFile::open(path));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr, "usage: tokenizer_bench TEXT FILE.gguf|FOLDER|tokenizer.bin ...\n");
    return 2;
  }
  const std::string text = lm::read_file(argv[1]);
  for (int i = 2; i < argc; ++i) {
    const std::string path = argv[i];
    std::shared_ptr<const lm::Tokenizer> tokenizer;
    double open_ms = 0;
    if (path.ends_with(".gguf")) open_ms = median_ms(9, [&] { lm::GgufFile::open(path); });
    const double load_ms = median_ms(9, [&] { tokenizer = load(path); });
    std::vector<int32_t> ids;
    const double first_ms = median_ms(1, [&] { ids = tokenizer->encode(text); });
    const double encode_ms = median_ms(5, [&] { ids = tokenizer->encode(text); });
    std::string decoded;
    const double decode_ms = median_ms(5, [&] { decoded = tokenizer->decode(ids); });
    const double mb = static_cast<double>(text.size()) / 1e6;
    fmt::print(
        "{{\"file\": \"{}\", \"tokens\": {}, \"open_ms\": {:.1f}, \"load_ms\": {:.1f}, "
        "\"text_mb\": {:.2f}, \"ids\": {}, "
        "\"first_mb_s\": {:.1f}, \"encode_mb_s\": {:.1f}, \"decode_mb_s\": {:.1f}}}\n",
        path, tokenizer->size(), open_ms, load_ms, mb, ids.size(), mb / first_ms * 1e3,
        mb / encode_ms * 1e3, mb / decode_ms * 1e3);
  }
  return 0;
}
