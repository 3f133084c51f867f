// Memory that Lua cannot see: a userdata of 40 bytes may own a gigabyte. Owners report what they
// hold, and a full collection runs when much was allocated since the last one (measured on 200
// dropped buffers of 16 MiB: peak 275 MiB instead of 3204).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

struct lua_State;

namespace lm {

// The bytes of one object, reported while this lives. Keep it in the object (or in the userdata)
// that owns the memory; destroying it needs no Lua state, so it is fit for __gc and for other
// threads.
class ExternalBytes {
 public:
  ExternalBytes() = default;
  // `type` must outlive the process's use of it (a string literal).
  ExternalBytes(const char* type, size_t bytes);
  ~ExternalBytes() { reset(); }
  ExternalBytes(ExternalBytes&& other) noexcept;
  ExternalBytes& operator=(ExternalBytes&& other) noexcept;

  void reset() noexcept;
  size_t bytes() const { return bytes_; }

 private:
  const char* type_ = nullptr;
  size_t bytes_ = 0;
};

// Runs a full collection of this state when external allocations since the last one passed the
// limit: 256 MiB, growing by 40 % when a collection frees less than a fifth. Call after pushing a
// new owner, while it is on the stack.
void collect_if_needed(lua_State* L);

// Runs `allocate`; when it throws out_of_memory, collects once and tries again.
template <typename Function>
auto allocate_or_collect(lua_State* L, Function allocate) -> decltype(allocate());

struct HandleStats {
  std::string type;
  size_t count, bytes;
};
// Live owners by type, sorted by name.
std::vector<HandleStats> handle_stats();

// Bytes of the process in memory.
uint64_t resident_bytes();

void collect_everything(lua_State* L);
bool is_out_of_memory(const std::exception& error);

template <typename Function>
auto allocate_or_collect(lua_State* L, Function allocate) -> decltype(allocate()) {
  try {
    return allocate();
  } catch (const std::exception& error) {
    if (!is_out_of_memory(error)) throw;
  }
  collect_everything(L);
  return allocate();
}

}  // namespace lm
