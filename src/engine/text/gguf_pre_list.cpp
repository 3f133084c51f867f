#include "engine/text/gguf_pre_list.h"

#include <algorithm>

namespace lm {

namespace {

constexpr const char* kDigit = R"(\p{N})";
constexpr const char* kThreeDigits = "[0-9][0-9][0-9]";
const char* const kGpt2 = word_split_pattern(WordSplit::gpt2);
const char* const kLlama3 = word_split_pattern(WordSplit::llama3);
const char* const kQwen2 = word_split_pattern(WordSplit::qwen2);
constexpr const char* kQwen35 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kO200k =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kDeepseekWords =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kBloom = R"( ?[^(\s|.,!?…。，、।۔،)]+)";

// Digits in groups of three counted from the right.
constexpr const char* kThreesFromRight = R"(\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N})))";
constexpr const char* kJais2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1})";
constexpr const char* kDeepseekLlmLetters =
    R"(\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+)";
constexpr const char* kCjkHangul = "[一-龥ࠀ-一가-퟿]+";
constexpr const char* kCjkKana = "[一-龥぀-ゟ゠-ヿ]+";
constexpr const char* kThreeNumbers = R"(\p{N}{1,3})";
constexpr const char* kLines = R"([^\n]+|[\n]+)";
constexpr const char* kYoutuCjk =
    "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-"
    "ゟ゠-"
    "ヿ]"
    "+";
constexpr const char* kYoutu =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kSpark =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+)";
// Class intersection with "not Han" is written as a lookahead.
constexpr const char* kKimi =
    R"(\p{Han}+|[^\r\n\p{L}\p{N}]?(?:(?!\p{Han})[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])*(?:(?!\p{Han})[\p{Ll}\p{Lm}\p{Lo}\p{M}])+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?(?:(?!\p{Han})[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])+(?:(?!\p{Han})[\p{Ll}\p{Lm}\p{Lo}\p{M}])*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kBailing =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr const char* kSeed =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kUfakzeka =
    R"([^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kAsianScripts =
    "[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-"
    "꧿가-"
    "힯ᄀ-"
    "ᇿ]"
    "+";
constexpr const char* kExaoneMoe =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr const char* kMiniCpm5 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kAsciiPunctuation = R"([\p{P}!-/:-@\[-`{-~])";

const std::vector<GgufPreFamily>& families() {
  static const std::vector<GgufPreFamily> list = {
      {"gpt-2 mpt olmo jais phi-2 gigachat roberta-bpe jina-es jina-de jina-v2-es jina-v2-de "
       "jina-v1-en jina-v2-code a.x-4.0 mellum exaone4 modern-bert trillion granite-docling",
       {kGpt2}},
      {"smollm starcoder refact command-r codeshell exaone minerva-7b mellum2", {kDigit, kGpt2}},
      {"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
       {kLlama3},
       true,
       true},
      {"smaug-bpe dbrx chatglm-bpe glm4 smollm3", {kLlama3}},
      {"qwen2 deepseek-r1-qwen", {kQwen2}, false, false, false, true},
      {"stablelm2 hunyuan megrez kormo f2llmv2 grok-2 solar-open", {kQwen2}},
      {"qwen35", {kQwen35}, false, false, false, true},
      {"tekken", {kTekken}, true, true},
      {"gpt-4o llama4 kanana2 talkie minimax-m2", {kO200k}},
      {"granite-embed-multi-97m", {kO200k}, true},
      {"tiny_aya cohere2moe", {R"(\d{1,3}(?=(?:\d{3})*\b))", kO200k}},
      {"deepseek-v3 hunyuan-dense joyai-llm hy_v4", {kThreeNumbers, kCjkKana, kDeepseekWords}},
      {"deepseek-llm",
       {R"([\r\n])", kDeepseekLlmLetters, R"(\s?[!-/:-~！-／：-～‘-‟　-。]+)", R"(\s+$)",
        kCjkHangul, R"(\p{N}+)"}},
      {"deepseek-coder", {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kCjkHangul, kDigit}},
      {"spark2_5", {kThreeNumbers, kCjkKana, kSpark, kDigit}},
      {"youtu", {kYoutuCjk, kYoutu}, true},
      {"jais-2", {kJais2}},
      {"kimi-k2", {kKimi}},
      {"superbpe", {R"(\p{N}+)", R"(\d{1,3}(?=(?:\d{3})*(?!\d)))"}},
      {"bailingmoe bailingmoe2 llada-moe", {kBailing}},
      {"seed-coder", {kSeed}},
      {"ufakzeka", {kUfakzeka}},
      {"afmoe", {kThreesFromRight, kAsianScripts, kDeepseekWords}},
      {"laguna", {kLines, kQwen2}},
      {"exaone-moe", {kExaoneMoe}},
      {"minicpm5", {kThreeNumbers, kMiniCpm5}, true},
      {"chameleon",
       {"<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", "([\\t\\n]|    |  )", kDigit,
        kAsciiPunctuation, kGpt2},
       false,
       true},
      {"gemma4 granite-embed-multi-311m", {kLines}, false, true, true},
      {"sarvam-moe", {kLines}, false, false, true},
      {"whitespace", {R"(\S+)"}, false, false, true},
      {"falcon", {R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2, kThreeDigits}},
      {"bloom poro-chat gpt3-finnish", {kBloom}},
      {"viking", {kBloom, kDigit}},
      {"default", {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2, R"(\p{N}+)", kThreeDigits}},
  };
  return list;
}

}  // namespace

const GgufPreFamily* find_gguf_pre_family(std::string_view name) {
  if (name.empty() || name.find(' ') != name.npos) return nullptr;
  for (const GgufPreFamily& family : families()) {
    std::string_view names = family.names;
    while (!names.empty()) {
      const size_t space = std::min(names.find(' '), names.size());
      if (names.substr(0, space) == name) return &family;
      names.remove_prefix(std::min(space + 1, names.size()));
    }
  }
  return nullptr;
}

std::string gguf_pre_name(const std::vector<std::string>& patterns, bool ignore_merges, bool nfc) {
  const GgufPreFamily* best = nullptr;
  int best_score = -1;
  for (const GgufPreFamily& family : families()) {
    const bool same =
        std::equal(patterns.begin(), patterns.end(), family.patterns.begin(), family.patterns.end(),
                   [](const std::string& a, const char* b) { return a == b; });
    const int score = (family.ignore_merges == ignore_merges) + (family.nfc == nfc);
    if (!same || family.plain_text || score <= best_score) continue;
    best = &family;
    best_score = score;
  }
  if (best == nullptr) return "";
  const std::string_view names = best->names;
  return std::string(names.substr(0, names.find(' ')));
}

std::string gguf_pre_names() {
  std::string all;
  for (const GgufPreFamily& family : families())
    all.append(all.empty() ? "" : " ").append(family.names);
  return all;
}

std::vector<PreTokenizer> make_pre_tokenizers(const GgufPreFamily& family) {
  std::vector<PreTokenizer> steps;
  for (const std::string_view pattern : family.patterns) {
    steps.push_back(pattern == kDigit ? split_digits(true)
                                      : split_by_pattern(std::string(pattern)));
  }
  return steps;
}

}  // namespace lm
