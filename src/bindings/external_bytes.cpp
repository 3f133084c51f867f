#include "bindings/external_bytes.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fstream>
#include <lua.hpp>
#include <map>
#include <mutex>
#include <new>
#include <utility>

#include "engine/core/error.h"

namespace lm {
namespace {

constexpr size_t kFirstLimit = size_t{256} << 20;

struct Totals {
  size_t count = 0, bytes = 0;
};

struct Accounts {
  std::mutex mutex;
  std::map<std::string, Totals> by_type;
  size_t live = 0;              // bytes held now
  size_t since_collection = 0;  // bytes reported since the last collection
  size_t limit = kFirstLimit;
};

// Never destroyed: handles may outlive every other static object.
Accounts& accounts() {
  static Accounts* instance = new Accounts;
  return *instance;
}

}  // namespace

ExternalBytes::ExternalBytes(const char* type, size_t bytes) : type_(type), bytes_(bytes) {
  Accounts& a = accounts();
  const std::lock_guard lock(a.mutex);
  Totals& totals = a.by_type[type];
  ++totals.count;
  totals.bytes += bytes;
  a.live += bytes;
  a.since_collection += bytes;
}

ExternalBytes::ExternalBytes(ExternalBytes&& other) noexcept
    : type_(std::exchange(other.type_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

ExternalBytes& ExternalBytes::operator=(ExternalBytes&& other) noexcept {
  if (this == &other) return *this;
  reset();
  type_ = std::exchange(other.type_, nullptr);
  bytes_ = std::exchange(other.bytes_, 0);
  return *this;
}

void ExternalBytes::reset() noexcept {
  if (!type_) return;
  Accounts& a = accounts();
  const std::lock_guard lock(a.mutex);
  const auto it = a.by_type.find(type_);
  --it->second.count;
  it->second.bytes -= bytes_;
  a.live -= bytes_;
  type_ = nullptr;
  bytes_ = 0;
}

void collect_if_needed(lua_State* L) {
  Accounts& a = accounts();
  size_t before = 0, allocated = 0;
  {
    const std::lock_guard lock(a.mutex);
    if (a.since_collection <= a.limit) return;
    allocated = a.since_collection;
    before = a.live;
    a.since_collection = 0;
  }
  collect_everything(L);
  const std::lock_guard lock(a.mutex);
  const size_t freed = before - std::min(before, a.live);
  a.limit = freed < allocated / 5 ? a.limit + a.limit * 2 / 5 : kFirstLimit;
}

// Twice: a finaliser may drop the last reference to another object.
void collect_everything(lua_State* L) {
  lua_gc(L, LUA_GCCOLLECT, 0);
  lua_gc(L, LUA_GCCOLLECT, 0);
}

bool is_out_of_memory(const std::exception& error) {
  if (const auto* own = dynamic_cast<const Error*>(&error))
    return own->code() == ErrorCode::out_of_memory;
  return dynamic_cast<const std::bad_alloc*>(&error) != nullptr;
}

std::vector<HandleStats> handle_stats() {
  Accounts& a = accounts();
  const std::lock_guard lock(a.mutex);
  std::vector<HandleStats> rows;
  for (const auto& [type, totals] : a.by_type)
    if (totals.count > 0) rows.push_back({type, totals.count, totals.bytes});
  return rows;
}

uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace lm
