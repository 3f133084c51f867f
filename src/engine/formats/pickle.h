// Reads a Python pickle as data, without executing anything: numbers, strings, containers, and
// records of what the pickle would have called. Who reads them decides which names are allowed.
// Source: Python's pickletools (protocols 2 to 5).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace lm {

struct PickleValue;
// Values are shared as the pickle shares them; a list or dictionary may contain itself.
using Pickle = PickleValue*;

struct PickleValue {
  enum class Kind : uint8_t {
    none,
    boolean,
    integer,
    real,
    string,
    bytes,
    tuple,
    list,
    dict,
    global,      // text: "module name"
    persistent,  // items[0]: the id, for whoever knows what lies outside of the pickle
    call         // items[0]: a global, items[1]: the tuple of arguments
  };
  Kind kind = Kind::none;
  int64_t integer = 0;  // of boolean too
  double real = 0;
  std::string text;           // of string, bytes and global
  std::vector<Pickle> items;  // of tuple, list, persistent and call
  std::vector<std::pair<Pickle, Pickle>>
      entries;  // of dict, and what was set on the result of a call

  bool is(Kind k) const { return kind == k; }
};

// The values of a pickle live as long as this.
struct PickleTree {
  std::deque<PickleValue> values;
  Pickle root = nullptr;
};

// `allowed` is asked for every global before anything is made of it ("torch FloatStorage"). Throws
// unsupported naming a global that is not allowed or an opcode that containers, numbers, strings
// and calls do not need; bad_file for damaged pickles.
PickleTree parse_pickle(std::span<const std::byte> bytes, const std::string& name,
                        const std::function<bool(const std::string& global)>& allowed);

}  // namespace lm
