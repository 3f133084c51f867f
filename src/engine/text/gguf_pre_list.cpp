#include "engine/text/gguf_pre_list.h"

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

const std::vector<GgufPreFamily>& families() {
  static const std::vector<GgufPreFamily> list = {
      {"gpt-2 mpt olmo jais phi-2 gigachat roberta-bpe jina-es jina-de jina-v1-en jina-v2-code "
       "a.x-4.0 mellum exaone4 "
       "modern-bert trillion",
       {kGpt2}},
      {"smollm starcoder refact command-r codeshell exaone minerva-7b", {kDigit, kGpt2}},
      {"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2", {kLlama3}, true, true},
      {"smaug-bpe dbrx chatglm-bpe glm4 smollm3", {kLlama3}},
      {"qwen2 stablelm2 deepseek-r1-qwen hunyuan megrez kormo", {kQwen2}},
      {"qwen35", {kQwen35}},
      {"tekken", {kTekken}, true, true},
      {"gpt-4o llama4 kanana2", {kO200k}},
      {"deepseek-v3 hunyuan-dense joyai-llm",
       {R"(\p{N}{1,3})", R"([一-龥぀-ゟ゠-ヿ]+)", kDeepseekWords}},
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

std::string gguf_pre_names() {
  std::string all;
  for (const GgufPreFamily& family : families())
    all.append(all.empty() ? "" : " ").append(family.names);
  return all;
}

std::vector<PreTokenizer> make_pre_tokenizers(const GgufPreFamily& family) {
  std::vector<PreTokenizer> steps;
  for (const std::string_view pattern : family.patterns) {
    WordSplit kind;
    if (pattern == kDigit) {
      steps.push_back(split_digits(true));
    } else if (word_split_for_pattern(pattern, &kind)) {
      steps.push_back(split_by_kind(kind));
    } else {
      steps.push_back(split_by_regex(std::string(pattern), SplitBehavior::isolated, false));
    }
  }
  return steps;
}

}  // namespace lm
