// The columns of a Parquet file and where their bytes are. Internal to parquet.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/data/parquet/thrift.h"

namespace lm::parquet {

enum class Physical : uint8_t {
  boolean = 0,
  int32 = 1,
  int64 = 2,
  int96 = 3,
  float32 = 4,
  float64 = 5,
  byte_array = 6,
  fixed = 7,
};
enum class Repetition : uint8_t { required = 0, optional = 1, repeated = 2 };
enum class Kind : uint8_t { plain, list, map };

struct Node {
  std::string name;
  Repetition repetition = Repetition::required;
  Kind kind = Kind::plain;  // of groups
  Physical type = Physical::boolean;
  bool is_unsigned = false;
  // How many of the nodes from the root to this one may be missing, and how many are repeated.
  int max_definition = 0, max_repetition = 0;
  int leaf = -1;  // number of the column; -1: a group
  std::vector<Node> children;
  int first_leaf() const { return leaf >= 0 ? leaf : children.front().first_leaf(); }
};

// Where a column of a row group lies in the file.
struct Chunk {
  int codec = 0;
  int64_t n_values = 0, begin = 0, size = 0;
};

struct RowGroup {
  int64_t n_rows = 0;
  std::vector<Chunk> chunks;  // of each leaf
};

struct FileLayout {
  Node root;
  std::vector<const Node*> leaves;
  std::vector<RowGroup> groups;
};

// From the footer's FileMetaData. file_size: chunks lie inside. Throws bad_file.
FileLayout read_layout(const Value& metadata, uint64_t file_size);
// Whether every value below a node can be a JSON value.
bool is_readable(const Node& node);

}  // namespace lm::parquet
