// The template language, rule by rule; expected values are jinja2's. Whole templates are in
// chat_template_golden_test.cpp.
#include "engine/text/chat_template.h"

#include <doctest/doctest.h>

#include "engine/core/error.h"

namespace {

std::string render(const std::string& source, const std::string& variables = "{}") {
  return lm::ChatTemplate(source).render_json(variables, 0);
}

void fails(const std::string& source, const char* what) {
  CHECK_THROWS_WITH_AS(render(source), doctest::Contains(what), lm::Error);
}

}  // namespace

TEST_CASE("templates: white space control") {
  CHECK(render("a\n{% if true %}\nb\n{% endif %}\nc\n") == "a\nb\nc");
  CHECK(render("  {% set x = 1 %}  \n{{ x }}\n\n") == "  \n1\n");
  CHECK(render("a  {%- set x = 1 -%}  \n b") == "ab");
  CHECK(render("a {{- 'x' -}} b") == "axb");
  CHECK(render("x {# note #}\ny") == "x y");
  CHECK(render("{% raw %}{{ x }}{% endraw %}") == "{{ x }}");
  CHECK(render("a\n   {%+ if true %}b{% endif %}") == "a\n   b");
}

TEST_CASE("templates: expressions") {
  CHECK(
      render("{{ 1 + 2 * 3 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 3 }}") ==
      "7 3 -4 2 3.5 8");
  CHECK(render("{{ 'a' ~ 1 ~ none }} {{ 'ab' * 2 }} {{ [1] + [2] }}") == "a1None abab [1, 2]");
  CHECK(render("{{ 1 < 2 and not 3 == 4 }} {{ 'b' in 'abc' }} {{ 2 not in [1] }}") ==
        "True True True");
  CHECK(render("{{ 'yes' if 0 else 'no' }}{{ 'x' if false }}") == "no");
  CHECK(render("{{ 'héllo'[1] }} {{ 'héllo'[-3:] }} {{ 'abc'[::-1] }} {{ [1,2,3][1:] }} {{ "
               "'abc'[5:] }}") == "é llo cba [2, 3] ");
  CHECK(render("{{ {'a': 1.0, 'b': [true, none]} }} {{ 'it\\'s' }} {{ [\"it's\"] }}") ==
        "{'a': 1.0, 'b': [True, None]} it's [\"it's\"]");
  CHECK(render("{{ x.y['z'] }}{{ x.nope }}", R"({"x":{"y":{"z":5}}})") == "5");
  CHECK(render("{{ 'a,b'.split(',')[1] }} {{ ' x '.strip() }} {{ 'xxa'.lstrip('x') }} {{ "
               "'abc'.startswith('ab') }}") == "b x a True");
}

TEST_CASE("templates: statements") {
  CHECK(render("{% for i in range(3) %}{{ loop.index }}{{ ',' if not loop.last }}{% endfor %}") ==
        "1,2,3");
  CHECK(render("{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
               R"({"d":{"b":1,"a":2}})") == "b=1;a=2;");
  CHECK(render("{% for i in [1,2,3,4] if i % 2 == 0 %}{{ i }}{% else %}none{% endfor %}") == "24");
  CHECK(render("{% for i in [] %}{% else %}none{% endfor %}") == "none");
  CHECK(render("{% for i in range(9) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% "
               "break %}{% endif %}{{ i }}{% endfor %}") == "02");
  CHECK(render("{% set x = 1 %}{% for i in [1] %}{% set x = 2 %}{% endfor %}{{ x }}") == "1");
  CHECK(
      render(
          "{% set n = namespace(x=1) %}{% for i in [1] %}{% set n.x = 2 %}{% endfor %}{{ n.x }}") ==
      "2");
  CHECK(render("{% macro m(a, b='B') %}[{{ a }}{{ b }}]{% endmacro %}{{ m(1) }}{{ m(1, b=2) }}") ==
        "[1B][12]");
  CHECK(render("{% set x %}a{{ 1 }}{% endset %}{{ x }}") == "a1");
  CHECK(render("{% filter upper %}ab{% endfilter %}") == "AB");
  CHECK(render("{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}x{% endcall %}") ==
        "<x>");
  CHECK(render("{% set a, b = [1, 2] %}{{ b }}{{ a }}") == "21");
}

TEST_CASE("templates: filters, tests and tojson") {
  CHECK(render("{{ ' a ' | trim }}{{ 'a' | upper }}{{ [1,2] | length }}{{ x | default('d') }}") ==
        "aA2d");
  CHECK(render("{{ d | tojson }}", R"({"d":{"b":"é<\"\n","a":[1,2.5,null,true]}})") ==
        R"({"b": "é<\"\n", "a": [1, 2.5, null, true]})");
  CHECK(render("{{ [1,{}] | tojson(indent=2) }}") == "[\n  1,\n  {}\n]");
  CHECK(render("{{ l | map(attribute='x') | join('-') }} {{ l | selectattr('x', 'equalto', 2) | "
               "list | length }}",
               R"({"l":[{"x":1},{"x":2}]})") == "1-2 1");
  CHECK(render("{{ d | dictsort }}", R"({"d":{"b":1,"a":2}})") == "[['a', 2], ['b', 1]]");
  CHECK(render("{{ 'a\nb' | indent(2) }} {{ 'a b' | replace(' ', '_') }}") == "a\n  b a_b");
  CHECK(render("{{ x is defined }} {{ none is none }} {{ 'a' is string }} {{ {} is mapping }} {{ 3 "
               "is odd }} {{ 1 is not number }}") == "False True True True True False");
  CHECK(render("{{ strftime_now('%d %b %Y') }}") == "01 Jan 1970");
}

TEST_CASE("templates: errors carry the line") {
  fails("\n\n{% if %}", "line 3");
  fails("{{ 1 + }}", "expected an expression");
  fails("{% for x in y %}", "endfor");
  fails("{% include 'x' %}", "include");
  fails("a\n{{ raise_exception('no tools please') }}", "line 2: no tools please");
  fails("{{ x.y.z }}", "'x' is undefined");
  fails("{{ 'a' + 1 }}", "str and int");
  fails("{{ x | nope }}", "nope");
  fails("{{ 'abc", "closing quote");
  fails("{{ [].append(1) }}", "not allowed");
  fails("{% break %}", "outside of a loop");
}

TEST_CASE("templates: runaway templates end with an error") {
  fails("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "more than");
  fails("{{ 'a' * 9999999999 }}", "MiB");
  fails("{{ range(1000000) }}", "100000");
  fails("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "deep");
  fails("{{ " + std::string(5000, '(') + "1" + std::string(5000, ')') + " }}", "deep");
  std::string sum = "1";
  for (int i = 0; i < 5000; ++i) sum += "+1";
  fails("{{ " + sum + " }}", "deep");
  fails("{% set n = namespace() %}{% set n.n = n %}{{ n }}", "deep");
  CHECK_THROWS_AS(lm::ChatTemplate("{{ x }}").render_json(std::string(100000, '['), 0), lm::Error);
}

TEST_CASE("templates: no operation goes on for long or fills the memory") {
  const auto grow = [](const std::string& init, const std::string& step, const std::string& end) {
    return "{% set n = namespace(" + init + ") %}{% for i in range(60) %}{% set n.s = " + step +
           " %}{% endfor %}" + end;
  };
  fails(grow("s='aaaaaaaaaaaaaaaa'", "n.s ~ n.s", "{{ n.s | length }}"), "MiB");
  fails(grow("s=[1]", "n.s + n.s", "x"), "MiB");
  fails(grow("s='a'*1000", "n.s | replace('a', 'a'*1000)", "x"), "MiB");
  fails(grow("s='a'*1000", "n.s.replace('', 'a'*1000)", "x"), "MiB");
  fails(grow("s='a'*1000", "range(1000) | join(n.s)", "x"), "MiB");
  // Values that share their parts are small; what is made of them is not.
  fails(grow("s=[1]", "[n.s, n.s]", "{{ n.s }}"), "MiB");
  fails(grow("s=[1]", "[n.s, n.s]", "{{ n.s | tojson }}"), "MiB");
  fails(
      "{% set n = namespace(a=[1], b=[1]) %}{% for i in range(40) %}{% set n.a = [n.a, n.a] %}"
      "{% set n.b = [n.b, n.b] %}{% endfor %}{{ n.a == n.b }}",
      "million operations");
  const auto repeat = [](const std::string& set, const std::string& body) {
    return set + "{% for i in range(99999) %}" + body + "{% endfor %}";
  };
  const std::string text = "{% set s = 'a' * 10000000 %}",
                    list = "{% set s = range(99999) | list %}";
  fails(repeat(text, "{{ 'b' in s }}"), "million operations");
  fails(repeat(text + "{% set t = 'a' * 9999999 ~ 'b' %}", "{{ s == t }}"), "million operations");
  fails(repeat(text, "{{ s | length }}"), "million operations");
  fails(repeat(list, "{{ -1 in s }}"), "million operations");
  fails(repeat(list, "{% set x = s | sort %}"), "MiB");
  fails(repeat(list, "{% set x = s | unique | list %}"), "MiB");
  fails(
      "{% macro m(n) %}{% if n < 30 %}{{ m(n + 1) }}{{ m(n + 1) }}{% endif %}{% endmacro %}{{ m(0) "
      "}}",
      "steps");
}

TEST_CASE("templates: values, expressions and blocks are only so deep, integers only so big") {
  const auto times = [](int n, const std::string& s) {
    std::string out;
    for (int i = 0; i < n; ++i) out += s;
    return out;
  };
  fails("{% set n = namespace(l=[]) %}{% for i in range(99999) %}{% set n.l = [n.l] %}{% endfor %}",
        "1000 deep");
  fails(
      "{% set n = namespace(l={}) %}{% for i in range(99999) %}{% set n.l = {'a': n.l} %}{% endfor "
      "%}",
      "1000 deep");
  fails(
      "{% set n = namespace(l=[]) %}{% for i in range(99999) %}{% set n.l = [n.l.index] %}{% "
      "endfor %}",
      "1000 deep");
  fails("{{ " + times(100000, "-") + "1 }}", "deep");
  fails("{{ " + times(100000, "not ") + "1 }}", "deep");
  fails("{{ a" + times(100000, ".b") + " }}", "deep");
  fails("{{ 1" + times(100000, "|string") + " }}", "deep");
  fails("{{ " + times(100000, "1 if 0 else ") + "1 }}", "deep");
  fails(times(20000, "{% if 1 %}") + times(20000, "{% endif %}"), "deep");
  fails("{{ 9223372036854775807 + 1 }}", "64 bits");
  fails("{{ -9223372036854775807 - 2 }}", "64 bits");
  fails("{{ 9223372036854775807 * 2 }}", "64 bits");
  fails("{{ (-9223372036854775807 - 1) // -1 }}", "64 bits");
  CHECK(render("{{ (-9223372036854775807 - 1) % -1 }} {{ -7 // -1 }}") == "0 7");
}

TEST_CASE("templates: spans of generation blocks") {
  lm::ChatInput input;
  input.messages = R"([{"role":"user","content":"q"},{"role":"assistant","content":"answer"}])";
  const auto out = lm::ChatTemplate(
                       "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ "
                       "m.content }}{% endgeneration %}"
                       "{% else %}{{ m.content }}{% endif %}{% endfor %}")
                       .render_spans(input);
  CHECK(out.text == "qanswer");
  REQUIRE(out.generated.size() == 1);
  CHECK(out.text.substr(out.generated[0].first, out.generated[0].second - out.generated[0].first) ==
        "answer");
}
