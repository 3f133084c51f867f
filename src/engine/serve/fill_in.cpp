#include "engine/serve/fill_in.h"

namespace lm::serve {
namespace {

// Names of the three tokens in the models' files; suffix_first: the order they were trained with.
struct Marks {
  const char *prefix, *suffix, *middle;
  bool suffix_first = false;
};
constexpr Marks kMarks[] = {
    {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"},     // Qwen2.5-Coder, CodeGemma
    {"<fim_prefix>", "<fim_suffix>", "<fim_middle>"},           // StarCoder, Granite
    {"<fim-prefix>", "<fim-suffix>", "<fim-middle>"},           // SantaCoder
    {"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"},     // DeepSeek-Coder
    {"<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"},  // GLM-4
    {"▁<PRE>", "▁<SUF>", "▁<MID>"},                             // Code Llama
    {"[PREFIX]", "[SUFFIX]", "", true},                         // Codestral
};

}  // namespace

std::vector<int32_t> fill_in_prompt(const Tokenizer& tokenizer, const std::string& prefix,
                                    const std::string& suffix) {
  for (const Marks& marks : kMarks) {
    const int32_t before = tokenizer.id_of(marks.prefix), after = tokenizer.id_of(marks.suffix),
                  middle = *marks.middle ? tokenizer.id_of(marks.middle) : 0;
    if (before < 0 || after < 0 || middle < 0) continue;
    std::vector<int32_t> ids;
    if (tokenizer.add_bos() && tokenizer.bos() >= 0) ids.push_back(tokenizer.bos());
    const auto add = [&](int32_t mark, const std::string& text) {
      ids.push_back(mark);
      const auto own = tokenizer.encode(text, {false, false});
      ids.insert(ids.end(), own.begin(), own.end());
    };
    if (marks.suffix_first) {
      add(after, suffix);
      add(before, prefix);
      return ids;
    }
    add(before, prefix);
    add(after, suffix);
    ids.push_back(middle);
    return ids;
  }
  return {};
}

}  // namespace lm::serve
