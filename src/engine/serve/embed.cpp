#include "engine/serve/embed.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "engine/core/error.h"
#include "engine/models/model_spec.h"
#include "engine/text/tokenizer.h"

namespace lm::serve {
namespace {

Embedder& embedder_of(LoadedModel& loaded) {  // under its mutex
  if (!loaded.embedder) loaded.embedder = std::make_unique<Embedder>(loaded.model);
  return *loaded.embedder;
}

void check_and_count(Call& call, const ServedModel& model, const std::vector<TextInput>& inputs,
                     const char* param) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto n = static_cast<int64_t>(inputs[i].ids.size());
    if (n == 0)
      throw ApiError(400, fmt::format("{}: text {} is empty", param, i), param, "invalid_value");
    if (n > model.context)
      throw ApiError(400,
                     fmt::format("{}: text {} has {} tokens; this model takes {} at most", param, i,
                                 n, model.context),
                     param, "context_length_exceeded");
    call.prompt_tokens += n;
  }
}

}  // namespace

std::vector<TextInput> embed_inputs(const ServedModel& model, const Json& input,
                                    const char* param) {
  const int64_t vocab = model.model().info().vocab_size;
  const Tokenizer& tokenizer = model.tokenizer();
  if (input.is_string()) return {{tokenizer.encode(input.get<std::string>()), {}}};
  if (!input.is_array() || input.empty())
    throw ApiError(400, fmt::format("{}: expected a text, token ids, or a list of either", param),
                   param, "invalid_type");
  if (input.front().is_number()) return {{ids_of(input, param, vocab), {}}};
  std::vector<TextInput> all;
  for (const Json& item : input)
    all.push_back(
        {item.is_string() ? tokenizer.encode(item.get<std::string>()) : ids_of(item, param, vocab),
         {}});
  return all;
}

std::vector<std::vector<float>> embed_texts(Call& call, ServedModel& model,
                                            const std::vector<TextInput>& inputs,
                                            const EmbedOptions& options, const char* param) {
  check_and_count(call, model, inputs, param);
  if (options.dimensions > model.model().info().hidden_size)
    throw ApiError(400,
                   fmt::format("dimensions is {}; this model's vectors have {}", options.dimensions,
                               model.model().info().hidden_size),
                   "dimensions", "invalid_value");
  const std::lock_guard lock(model.loaded->embed_mutex);
  return embedder_of(*model.loaded).embed(inputs, options);
}

std::vector<Relevance> relevance_of(Call& call, ServedModel& model, const std::string& query,
                                    const std::vector<std::string>& documents) {
  const Tokenizer& tokenizer = model.tokenizer();
  std::vector<TextInput> inputs;
  std::vector<Relevance> out;
  if (model.model().spec().head) {
    for (const std::string& document : documents) {
      EncodedPair pair = tokenizer.encode_pair(query, document);
      inputs.push_back({std::move(pair.ids), std::move(pair.type_ids)});
    }
    check_and_count(call, model, inputs, "documents");
    const std::lock_guard lock(model.loaded->embed_mutex);
    for (const auto& scores : embedder_of(*model.loaded).scores(inputs))
      out.push_back({scores[0], 1 / (1 + std::exp(-static_cast<double>(scores[0])))});
    return out;
  }
  inputs.push_back({tokenizer.encode(query), {}});
  for (const std::string& document : documents) inputs.push_back({tokenizer.encode(document), {}});
  EmbedOptions options;
  options.normalize = true;
  const auto vectors = embed_texts(call, model, inputs, options, "documents");
  for (size_t i = 1; i < vectors.size(); ++i) {
    const double cosine =
        std::inner_product(vectors[0].begin(), vectors[0].end(), vectors[i].begin(), 0.0);
    out.push_back({cosine, cosine});
  }
  return out;
}

}  // namespace lm::serve
