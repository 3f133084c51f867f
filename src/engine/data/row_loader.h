// Rows of one source as tokens. Internal to data.
#pragma once

#include <memory>
#include <vector>

#include "engine/data/dataset.h"
#include "engine/data/row_reader.h"

namespace lm {

class RowLoader {
 public:
  // Throws bad_option (an unknown format).
  RowLoader(const DatasetOptions& options, std::unique_ptr<TokenStoreWriter> writer);
  // Encodes rows together, on all threads. Throws bad_file with stop_at_bad_rows, interrupted.
  void add(const SourceRow& row);
  std::shared_ptr<const TokenStore> finish();

 private:
  struct Outcome;
  Outcome encode(const SourceRow& source) const;
  void encode_waiting();
  void choose_format();
  void take(Outcome outcome);
  void keep_pieces(const RowView& row, size_t end);
  void keep(const RowView& row);
  void wrap(const TokenRow& row);

  const DatasetOptions& o_;
  const DataFormat* format_ = nullptr;
  std::unique_ptr<TokenStoreWriter> writer_;
  std::vector<SourceRow> waiting_;
  size_t waiting_bytes_ = 0;
  TokenRow open_;  // wrapped: the row that is being filled
  ReadCounts counts_;
};

}  // namespace lm
