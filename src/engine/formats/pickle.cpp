#include "engine/formats/pickle.h"

#include <bit>
#include <cstring>
#include <unordered_map>

#include "engine/core/error.h"

namespace lm {
namespace {

using Kind = PickleValue::Kind;

constexpr size_t kMaxValues = size_t{1} << 24;  // far above any checkpoint; keeps memory bounded

// The machine of the pickle format: a stack, marks, a memo. Nothing it does reaches outside of its
// own values.
class Machine {
 public:
  Machine(std::span<const std::byte> bytes, const std::string& name,
          const std::function<bool(const std::string&)>& allowed)
      : bytes_(bytes), name_(name), allowed_(allowed) {}

  PickleTree run() {
    for (uint8_t op; (op = number<uint8_t>()) != '.';) step(op);
    tree_.root = pop();
    return std::move(tree_);
  }

 private:
  // Reading ------------------------------------------------------------------------------------

  std::span<const std::byte> take(uint64_t n) {
    LM_CHECK(n <= bytes_.size() - pos_, ErrorCode::bad_file,
             "{}: the pickle needs {} bytes at byte {} and has {}", name_, n, pos_,
             bytes_.size() - pos_);
    const auto out = bytes_.subspan(pos_, static_cast<size_t>(n));
    pos_ += static_cast<size_t>(n);
    return out;
  }
  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::string text(uint64_t n) {
    const auto raw = take(n);
    return {reinterpret_cast<const char*>(raw.data()), raw.size()};
  }
  std::string line() {
    std::string out;
    for (char c; (c = number<char>()) != '\n';) out += c;
    return out;
  }

  // The stack ----------------------------------------------------------------------------------

  Pickle make(Kind kind) {
    LM_CHECK(tree_.values.size() < kMaxValues, ErrorCode::bad_file,
             "{}: the pickle makes more than {} values", name_, kMaxValues);
    tree_.values.emplace_back().kind = kind;
    return &tree_.values.back();
  }
  void push(Pickle v) { stack_.push_back(v); }
  void push_integer(Kind kind, int64_t value) {
    push(make(kind));
    stack_.back()->integer = value;
  }
  void push_text(Kind kind, std::string value) {
    push(make(kind));
    stack_.back()->text = std::move(value);
  }
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  Pickle pop() {
    LM_CHECK(stack_.size() > floor(), ErrorCode::bad_file,
             "{}: the pickle takes from an empty stack at byte {}", name_, pos_);
    Pickle v = stack_.back();
    stack_.pop_back();
    return v;
  }
  Pickle top() {
    LM_CHECK(stack_.size() > floor(), ErrorCode::bad_file,
             "{}: the pickle looks at an empty stack at byte {}", name_, pos_);
    return stack_.back();
  }
  std::vector<Pickle> pop_mark() {
    LM_CHECK(!marks_.empty(), ErrorCode::bad_file, "{}: the pickle has no mark at byte {}", name_,
             pos_);
    std::vector<Pickle> out(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()),
                            stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return out;
  }
  void push_tuple(size_t n) {
    Pickle tuple = make(Kind::tuple);
    tuple->items.resize(n);
    for (size_t i = n; i-- > 0;) tuple->items[i] = pop();
    push(tuple);
  }

  // What changes values ------------------------------------------------------------------------

  void append(const std::vector<Pickle>& values) {
    Pickle list = top();
    LM_CHECK(list->is(Kind::list), ErrorCode::unsupported,
             "{}: the pickle appends to something that is not a list at byte {}", name_, pos_);
    list->items.insert(list->items.end(), values.begin(), values.end());
  }
  // Of dictionaries, and of what an OrderedDict was called with.
  void set_items(const std::vector<Pickle>& values) {
    Pickle dict = top();
    LM_CHECK(dict->is(Kind::dict) || dict->is(Kind::call), ErrorCode::unsupported,
             "{}: the pickle sets entries of something that is not a dictionary at byte {}", name_,
             pos_);
    LM_CHECK(values.size() % 2 == 0, ErrorCode::bad_file,
             "{}: the pickle sets a key without value at byte {}", name_, pos_);
    for (size_t i = 0; i < values.size(); i += 2)
      dict->entries.emplace_back(values[i], values[i + 1]);
  }
  void push_global(const std::string& module, const std::string& name) {
    const std::string global = module + " " + name;
    LM_CHECK(allowed_(global), ErrorCode::unsupported,
             "{}: the checkpoint wants to call {}.{}; only tensors and plain containers are read, "
             "nothing is executed",
             name_, module, name);
    push_text(Kind::global, global);
  }
  void reduce() {
    Pickle call = make(Kind::call);
    Pickle arguments = pop(), callee = pop();
    LM_CHECK(callee->is(Kind::global) && arguments->is(Kind::tuple), ErrorCode::unsupported,
             "{}: the pickle calls something that is not a plain function at byte {}", name_, pos_);
    call->items = {callee, arguments};
    push(call);
  }
  void put(uint64_t key) { memo_[key] = top(); }
  void get(uint64_t key) {
    const auto it = memo_.find(key);
    LM_CHECK(it != memo_.end(), ErrorCode::bad_file,
             "{}: the pickle reads memo {}, which was never written", name_, key);
    push(it->second);
  }
  void push_long(uint64_t n) {
    const auto raw = take(n);
    LM_CHECK(n <= 8, ErrorCode::unsupported, "{}: the pickle has an integer of {} bytes", name_, n);
    uint64_t value = 0;
    for (size_t i = 0; i < n; ++i) value |= static_cast<uint64_t>(raw[i]) << (8 * i);
    if (n > 0 && n < 8 && (value >> (8 * n - 1)) & 1) value |= ~uint64_t{0} << (8 * n);
    push_integer(Kind::integer, static_cast<int64_t>(value));
  }

  void step(uint8_t op) {
    if (step_value(op) || step_container(op)) return;
    raise(
        ErrorCode::unsupported,
        "{}: the pickle uses opcode 0x{:02x} at byte {}, which checkpoints of tensors do not need",
        name_, op, pos_ - 1);
  }

  // Numbers, strings, names and calls.
  bool step_value(uint8_t op) {
    switch (op) {
      case 0x80:  // PROTO
        LM_CHECK(number<uint8_t>() <= 5, ErrorCode::unsupported, "{}: an unknown pickle protocol",
                 name_);
        return true;
      case 0x95:  // FRAME
        number<uint64_t>();
        return true;
      case 'N':
        push(make(Kind::none));
        return true;
      case 0x88:
      case 0x89:
        push_integer(Kind::boolean, op == 0x88);
        return true;
      case 'J':
        push_integer(Kind::integer, number<int32_t>());
        return true;
      case 'K':
        push_integer(Kind::integer, number<uint8_t>());
        return true;
      case 'M':
        push_integer(Kind::integer, number<uint16_t>());
        return true;
      case 0x8a:
        push_long(number<uint8_t>());
        return true;
      case 'G': {  // big-endian
        const uint64_t bits = __builtin_bswap64(number<uint64_t>());
        push(make(Kind::real));
        stack_.back()->real = std::bit_cast<double>(bits);
        return true;
      }
      case 'X':
        push_text(Kind::string, text(number<uint32_t>()));
        return true;
      case 0x8c:
        push_text(Kind::string, text(number<uint8_t>()));
        return true;
      case 0x8d:
        push_text(Kind::string, text(number<uint64_t>()));
        return true;
      case 'T':
      case 'B':
        push_text(Kind::bytes, text(number<uint32_t>()));
        return true;
      case 'U':
      case 'C':
        push_text(Kind::bytes, text(number<uint8_t>()));
        return true;
      case 'c': {
        const std::string module = line();
        push_global(module, line());
        return true;
      }
      case 0x93: {  // STACK_GLOBAL
        const Pickle name = pop(), module = pop();
        LM_CHECK(name->is(Kind::string) && module->is(Kind::string), ErrorCode::bad_file,
                 "{}: the pickle names a global by something that is not a string", name_);
        push_global(module->text, name->text);
        return true;
      }
      case 'R':
        reduce();
        return true;
      case 'b':  // BUILD: attributes of the object below; tensors and plain containers need none
        pop();
        top();
        return true;
      case 'Q': {  // BINPERSID
        Pickle v = make(Kind::persistent);
        v->items = {pop()};
        push(v);
        return true;
      }
      default:
        return false;
    }
  }

  // Containers, the stack and the memo.
  bool step_container(uint8_t op) {
    switch (op) {
      case '(':
        marks_.push_back(stack_.size());
        return true;
      case '0':
        pop();
        return true;
      case '1':
        pop_mark();
        return true;
      case '2':
        push(top());
        return true;
      case ')':
        push(make(Kind::tuple));
        return true;
      case ']':
        push(make(Kind::list));
        return true;
      case '}':
        push(make(Kind::dict));
        return true;
      case 't': {
        Pickle tuple = make(Kind::tuple);
        tuple->items = pop_mark();
        push(tuple);
        return true;
      }
      case 0x85:
      case 0x86:
      case 0x87:
        push_tuple(op - 0x84u);
        return true;
      case 'a': {
        Pickle value = pop();
        append({value});
        return true;
      }
      case 'e':
        append(pop_mark());
        return true;
      case 's': {
        Pickle value = pop(), key = pop();
        set_items({key, value});
        return true;
      }
      case 'u':
        set_items(pop_mark());
        return true;
      case 'q':
        put(number<uint8_t>());
        return true;
      case 'r':
        put(number<uint32_t>());
        return true;
      case 0x94:
        put(memo_.size());
        return true;
      case 'h':
        get(number<uint8_t>());
        return true;
      case 'j':
        get(number<uint32_t>());
        return true;
      default:
        return false;
    }
  }

  std::span<const std::byte> bytes_;
  const std::string& name_;
  const std::function<bool(const std::string&)>& allowed_;
  size_t pos_ = 0;
  PickleTree tree_;
  std::vector<Pickle> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, Pickle> memo_;
};

}  // namespace

PickleTree parse_pickle(std::span<const std::byte> bytes, const std::string& name,
                        const std::function<bool(const std::string& global)>& allowed) {
  return Machine(bytes, name, allowed).run();
}

}  // namespace lm
