// The values of one column of a row group, page by page. Internal to parquet.
#pragma once

#include <span>
#include <vector>

#include "engine/data/parquet/decode.h"

namespace lm::parquet {

class Column {
 public:
  // bytes: of the chunk.
  Column(const Node& leaf, const Chunk& chunk, std::span<const std::byte> bytes)
      : leaf_(leaf), codec_(chunk.codec), left_(chunk.n_values), in_(bytes) {}
  // Whether there is another value or gap.
  bool more() { return at_ < definitions_.size() || load_page(); }
  // Of the next one. Throws bad_file at the end.
  int repetition();
  int definition();
  // Takes it.
  Cell take();

 private:
  bool load_page();
  void need();
  void read_dictionary(const Value& header, std::span<const std::byte> packed, size_t size);
  void read_data(const Value& header, std::span<const std::byte> packed, size_t size);
  void read_data_v2(const Value& header, std::span<const std::byte> packed, size_t size);
  void read_values(Bytes& in, Encoding encoding);
  size_t check_count(int64_t n);

  const Node& leaf_;
  int codec_;
  int64_t left_;  // values in pages that were not read
  Bytes in_;
  std::vector<Cell> dictionary_;
  bool has_dictionary_ = false;
  // Of the page: levels of each position; values of those that have one.
  std::vector<uint32_t> repetitions_, definitions_;
  std::vector<Cell> values_;
  std::vector<uint32_t> indices_;  // into the dictionary, instead of values
  size_t at_ = 0, value_at_ = 0;
};

}  // namespace lm::parquet
