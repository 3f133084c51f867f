#include "engine/data/parquet.h"

#include <memory>
#include <nlohmann/json.hpp>

#include "engine/core/interrupt.h"
#include "engine/core/mapped_file.h"
#include "engine/data/parquet/column.h"

namespace lm {

using nlohmann::json;

namespace parquet {
namespace {

json to_json(std::monostate) {
  return nullptr;
}
template <typename T>
json to_json(T value) {
  return value;
}

// Puts values of columns together into rows (Melnik et al. 2010, "Dremel", section 4.3).
class RowBuilder {
 public:
  RowBuilder(const FileLayout& layout, const RowGroup& group, std::span<const std::byte> file)
      : layout_(layout) {
    for (size_t i = 0; i < layout.leaves.size(); ++i) {
      const Chunk& c = group.chunks[i];
      columns_.emplace_back(
          *layout.leaves[i], c,
          file.subspan(static_cast<size_t>(c.begin), static_cast<size_t>(c.size)));
    }
  }
  json next() {
    json row = json::object();
    size_ = 0;
    for (const Node& child : layout_.root.children)
      if (is_readable(child)) row[child.name] = field(child);
    return row;
  }

 private:
  Column& first(const Node& node) { return columns_[static_cast<size_t>(node.first_leaf())]; }

  // All that a node holds at this place: null for a gap, a list for a repeated one.
  json field(const Node& node) {
    const bool gap = first(node).definition() < node.max_definition;
    if (node.repetition == Repetition::required) return one(node);
    if (gap) {
      skip(node);
      return node.repetition == Repetition::repeated ? json::array() : json();
    }
    if (node.repetition == Repetition::optional) return one(node);
    json list = json::array();
    do list.push_back(one(node));
    while (first(node).more() && first(node).repetition() >= node.max_repetition);
    return list;
  }
  json one(const Node& node) {
    if (node.leaf >= 0) return value(node);
    json object = json::object();
    for (const Node& child : node.children) object[child.name] = field(child);
    if (node.kind == Kind::list && node.children.size() == 1)
      return elements(node.children[0], std::move(object));
    if (node.kind == Kind::map && node.children.size() == 1)
      return entries(node.children[0], std::move(object));
    return object;
  }
  json value(const Node& leaf) {
    Cell cell = columns_[static_cast<size_t>(leaf.leaf)].take();
    const auto* text = std::get_if<std::string>(&cell);
    size_ += sizeof(json) + (text != nullptr ? text->size() : 0);
    if (size_ > kMostBytes) damaged("a row is too long");
    return std::visit([](auto& v) { return to_json(std::move(v)); }, cell);
  }
  // A list is a group with a repeated group in it, whose one member is the element; older writers
  // leave out the latter.
  static json elements(const Node& repeated, json object) {
    json list = std::move(object[repeated.name]);
    const bool inner = repeated.leaf < 0 && repeated.children.size() == 1 &&
                       repeated.name != "array" && repeated.kind == Kind::plain;
    if (inner && list.is_array())
      for (json& element : list) {
        json value = std::move(element[repeated.children[0].name]);
        element = std::move(value);
      }
    return list;
  }
  static json entries(const Node& repeated, json object) {
    if (repeated.children.size() != 2) return object;
    json out = json::object();
    for (json& entry : object[repeated.name]) {
      const json& key = entry[repeated.children[0].name];
      const std::string name = key.is_string() ? key.get<std::string>() : key.dump();
      out[name] = std::move(entry[repeated.children[1].name]);
    }
    return out;
  }
  void skip(const Node& node) {
    if (node.leaf >= 0) columns_[static_cast<size_t>(node.leaf)].take();
    for (const Node& child : node.children) skip(child);
  }

  const FileLayout& layout_;
  std::vector<Column> columns_;
  size_t size_ = 0;  // of the row, about
};

Value read_footer(std::span<const std::byte> bytes) {
  constexpr size_t kTail = 8;  // length of the footer, "PAR1"
  const auto magic = [&](size_t at) {
    return std::string_view(reinterpret_cast<const char*>(bytes.data() + at), 4);
  };
  if (bytes.size() < 4 + kTail || magic(0) != "PAR1" || magic(bytes.size() - 4) != "PAR1")
    damaged("it is no Parquet file, or encrypted");
  Bytes tail(bytes.subspan(bytes.size() - kTail));
  const auto size = tail.fixed<uint32_t>();
  if (size > bytes.size() - kTail - 4) damaged("its footer is longer than the file");
  size_t used = 0;
  return read_struct(bytes.subspan(bytes.size() - kTail - size, size), &used);
}

}  // namespace
}  // namespace parquet

void read_parquet(std::span<const std::byte> bytes, const std::string& name,
                  const std::function<bool(const SourceRow&)>& f) {
  SourceRow out{"", name, 0, false};
  bool go_on = true;
  // Errors of the data get the file's name; those of f pass as they are.
  const auto named = [&](const auto& work) {
    try {
      return work();
    } catch (const Error& e) {
      if (e.code() == ErrorCode::interrupted) throw;
      throw Error(e.code(), name + ": " + e.message(), e.hint());
    }
  };
  const auto footer = named([&] { return parquet::read_footer(bytes); });
  const auto layout = named([&] { return parquet::read_layout(footer, bytes.size()); });
  for (const parquet::RowGroup& group : layout.groups) {
    parquet::RowBuilder rows(layout, group, bytes);
    for (int64_t i = 0; i < group.n_rows && go_on; ++i) {
      if (++out.line % 1024 == 0) check_interrupt();
      out.json =
          named([&] { return rows.next().dump(-1, ' ', false, json::error_handler_t::replace); });
      go_on = f(out);
    }
    if (!go_on) return;
  }
}

void read_parquet(const std::string& file, const std::function<bool(const SourceRow&)>& f) {
  const MappedFile mapped(file);
  read_parquet(mapped.bytes(), file, f);
}

}  // namespace lm
