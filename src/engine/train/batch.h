// What one pass works on: documents one after the other, without padding.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace lm::train {

struct Batch {
  std::vector<int64_t> ids;             // [T]
  std::vector<int32_t> positions;       // [T] of each token in its document
  std::vector<int64_t> document_begin;  // [documents + 1], the last is T
  // The predictions that count: from the state of token `from[i]`, the token `target[i]`.
  std::vector<int64_t> from, target;
  std::vector<int64_t> rows;  // the documents' data rows
  int64_t n_virtual = 0;      // rows at the beginning of each document that are no tokens
  int64_t size() const { return static_cast<int64_t>(ids.size()); }
  int64_t n_tokens() const { return size() - n_virtual * n_documents(); }
  int64_t n_documents() const { return static_cast<int64_t>(document_begin.size()) - 1; }
  int64_t longest() const {
    int64_t n = 0;
    for (size_t i = 0; i + 1 < document_begin.size(); ++i)
      n = std::max(n, document_begin[i + 1] - document_begin[i]);
    return n;
  }
};

}  // namespace lm::train
