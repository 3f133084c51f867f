// Vectors and scores of texts: embeddings, rerankers, classifiers.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace lm {

class Model;

// One text, or a pair of texts, as token ids.
struct TextInput {
  std::vector<int32_t> ids;
  std::vector<int32_t> types;  // token types (0, 1), or empty: all 0
};

enum class PoolingChoice : uint8_t { model, mean, cls, last };  // model: what the model's files say

struct EmbedOptions {
  PoolingChoice pooling = PoolingChoice::model;
  std::optional<bool> normalize;  // divide by the L2 norm; unset: what the model's files say
  int64_t dimensions = 0;  // keep the first n values, before normalising (Matryoshka); 0: all
};

// Evaluates texts with a model, several short ones at a time. Used by one thread at a time.
class Embedder {
 public:
  explicit Embedder(std::shared_ptr<const Model> model);
  ~Embedder();
  Embedder(const Embedder&) = delete;
  Embedder& operator=(const Embedder&) = delete;

  // One vector for each text. The result for a text does not depend on the others. Throws
  // bad_option for texts without tokens, ids outside of the vocabulary, token types that the model
  // lacks, texts longer than the model's context, dimensions outside of 1..hidden size;
  // interrupted.
  std::vector<std::vector<float>> embed(const std::vector<TextInput>& texts,
                                        const EmbedOptions& options = {});
  // The outputs of the model's classification head, [labels] for each text: one score for
  // rerankers. Throws unsupported when the model has no such head.
  std::vector<std::vector<float>> scores(const std::vector<TextInput>& texts);
  // Hidden states after the final norm, [T, C].
  std::vector<float> hidden(const TextInput& text);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lm
