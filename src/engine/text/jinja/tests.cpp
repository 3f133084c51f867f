// What may stand after "is".
#include <algorithm>
#include <cctype>

#include "engine/core/error.h"
#include "engine/text/jinja/interpreter.h"
#include "engine/text/unicode.h"

namespace lm::jinja {

namespace {

int64_t integer_of(Interpreter& in, const Value& v) {
  if (!v.is_integral())
    in.fail(fmt::format("the test needs an integer, got {}", kind_name(v.kind())));
  return v.integer();
}

// The ordered tests, by what compare() must give.
bool ordered(Interpreter& in, const Value& a, Arguments& arguments, bool (*accept)(int)) {
  const Value b = arguments.get(0, "other");
  if (a.kind() != b.kind() && !(a.is_numeric() && b.is_numeric())) {
    in.fail(fmt::format("cannot order {} and {}", kind_name(a.kind()), kind_name(b.kind())));
  }
  return accept(compare(a, b));
}

bool test_equal(Interpreter&, const Value& a, Arguments& arguments) {
  return equal(a, arguments.get(0, "other"));
}
bool test_not_equal(Interpreter&, const Value& a, Arguments& arguments) {
  return !equal(a, arguments.get(0, "other"));
}
bool test_less(Interpreter& in, const Value& a, Arguments& g) {
  return ordered(in, a, g, [](int c) { return c < 0; });
}
bool test_greater(Interpreter& in, const Value& a, Arguments& g) {
  return ordered(in, a, g, [](int c) { return c > 0; });
}
bool test_at_most(Interpreter& in, const Value& a, Arguments& g) {
  return ordered(in, a, g, [](int c) { return c <= 0; });
}
bool test_at_least(Interpreter& in, const Value& a, Arguments& g) {
  return ordered(in, a, g, [](int c) { return c >= 0; });
}

bool test_in(Interpreter& in, const Value& a, Arguments& arguments) {
  const Value container = arguments.get(0, "seq");
  if (container.is_string() && a.is_string())
    return container.string().find(a.string()) != std::string::npos;
  const List all = in.elements(container);
  return std::any_of(all.begin(), all.end(), [&](const Value& v) { return equal(v, a); });
}

bool test_divisible(Interpreter& in, const Value& a, Arguments& arguments) {
  const int64_t by = integer_of(in, arguments.get(0, "num"));
  if (by == 0) in.fail("division by zero");
  return by == -1 || integer_of(in, a) % by == 0;
}

template <Kind kind>
bool test_kind(Interpreter&, const Value& a, Arguments&) {
  return a.is(kind);
}

struct Row {
  const char* name;
  TestFunction test;
};

constexpr Row kTests[] = {
    {"defined", [](Interpreter&, const Value& a, Arguments&) { return !a.is_undefined(); }},
    {"undefined", test_kind<Kind::undefined>},
    {"none", test_kind<Kind::none>},
    {"boolean", test_kind<Kind::boolean>},
    {"true",
     [](Interpreter&, const Value& a, Arguments&) { return a.is(Kind::boolean) && a.boolean(); }},
    {"false",
     [](Interpreter&, const Value& a, Arguments&) { return a.is(Kind::boolean) && !a.boolean(); }},
    {"integer", test_kind<Kind::integer>},
    {"float", test_kind<Kind::number>},
    {"number", [](Interpreter&, const Value& a, Arguments&) { return a.is_numeric(); }},
    {"string", test_kind<Kind::string>},
    {"mapping", test_kind<Kind::dict>},
    {"callable", test_kind<Kind::function>},
    // An undefined value can be looped over, but has no length worth the name: jinja2 says true to
    // both.
    {"iterable",
     [](Interpreter&, const Value& a, Arguments&) {
       return a.is_undefined() || a.is_list() || a.is_string() || a.is_dict();
     }},
    {"sequence",
     [](Interpreter&, const Value& a, Arguments&) {
       return a.is_undefined() || a.is_list() || a.is_string() || a.is_dict();
     }},
    {"odd", [](Interpreter& in, const Value& a, Arguments&) { return integer_of(in, a) % 2 != 0; }},
    {"even",
     [](Interpreter& in, const Value& a, Arguments&) { return integer_of(in, a) % 2 == 0; }},
    {"divisibleby", test_divisible},
    {"lower",
     [](Interpreter&, const Value& a, Arguments&) {
       return a.is_string() && lowercase_unicode(a.string()) == a.string();
     }},
    {"upper",
     [](Interpreter&, const Value& a, Arguments&) {
       return a.is_string() && std::none_of(a.string().begin(), a.string().end(),
                                            [](unsigned char c) { return std::islower(c); });
     }},
    {"in", test_in},
    {"equalto", test_equal},
    {"eq", test_equal},
    {"==", test_equal},
    {"sameas", test_equal},
    {"ne", test_not_equal},
    {"!=", test_not_equal},
    {"lt", test_less},
    {"<", test_less},
    {"lessthan", test_less},
    {"gt", test_greater},
    {">", test_greater},
    {"greaterthan", test_greater},
    {"le", test_at_most},
    {"<=", test_at_most},
    {"ge", test_at_least},
    {">=", test_at_least},
};

}  // namespace

TestFunction find_test(std::string_view name) {
  for (const Row& row : kTests) {
    if (name == row.name) return row.test;
  }
  return nullptr;
}

}  // namespace lm::jinja
