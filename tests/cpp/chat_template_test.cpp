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
