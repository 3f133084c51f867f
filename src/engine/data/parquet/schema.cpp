#include "engine/data/parquet/schema.h"

#include <algorithm>

#include "engine/data/parquet/bytes.h"

namespace lm::parquet {
namespace {

// Fields of SchemaElement.
enum : int16_t {
  kType = 1,
  kRepetition = 3,
  kName = 4,
  kChildren = 5,
  kConverted = 6,
  kLogical = 10
};
// ConvertedType, and the members of LogicalType that say the same.
constexpr int64_t kConvertedMap = 1, kConvertedMapKeyValue = 2, kConvertedList = 3,
                  kFirstUnsigned = 11, kLastUnsigned = 14;
constexpr int16_t kLogicalMap = 2, kLogicalList = 3, kLogicalInteger = 10;
constexpr int kMostDeep = 64;

class SchemaReader {
 public:
  explicit SchemaReader(const std::vector<Value>& elements) : elements_(elements) {}
  Node read() {
    Node root = node(0, 0, 0);
    if (at_ != elements_.size() || root.leaf >= 0 || root.children.empty())
      damaged("its schema is no tree");
    return root;
  }

 private:
  Node node(int depth, int definition, int repetition) {
    if (depth > kMostDeep || at_ >= elements_.size()) damaged("its schema is no tree");
    const Value& e = elements_[at_++];
    Node n;
    n.name = e.at(kName).text;
    const int64_t how = depth == 0 ? 0 : e.number_or(kRepetition, 0);
    if (how < 0 || how > 2) damaged("a column is neither required, optional nor repeated");
    n.repetition = static_cast<Repetition>(how);
    n.max_definition = definition + (n.repetition != Repetition::required);
    n.max_repetition = repetition + (n.repetition == Repetition::repeated);
    const Value* logical = e.find(kLogical);
    const int64_t converted = e.number_or(kConverted, -1);
    const int64_t n_children = e.number_or(kChildren, 0);
    if (n_children <= 0) {
      const int64_t type = e.number_or(kType, -1);
      if (type < 0 || type > 7) damaged("a column has no known type");
      n.type = static_cast<Physical>(type);
      const Value* integer = logical == nullptr ? nullptr : logical->find(kLogicalInteger);
      n.is_unsigned = integer != nullptr
                          ? integer->number_or(2, 1) == 0
                          : converted >= kFirstUnsigned && converted <= kLastUnsigned;
      n.leaf = n_leaves_++;
      return n;
    }
    const auto is = [&](int64_t old_name, int16_t name) {
      return converted == old_name || (logical != nullptr && logical->find(name) != nullptr);
    };
    if (is(kConvertedList, kLogicalList)) n.kind = Kind::list;
    if (is(kConvertedMap, kLogicalMap) || converted == kConvertedMapKeyValue) n.kind = Kind::map;
    for (int64_t i = 0; i < n_children; ++i)
      n.children.push_back(node(depth + 1, n.max_definition, n.max_repetition));
    return n;
  }
  const std::vector<Value>& elements_;
  size_t at_ = 0;
  int n_leaves_ = 0;
};

void collect(const Node& node, std::vector<const Node*>* leaves) {
  if (node.leaf >= 0) leaves->push_back(&node);
  for (const Node& child : node.children) collect(child, leaves);
}

Chunk read_chunk(const Value& column, const Node& leaf, uint64_t file_size) {
  const Value& m = column.at(3);
  Chunk c;
  c.codec = static_cast<int>(m.number_or(4, 0));
  c.n_values = m.at(5).number;
  c.size = m.at(7).number;
  c.begin = m.at(9).number;
  // Older writers give 0 where there is no dictionary.
  if (const int64_t dictionary = m.number_or(11, 0); dictionary > 0)
    c.begin = std::min(c.begin, dictionary);
  if (m.number_or(1, -1) != static_cast<int64_t>(leaf.type)) damaged("a column has two types");
  if (c.begin < 4 || c.size < 0 || c.n_values < 0 || static_cast<uint64_t>(c.begin) > file_size ||
      static_cast<uint64_t>(c.size) > file_size - static_cast<uint64_t>(c.begin))
    damaged("a column lies outside of the file");
  return c;
}

}  // namespace

bool is_readable(const Node& node) {
  if (node.leaf >= 0) return node.type != Physical::int96 && node.type != Physical::fixed;
  return std::all_of(node.children.begin(), node.children.end(), is_readable);
}

FileLayout read_layout(const Value& metadata, uint64_t file_size) {
  FileLayout out;
  out.root = SchemaReader(metadata.at(2).list).read();
  collect(out.root, &out.leaves);
  for (const Value& g : metadata.at(4).list) {
    RowGroup group;
    group.n_rows = g.at(3).number;
    const auto& columns = g.at(1).list;
    if (columns.size() != out.leaves.size() || group.n_rows < 0)
      damaged("a row group has other columns than the schema");
    for (size_t i = 0; i < columns.size(); ++i)
      group.chunks.push_back(read_chunk(columns[i], *out.leaves[i], file_size));
    out.groups.push_back(std::move(group));
  }
  return out;
}

}  // namespace lm::parquet
