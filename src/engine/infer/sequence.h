// A text on its way through a model, and all that its evaluation depends on.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/api/model.h"
#include "engine/infer/prefix_cache.h"
#include "engine/infer/sequence_state.h"

namespace lm {

// Changed by the scheduler's step while that evaluates it, and else under the scheduler's lock.
struct Sequence {
  Sequence(std::shared_ptr<const Model> m, int64_t context, KvPages& pages)
      : model(std::move(m)), n_positions(context), n_ctx(context), state(model->spec(), pages) {}

  std::shared_ptr<const Model> model;
  const int64_t n_positions;  // of tokens, virtual ones too, at most
  int64_t n_ctx;              // tokens at most
  SequenceState state;
  std::vector<int32_t> tokens;                 // evaluated
  std::vector<int32_t> source;                 // of encoder-decoder models
  std::vector<float> image_rows;               // [n, C]; of models that see images
  std::shared_ptr<const AdapterSet> adapters;  // those that the tokens were evaluated with
  std::optional<std::vector<std::string>> chosen_adapters;  // names; nothing: all
  // The last whole page of the tokens in the prefix cache; null: the text is not in it.
  PrefixCache::Node* node = nullptr;
  bool grew_beyond = false;  // the text became too long for cacheable() at some time
  uint64_t last_use = 0;

  int64_t n_tokens() const { return static_cast<int64_t>(tokens.size()); }
  // Positions in the cache before the next token, those before the text included.
  int64_t rows() const { return state.n_before + n_tokens(); }
  // Tokens that an adapter puts before the text.
  int64_t n_virtual() const;

  // Whether the text's pages may be shared with others that begin alike. length: that it will have.
  // Keys of rotations that depend on the length are like others' up to the first that changes them.
  bool cacheable(int64_t length) const;
  // What the keys and values depend on beside the tokens.
  std::string salt() const;

  // Forgets all tokens but the first n. The state of a recurrent model cannot go back: it begins
  // anew.
  void cut(size_t n);
  // Gives all memory back.
  void drop();
  // Takes the model's adapters of now, or those of them that were chosen; what was evaluated with
  // others is of no use. Throws not_found for a chosen one that the model does not have, bad_option
  // where two have virtual tokens.
  void use_adapters();

  int64_t n_image_rows() const;
  int64_t n_image_tokens(std::span<const int32_t> list) const;
  // The image rows of `part`, which follows the tokens held; empty when there are none. Image
  // tokens beyond the rows (a model may say one) stand for themselves.
  std::vector<const float*> rows_in_place(std::span<const int32_t> part) const;
};

}  // namespace lm
