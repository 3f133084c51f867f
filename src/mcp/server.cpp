#include "mcp/server.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace lm::mcp {

const std::vector<std::string>& protocol_versions() {
  static const std::vector<std::string> all{kModernVersion, "2025-11-25", "2025-06-18",
                                            "2025-03-26", "2024-11-05"};
  return all;
}

Json asked_version(const Json& params) {
  const Json meta = meta_of(params);
  const std::string key = std::string(kMeta) + "protocolVersion";
  if (!meta.contains(key)) return nullptr;
  const auto& all = protocol_versions();
  const bool older = std::find(all.begin() + 1, all.end(), meta[key]) != all.end();
  return older ? Json(nullptr) : meta[key];
}

void Server::set_list(const std::string& kind, const std::string& entries) {
  {
    const std::lock_guard lock(mutex_);
    std::string& list = lists_[kind];
    if (list == entries) return;
    const bool first = list.empty();
    list = entries;
    if (first && sessions_.empty()) return;
  }
  const std::string changed = kind == "resourceTemplates" ? "resources" : kind;
  for (const auto& session : sessions()) session->list_changed(changed);
}

void Server::resource_updated(const std::string& uri) {
  for (const auto& session : sessions()) session->resource_updated(uri);
}

void Server::task_changed(const std::string& id) {
  const Json state = tasks_.state(id);
  if (state.is_null()) return;
  for (const auto& session : sessions()) session->task_changed(id, state);
}

std::shared_ptr<Session> Server::connect(std::shared_ptr<Sink> sink, std::string principal) {
  auto session =
      std::make_shared<Session>(shared_from_this(), std::move(sink), std::move(principal));
  const std::lock_guard lock(mutex_);
  std::erase_if(sessions_, [](const auto& s) { return s.expired(); });
  sessions_.push_back(session);
  return session;
}

Json Server::list(const std::string& kind) const {
  const std::lock_guard lock(mutex_);
  const auto found = lists_.find(kind);
  Json entries = found == lists_.end() ? Json::array() : Json::parse(found->second, nullptr, false);
  return entries.is_array() ? entries : Json::array();
}

void Server::set_scopes(const std::string& scopes) {
  const Json by_tool = Json::parse(scopes, nullptr, false);
  const std::lock_guard lock(mutex_);
  scopes_.clear();
  if (!by_tool.is_object()) return;
  for (const auto& entry : by_tool.items()) scopes_[entry.key()] = texts_at(by_tool, entry.key());
}

std::vector<std::string> Server::scopes_of(const std::string& tool) const {
  const std::lock_guard lock(mutex_);
  const auto found = scopes_.find(tool);
  return found == scopes_.end() ? std::vector<std::string>{} : found->second;
}

Json Server::input_schema(const std::string& tool) const {
  for (const Json& entry : list("tools"))
    if (entry.is_object() && text_at(entry, "name") == tool)
      return entry.value("inputSchema", Json());
  return nullptr;
}

std::vector<std::shared_ptr<Session>> Server::sessions() {
  std::vector<std::shared_ptr<Session>> all;
  const std::lock_guard lock(mutex_);
  for (const auto& weak : sessions_)
    if (auto session = weak.lock()) all.push_back(std::move(session));
  return all;
}

Json server_info(const ServerOptions& o) {
  Json info = {{"name", o.name}, {"version", o.version}};
  if (!o.title.empty()) info["title"] = o.title;
  return info;
}

Json completed(Json result, const ServerOptions& o) {
  if (!result.contains("resultType")) {
    Json with = {{"resultType", "complete"}};
    with.update(result);
    result = std::move(with);
  }
  result["_meta"][std::string(kMeta) + "serverInfo"] = server_info(o);
  return result;
}

}  // namespace lm::mcp
