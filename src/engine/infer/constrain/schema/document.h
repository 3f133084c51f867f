// A JSON Schema as a document: parsed, its $ids and anchors found, references resolved. Nothing is
// fetched: a reference to another document is an error unless the document was given or is the
// metaschema of draft 2019-09 or 2020-12.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace lm {

using Json = nlohmann::ordered_json;

enum class Draft : uint8_t { draft4, draft6, draft7, draft2019, draft2020 };

// Parses JSON text of at most `max_depth` levels. Throws bad_option naming `what` and the position.
std::unique_ptr<Json> parse_json(std::string_view text, const char* what, int max_depth = 200);

class SchemaDocument {
 public:
  // others: further documents by their URI, as JSON text. Throws bad_option for what is no JSON or
  // no schema (an object or a boolean).
  explicit SchemaDocument(std::string_view text,
                          const std::map<std::string, std::string>& others = {});
  ~SchemaDocument();

  const Json& root() const { return *root_; }
  Draft draft() const { return draft_; }

  struct Target {
    const Json* schema;
    const Json* resource;  // the schema with an $id (or the root) that it lies in
  };
  // What a $ref in `from` (a node of this document) means. Throws bad_option, naming the reference
  // and its place, when there is no such thing.
  Target resolve(const Json& from, const std::string& reference) const;
  // The node with this $dynamicAnchor in a resource, or null.
  const Json* dynamic_anchor(const Json& resource, const std::string& name) const;
  // How many resources have this $dynamicAnchor.
  size_t dynamic_anchors(const std::string& name) const;
  const Json* resource_of(const Json& node) const;
  // Makes a value that is no schema known to path_of().
  void place(const Json& node, const Json& parent, const char* key) const {
    places_.try_emplace(&node, Place{&parent, key, "", nullptr});
  }
  // "#/properties/name", for messages.
  std::string path_of(const Json& node) const;

 private:
  struct Place {
    const Json* parent = nullptr;
    std::string key;
    std::string base;  // URI without fragment
    const Json* resource = nullptr;
  };
  void visit(const Json& node, const Json* parent, std::string key, std::string base,
             const Json* resource, bool is_schema) const;
  void add_other(const std::string& uri, std::string_view text) const;
  const Json* pointer(const Json& node, std::string_view path) const;

  std::unique_ptr<Json> root_;
  mutable std::vector<std::unique_ptr<Json>> others_;
  Draft draft_ = Draft::draft2020;
  // References may lead to places that no keyword does; they are added when one does.
  mutable std::unordered_map<const Json*, Place> places_;
  mutable std::map<std::string, const Json*> by_uri_;  // with fragments for anchors
  mutable std::map<std::pair<const Json*, std::string>, const Json*> dynamic_;
};

// Resolves a URI reference against a base (RFC 3986, section 5.2, without dot segments inside).
std::string resolve_uri(const std::string& base, const std::string& reference);

// Keywords whose value is a schema, a list of schemas, a table of schemas.
enum class Subschemas : uint8_t { none, one, list, table, one_or_list };
Subschemas subschemas_of(std::string_view keyword);

}  // namespace lm
