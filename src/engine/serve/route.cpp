#include "engine/serve/route.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace lm::serve {

#define LM_ROUTE(name) Route route_##name();
#include "engine/serve/route_list.inc"
#undef LM_ROUTE

const std::vector<Route>& all_routes() {
  static const std::vector<Route> routes = {
#define LM_ROUTE(name) route_##name(),
#include "engine/serve/route_list.inc"
#undef LM_ROUTE
  };
  return routes;
}

namespace {

// Whether the path is the route's; *id is what "{id}" stands for. Model names may hold slashes: at
// the end of a path "{id}" takes all that is left, unless it is empty.
bool matches(const std::string& pattern, const std::string& path, std::string* id) {
  const size_t open = pattern.find("{id}");
  if (open == std::string::npos) return pattern == path;
  const std::string_view head = std::string_view(pattern).substr(0, open),
                         tail = std::string_view(pattern).substr(open + 4);
  if (!path.starts_with(head) || !path.ends_with(tail) || path.size() <= head.size() + tail.size())
    return false;
  *id = path.substr(open, path.size() - head.size() - tail.size());
  return tail.empty() || id->find('/') == std::string::npos;
}

}  // namespace

const Route* find_route(const std::string& method, const std::string& path, std::string* id,
                        std::string* allowed) {
  const std::string wanted = method == "HEAD" ? "GET" : method;
  const Route* best = nullptr;
  for (const Route& route : all_routes()) {
    std::string taken;
    if (!matches(route.path, path, &taken)) continue;
    *allowed += (allowed->empty() ? "" : ", ") + route.method;
    // Fixed paths and longer patterns come before "{id}".
    if (route.method != wanted || (best && best->path.size() >= route.path.size())) continue;
    best = &route;
    *id = taken;
  }
  return best;
}

namespace {

Json operation(const Route& route) {
  Json op = {{"summary", route.summary}, {"responses", {{"200", {{"description", "the answer"}}}}}};
  if (route.access == Route::Access::key) op["security"] = Json::array({{{"key", Json::array()}}});
  if (route.path.find("{id}") != std::string::npos)
    op["parameters"] = Json::array(
        {{{"name", "id"}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}}});
  if (!route.fields.empty())
    op["requestBody"] = {
        {"required", true},
        {"content", {{"application/json", {{"schema", fields_schema(route.fields)}}}}}};
  return op;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

// Text inside a table of Markdown.
std::string cell(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '|' ? std::string("\\|") : std::string(1, c);
  return out;
}

std::string range(const Field& field) {
  if (field.least < -1e300 && field.most > 1e300) return "";
  return fmt::format(", {} to {}", field.least, field.most);
}

}  // namespace

std::string openapi_text() {
  Json paths = Json::object();
  for (const Route& route : all_routes()) paths[route.path][lower(route.method)] = operation(route);
  const Json all = {
      {"openapi", "3.1.0"},
      {"info", {{"title", "lmfast"}, {"version", LM_VERSION}}},
      {"components", {{"securitySchemes", {{"key", {{"type", "http"}, {"scheme", "bearer"}}}}}}},
      {"paths", std::move(paths)}};
  return dump(all);
}

std::string reference_text() {
  std::string out;
  for (const Route& route : all_routes()) {
    out += fmt::format("## {} {}\n\n{}.{}\n\n", route.method, route.path, route.summary,
                       route.access == Route::Access::open ? " Takes no key." : "");
    std::string rows, noted, refused;
    for (const Field& field : route.fields) {
      if (field.use == Field::Use::works)
        rows += fmt::format("| `{}` | {}{} | {}{} |\n", field.name, cell(field.type), range(field),
                            field.required ? "**required** " : "", cell(field.doc));
      std::string& list = field.use == Field::Use::noted ? noted : refused;
      if (field.use != Field::Use::works) list += (list.empty() ? "`" : ", `") + field.name + "`";
    }
    if (!rows.empty()) out += "| field | type | |\n|---|---|---|\n" + rows + "\n";
    if (!noted.empty()) out += "Accepted without effect on the answer: " + noted + ".\n\n";
    if (!refused.empty())
      out += "Refused with 400 (unless they ask for nothing): " + refused + ".\n\n";
  }
  return out;
}

}  // namespace lm::serve
