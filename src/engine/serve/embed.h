// Vectors and scores for the routes that want them.
#pragma once

#include <string>
#include <vector>

#include "engine/api/embed.h"
#include "engine/serve/call.h"

namespace lm::serve {

// A text, a list of texts, token ids, or a list of those. Throws ApiError 400 naming `param`.
std::vector<TextInput> embed_inputs(const ServedModel& model, const Json& input, const char* param);

// Evaluates them, one request at a time for each model, and counts tokens. Throws ApiError 400 with
// both numbers for texts that are too long.
std::vector<std::vector<float>> embed_texts(Call& call, ServedModel& model,
                                            const std::vector<TextInput>& inputs,
                                            const EmbedOptions& options, const char* param);

// How well each document answers the query: the score of a reranking head, or the cosine of
// embeddings; and 0 to 1 of it.
struct Relevance {
  double score, relevance;
};
std::vector<Relevance> relevance_of(Call& call, ServedModel& model, const std::string& query,
                                    const std::vector<std::string>& documents);

}  // namespace lm::serve
