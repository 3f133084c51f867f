// The global functions of the template language.
#include <array>

#include "engine/core/error.h"
#include "engine/text/jinja/interpreter.h"

namespace lm::jinja {

namespace {

Value raise_exception(Interpreter& in, Arguments& arguments) {
  in.fail(to_text(arguments.get(0, "message")));
}

Value range(Interpreter& in, Arguments& arguments) {
  std::array<int64_t, 3> n{0, 0, 1};
  const size_t given = arguments.positional.size();
  if (given < 1 || given > 3) in.fail(fmt::format("range takes 1 to 3 numbers, got {}", given));
  for (size_t i = 0; i < given; ++i) {
    if (!arguments.positional[i].is_integral()) in.fail("range takes integers");
    n[i] = arguments.positional[i].integer();
  }
  if (given == 1) std::swap(n[0], n[1]);
  if (n[2] == 0) in.fail("range with step 0");
  List list;
  // jinja2's sandbox has the same limit.
  for (int64_t i = n[0]; n[2] > 0 ? i < n[1] : i > n[1];) {
    if (list.size() >= 100'000) in.fail("range of more than 100000 numbers");
    list.emplace_back(i);
    if (__builtin_add_overflow(i, n[2], &i)) break;
  }
  in.charge(list.size() * sizeof(Value));
  return list;
}

Value strftime_now(Interpreter& in, Arguments& arguments) {
  const std::string format = to_text(arguments.get(0, "format"));
  if (format.size() > 256) in.fail("strftime_now with a format of more than 256 bytes");
  const std::time_t now = in.now().value_or(std::time(nullptr));
  std::tm parts{};
  if (in.now() ? gmtime_r(&now, &parts) == nullptr : localtime_r(&now, &parts) == nullptr)
    in.fail("the time is out of range");
  std::array<char, 4096> text{};
  const size_t size = std::strftime(text.data(), text.size(), format.c_str(), &parts);
  return std::string(text.data(), size);
}

Value dict(Interpreter&, Arguments& arguments) {
  auto result = std::make_shared<Dict>();
  for (auto& [key, value] : arguments.named) result->set(key, std::move(value));
  return result;
}

struct Global {
  const char* name;
  Function function;
};

}  // namespace

const Function* find_global(std::string_view name) {
  static const Global kGlobals[] = {
      {"raise_exception", raise_exception},
      {"range", range},
      {"strftime_now", strftime_now},
      {"namespace",
       [](Interpreter& in, Arguments& arguments) { return in.make_namespace(arguments); }},
      {"dict", dict},
  };
  for (const Global& g : kGlobals) {
    if (name == g.name) return &g.function;
  }
  return nullptr;
}

}  // namespace lm::jinja
