#include "engine/infer/constrain/schema/document.h"

#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/infer/constrain/schema/metaschema.h"

namespace lm {
namespace {

constexpr size_t kMaxText = size_t{16} << 20;

std::string without_fragment(const std::string& uri) {
  return uri.substr(0, uri.find('#'));
}

std::string decode_percent(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const std::string digits(text.substr(i + 1, 2));
      char* end = nullptr;
      const long value = std::strtol(digits.c_str(), &end, 16);
      if (end == digits.c_str() + 2) {
        out += static_cast<char>(value);
        i += 2;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

// One step of a JSON pointer: ~1 is /, ~0 is ~.
std::string unescape(std::string_view step) {
  std::string out;
  for (size_t i = 0; i < step.size(); ++i) {
    if (step[i] == '~' && i + 1 < step.size() && (step[i + 1] == '0' || step[i + 1] == '1')) {
      out += step[++i] == '0' ? '~' : '/';
    } else {
      out += step[i];
    }
  }
  return out;
}

Draft draft_of(const Json& root) {
  if (!root.is_object()) return Draft::draft2020;
  const auto it = root.find("$schema");
  if (it == root.end() || !it->is_string()) return Draft::draft2020;
  const auto& uri = it->get_ref<const std::string&>();
  const std::pair<const char*, Draft> known[] = {
      {"draft-03", Draft::draft4}, {"draft-04", Draft::draft4}, {"draft-05", Draft::draft4},
      {"draft-06", Draft::draft6}, {"draft-07", Draft::draft7}, {"2019-09", Draft::draft2019}};
  for (const auto& [name, draft] : known)
    if (uri.find(name) != uri.npos) return draft;
  return Draft::draft2020;
}

}  // namespace

std::unique_ptr<Json> parse_json(std::string_view text, const char* what, int max_depth) {
  LM_CHECK(text.size() <= kMaxText, ErrorCode::bad_option, "{}: {} bytes; expected at most {}",
           what, text.size(), kMaxText);
  // Checked first: what parses recursively later must not be nested without bound.
  int depth = 0;
  bool inside = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (inside) {
      if (c == '\\') ++i;
      inside = c != '"';
    } else if (c == '"') {
      inside = true;
    } else if (c == '[' || c == '{') {
      LM_CHECK(++depth <= max_depth, ErrorCode::bad_option, "{}: nested deeper than {} levels",
               what, max_depth);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  try {
    return std::make_unique<Json>(Json::parse(text));
  } catch (const Json::exception& e) {
    const std::string message = e.what();
    const size_t at = message.find("] ");
    raise(ErrorCode::bad_option, "{}: not JSON: {}", what,
          at == message.npos ? message : message.substr(at + 2));
  }
}

std::string resolve_uri(const std::string& base, const std::string& reference) {
  if (reference.empty()) return base;
  const auto scheme_end = [](const std::string& uri) {
    const size_t colon = uri.find_first_of(":/?#");
    return colon != uri.npos && uri[colon] == ':' && colon > 0 ? colon + 1 : size_t{0};
  };
  if (scheme_end(reference) > 0) return reference;
  if (reference[0] == '#') return without_fragment(base) + reference;
  const size_t scheme = scheme_end(base);
  if (reference.starts_with("//")) return base.substr(0, scheme) + reference;
  size_t path = scheme;
  if (base.compare(scheme, 2, "//") == 0) path = std::min(base.find('/', scheme + 2), base.size());
  if (reference[0] == '/') return base.substr(0, path) + reference;
  const std::string clean = base.substr(0, base.find_first_of("?#"));
  const size_t slash = clean.rfind('/');
  if (slash == clean.npos || slash < path)
    return clean.substr(0, path) + (path > scheme ? "/" : "") + reference;
  return clean.substr(0, slash + 1) + reference;
}

Subschemas subschemas_of(std::string_view keyword) {
  using S = Subschemas;
  static const std::map<std::string_view, S> known = {{"additionalItems", S::one},
                                                      {"additionalProperties", S::one},
                                                      {"contains", S::one},
                                                      {"contentSchema", S::one},
                                                      {"else", S::one},
                                                      {"if", S::one},
                                                      {"not", S::one},
                                                      {"propertyNames", S::one},
                                                      {"then", S::one},
                                                      {"unevaluatedItems", S::one},
                                                      {"unevaluatedProperties", S::one},
                                                      {"items", S::one_or_list},
                                                      {"allOf", S::list},
                                                      {"anyOf", S::list},
                                                      {"oneOf", S::list},
                                                      {"prefixItems", S::list},
                                                      {"$defs", S::table},
                                                      {"definitions", S::table},
                                                      {"dependencies", S::table},
                                                      {"dependentSchemas", S::table},
                                                      {"patternProperties", S::table},
                                                      {"properties", S::table}};
  const auto found = known.find(keyword);
  return found == known.end() ? S::none : found->second;
}

SchemaDocument::SchemaDocument(std::string_view text,
                               const std::map<std::string, std::string>& others)
    : root_(parse_json(text, "schema")) {
  LM_CHECK(root_->is_object() || root_->is_boolean(), ErrorCode::bad_option,
           "schema: {}; expected an object or a boolean", root_->type_name());
  draft_ = draft_of(*root_);
  for (const auto& [uri, other] : others) add_other(uri, other);
  if (const auto uri = root_->find("$schema"); uri != root_->end() && uri->is_string()) {
    const auto own = by_uri_.find(without_fragment(uri->get_ref<const std::string&>()));
    if (own != by_uri_.end() && !has_validation(*own->second)) remove_validation(*root_);
  }
  by_uri_[""] = root_.get();
  visit(*root_, nullptr, "#", "", root_.get(), true);
}
SchemaDocument::~SchemaDocument() = default;

void SchemaDocument::add_other(const std::string& uri, std::string_view text) const {
  others_.push_back(parse_json(text, "schema"));
  const Json* other = others_.back().get();
  by_uri_[without_fragment(uri)] = other;
  visit(*other, nullptr, uri + "#", without_fragment(uri), other, true);
}

void SchemaDocument::visit(const Json& node, const Json* parent, std::string key, std::string base,
                           const Json* resource, bool is_schema) const {
  if (is_schema && node.is_object()) {
    const bool lone_ref = node.contains("$ref") && draft_ < Draft::draft2019;
    for (const char* name : {"$id", "id"}) {
      const auto id = node.find(name);
      if (id == node.end() || !id->is_string() || lone_ref) continue;
      if (name[0] == 'i' && draft_ > Draft::draft4 && parent != nullptr) continue;
      const auto& text = id->get_ref<const std::string&>();
      const std::string uri = resolve_uri(base, text);
      if (!text.starts_with("#")) {
        base = without_fragment(uri);
        resource = &node;
        by_uri_.emplace(base, &node);
      } else {
        by_uri_.emplace(uri, &node);  // an anchor, in old drafts
      }
    }
    for (const char* name : {"$anchor", "$dynamicAnchor"}) {
      const auto anchor = node.find(name);
      if (anchor == node.end() || !anchor->is_string()) continue;
      const auto& text = anchor->get_ref<const std::string&>();
      by_uri_.emplace(base + "#" + text, &node);
      if (name[1] == 'd') dynamic_.emplace(std::pair(resource, text), &node);
    }
    const auto recursive = node.find("$recursiveAnchor");
    if (recursive != node.end() && *recursive == true)
      dynamic_.emplace(std::pair(resource, ""), &node);
  }
  places_.emplace(&node, Place{parent, std::move(key), base, resource});
  if (!node.is_object() || !is_schema) return;
  const auto child = [&](const Json& value, const Json* holder, const std::string& step) {
    if (value.is_object() || value.is_boolean()) visit(value, holder, step, base, resource, true);
  };
  for (const auto& [keyword, value] : node.items()) {
    const Subschemas kind = subschemas_of(keyword);
    if (kind == Subschemas::none) continue;
    const bool list =
        value.is_array() && (kind == Subschemas::list || kind == Subschemas::one_or_list);
    const bool table = value.is_object() && kind == Subschemas::table;
    if (!list && !table) {
      if (kind == Subschemas::one || kind == Subschemas::one_or_list) child(value, &node, keyword);
      continue;
    }
    places_.emplace(&value, Place{&node, keyword, base, resource});
    if (table) {
      for (const auto& [name, schema] : value.items()) child(schema, &value, name);
    } else {
      for (size_t i = 0; i < value.size(); ++i) child(value[i], &value, std::to_string(i));
    }
  }
}

const Json* SchemaDocument::pointer(const Json& node, std::string_view path) const {
  const Json* at = &node;
  while (!path.empty()) {
    if (path[0] != '/') return nullptr;
    const size_t end = std::min(path.find('/', 1), path.size());
    const std::string step = unescape(path.substr(1, end - 1));
    path.remove_prefix(end);
    const Json* next = nullptr;
    if (at->is_object()) {
      const auto it = at->find(step);
      if (it != at->end()) next = &*it;
    } else if (at->is_array() && !step.empty() && step.size() < 9 &&
               step.find_first_not_of("0123456789") == step.npos) {
      const auto i = static_cast<size_t>(std::stoul(step));
      if (i < at->size()) next = &(*at)[i];
    }
    if (next == nullptr) return nullptr;
    // Places that no keyword leads to become known here.
    if (!places_.contains(next)) {
      const auto up = places_.find(at);
      const Place found{at, step, up == places_.end() ? "" : up->second.base,
                        up == places_.end() ? root_.get() : up->second.resource};
      if (next->is_object() || next->is_boolean()) {
        visit(*next, at, step, found.base, found.resource, true);
      } else {
        places_.emplace(next, found);
      }
    }
    at = next;
  }
  return at;
}

const Json* SchemaDocument::resource_of(const Json& node) const {
  const auto place = places_.find(&node);
  return place == places_.end() ? root_.get() : place->second.resource;
}

SchemaDocument::Target SchemaDocument::resolve(const Json& from,
                                               const std::string& reference) const {
  const auto place = places_.find(&from);
  const std::string base = place == places_.end() ? "" : place->second.base;
  const std::string uri = resolve_uri(base, reference);
  const size_t hash = uri.find('#');
  const std::string document = uri.substr(0, hash);
  const std::string fragment = hash == uri.npos ? "" : decode_percent(uri.substr(hash + 1));
  const Json* found = nullptr;
  if (!by_uri_.contains(document))
    if (const auto schema = metaschema(document)) add_other(document, *schema);
  auto resource = by_uri_.find(document);
  if (resource == by_uri_.end() && document == base && place != places_.end())
    found = place->second.resource;
  else if (resource != by_uri_.end())
    found = resource->second;
  if (found != nullptr && !fragment.empty()) {
    if (fragment[0] == '/') {
      found = pointer(*found, fragment);
    } else {
      const auto anchor = by_uri_.find(document + "#" + fragment);
      found = anchor == by_uri_.end() ? nullptr : anchor->second;
    }
  }
  LM_CHECK(found != nullptr && (found->is_object() || found->is_boolean()), ErrorCode::bad_option,
           "schema: {}: the reference \"{}\" leads to no schema in this document", path_of(from),
           reference);
  return {found, resource_of(*found)};
}

const Json* SchemaDocument::dynamic_anchor(const Json& resource, const std::string& name) const {
  const auto found = dynamic_.find({&resource, name});
  return found == dynamic_.end() ? nullptr : found->second;
}

size_t SchemaDocument::dynamic_anchors(const std::string& name) const {
  size_t n = 0;
  for (const auto& [key, node] : dynamic_) n += key.second == name;
  return n;
}

std::string SchemaDocument::path_of(const Json& node) const {
  std::vector<std::string> steps;
  for (const Json* at = &node; at != nullptr;) {
    const auto place = places_.find(at);
    if (place == places_.end()) break;
    steps.push_back(place->second.key);
    at = place->second.parent;
  }
  if (steps.empty()) return "#";
  std::string path = steps.back();
  for (size_t i = steps.size() - 1; i-- > 0;) path += "/" + steps[i];
  return path;
}

}  // namespace lm
