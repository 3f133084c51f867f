// Constraints against what they must agree with: masks against trying every token, whole texts
// against the validator, both against published suites.
#include "engine/api/constraint.h"

#include <doctest/doctest.h>

#include <random>

#include "constraint_data.h"
#include "engine/api/json_validate.h"
#include "engine/core/error.h"
#include "engine/infer/constrain/front_ends.h"
#include "engine/infer/constrain/masks.h"
#include "engine/text/tokenizer.h"
#include "test_data.h"

namespace {

using lm::Constraint;
using lm::ConstraintOptions;
using lm::ConstraintState;
using Language = ConstraintOptions::Language;

ConstraintOptions make(Language language, const std::string& text) {
  ConstraintOptions o;
  o.language = language;
  o.text = text;
  return o;
}

// A vocabulary whose tokens cross the borders of JSON tokens, words and characters.
std::shared_ptr<const lm::Tokenizer> small_tokenizer() {
  std::string lines;
  int id = 0;
  const auto add = [&](const std::string& literal, size_t size) {
    lines += std::to_string(++id) + " " + literal + " " + std::to_string(size) + "\n";
  };
  for (int b = 1; b < 128; ++b) {
    char text[16];
    std::snprintf(text, sizeof text, "'\\x%02x'", b);
    add(text, 1);
  }
  for (const char* b : {"b'\\xc3'", "b'\\xa9'", "b'\\xe2'", "b'\\x82'", "b'\\xac'"}) add(b, 1);
  for (const char* t :
       {"{\"",  "\":",   "\": \"", "\"}",    "\",",    "\", \"", "[[", "]]",  "],",
        "}}",   "}]",    "}, {",   "true",   "null",   "nul",    "12", "123", "0.5",
        "ab",   "abc",   "name",   "name\"", "\"name", " \"",    "  ", "\n",  "a\"",
        "a\",", "\\u00", "\\n",    "-1",     "1,",     "1}",     "e+", "foo", "foob"}) {
    std::string quoted = "'";
    for (const char* c = t; *c != 0; ++c)
      quoted += *c == '\n'   ? std::string("\\n")
                : *c == '\\' ? std::string("\\\\")
                             : std::string(1, *c);
    add(quoted + "'", std::string(t).size());
  }
  add("b'a\\xc3'", 2);
  add("b'\\xa9\"'", 2);
  return lm::load_tokenizer_rwkv(lines, "small vocabulary");
}

const std::vector<ConstraintOptions>& samples() {
  static const std::vector<ConstraintOptions> list = [] {
    std::vector<ConstraintOptions> all;
    for (const char* regex : {"[0-9]{2,4}(-[a-f]+)?", "(foo|foobar|ab*c)+", "(?!.*aa)[ab]{3,6}",
                              ".*\xC3\xA9", "a{0,3}b{2,}|\\s\\S"})
      all.push_back(make(Language::regex, regex));
    for (const char* grammar :
         {"root ::= \"(\" root \")\" root | \"\"",
          "root ::= root \",\" item | item\nitem ::= [a-c]+ | \"[\" root \"]\"",
          "root ::= a | b\na ::= \"{\" a \"}\" | \"1\"\nb ::= \"{\" b \"}\" | \"12\""})
      all.push_back(make(Language::gbnf, grammar));
    for (
        const char* schema :
        {R"({"type":"object","properties":{"name":{"type":"string"},"a":{"type":"integer"}},"required":["name"]})",
         R"({"type":"array","items":{"type":["string","null","boolean"],"maxLength":3},"minItems":1,"maxItems":3})",
         R"({"type":"object","patternProperties":{"^a":{"type":"number","minimum":-1.5,"maximum":12}},
              "additionalProperties":{"enum":["foo","foob",[1,2],{"a":null}]},"maxProperties":3})",
         R"({"anyOf":[{"type":"string","pattern":"^(ab|\u00e9)+$"},{"type":"number","multipleOf":0.5},
              {"type":"array","items":{"$ref":"#"}}]})",
         R"({"oneOf":[{"type":"object","required":["a"]},{"type":"object","required":["name"]}],
              "properties":{"a":{"const":1},"name":{"type":"string","minLength":2}},"additionalProperties":false})"})
      all.push_back(make(Language::json_schema, schema));
    ConstraintOptions choices;
    choices.language = Language::choices;
    choices.choices = {"foo", "foobar", "abc", "\xC3\xA9"};
    all.push_back(choices);
    ConstraintOptions lazy = make(Language::regex, "\\{[a-c]+\\}");
    lazy.triggers = {"foo", "ab\""};
    all.push_back(lazy);
    return all;
  }();
  return list;
}

bool has(const std::vector<uint64_t>& bits, int32_t id) {
  return (bits[static_cast<size_t>(id) >> 6] >> (id & 63) & 1) != 0;
}

}  // namespace

TEST_CASE("constraint: a mask allows exactly the tokens that can be accepted") {
  const auto tokenizer = small_tokenizer();
  std::mt19937 random(7);
  for (const ConstraintOptions& options : samples()) {
    CAPTURE(options.text);
    const auto constraint = Constraint::compile(options, tokenizer);
    std::vector<uint64_t> bits((static_cast<size_t>(tokenizer->size()) + 63) / 64);
    for (int round = 0; round < 12; ++round) {
      ConstraintState state(constraint);
      std::string text;
      for (int step = 0; step < 40; ++step) {
        state.mask(bits);
        std::vector<int32_t> allowed;
        for (int32_t id = 0; id < tokenizer->size(); ++id) {
          ConstraintState tried = state;
          const bool accepted = tried.accept(id);
          CHECK_MESSAGE(accepted == has(bits, id), "token ", id, " behind ", text);
          if (accepted) allowed.push_back(id);
        }
        CHECK(state.may_stop() == constraint->accepts(text));
        // A state that may not end has a way on: nothing leads into a dead end.
        if (allowed.empty()) {
          CHECK(state.may_stop());
          break;
        }
        const int32_t id = allowed[random() % allowed.size()];
        REQUIRE(state.accept(id));
        text += tokenizer->token_bytes(id);
      }
    }
  }
}

TEST_CASE("constraint: rollback, copies and forced tokens") {
  const auto tokenizer = small_tokenizer();
  const auto constraint =
      Constraint::compile(make(Language::regex, "name: (foo|foobar) \"abc\""), tokenizer);
  ConstraintState state(constraint);
  std::string forced;
  for (const int32_t id : state.forced()) {
    REQUIRE(state.accept(id));
    forced += tokenizer->token_bytes(id);
  }
  CHECK(forced == "name: ");  // "foo" is not taken: "foob" may come as one token
  const size_t n = state.accepted();
  ConstraintState copy = state;
  for (const char* piece : {"foo", " "}) REQUIRE(state.accept(tokenizer->id_of(piece)));
  for (const int32_t id : state.forced()) REQUIRE(state.accept(id));
  CHECK(state.is_done());
  CHECK(copy.accepted() == n);
  state.rollback(state.accepted() - n);
  std::vector<uint64_t> a((static_cast<size_t>(tokenizer->size()) + 63) / 64), b = a;
  state.mask(a);
  copy.mask(b);
  CHECK(a == b);
  CHECK_THROWS_AS(state.rollback(n + 1), lm::Error);
}

TEST_CASE("constraint: free text until a trigger, then the constraint") {
  ConstraintOptions options = make(Language::json_schema, R"({"type":"object","required":["a"]})");
  options.triggers = {"<call>"};
  const auto c = Constraint::compile(options);
  CHECK(c->accepts("just text < call>"));
  CHECK(c->accepts(R"(let me see <call>{"a": 1})"));
  CHECK(!c->accepts(R"(let me see <call>{"b": 1})"));
  CHECK(!c->accepts("text <call>"));
  CHECK(!c->accepts(R"(x <call>{"a":1} <call>{)"));
}

TEST_CASE("constraint: broken and hostile input ends in an error or an answer, soon") {
  const auto tokenizer = small_tokenizer();
  std::string deep(5000, '('), nested = "{\"items\":";
  for (int i = 0; i < 1000; ++i) nested += "{\"items\":";
  std::string chain = "root ::= r0\n";
  for (int i = 0; i < 5000; ++i)
    chain += "r" + std::to_string(i) + " ::= r" + std::to_string(i + 1) + "\n";
  chain += "r5000 ::= \"x\"\n";
  const std::vector<ConstraintOptions> broken = {
      make(Language::regex, "("),
      make(Language::regex, ")"),
      make(Language::regex, "[a"),
      make(Language::regex, "a**"),
      make(Language::regex, "\\"),
      make(Language::regex, "(?<n"),
      make(Language::regex, "\\p{Nonsense}"),
      make(Language::regex, "a{3,1}"),
      make(Language::regex, deep),
      make(Language::regex, "\xFF"),
      make(Language::regex, "(?=b)a"),
      make(Language::regex, "\\u12"),
      make(Language::regex, "a{99999999999}"),
      make(Language::gbnf, ""),
      make(Language::gbnf, "root"),
      make(Language::gbnf, "root ::= \"a"),
      make(Language::gbnf, "root ::= [a"),
      make(Language::gbnf, "root ::= (\"a\""),
      make(Language::gbnf, "root ::= root"),
      make(Language::gbnf, "root ::= x \"a\"\nx ::= root | \"b\""),
      make(Language::gbnf, "root ::= \"a\"\nroot ::= \"b\""),
      make(Language::gbnf, "root ::= \"\\q\""),
      make(Language::gbnf, "root ::= [z-a]"),
      make(Language::json_schema, ""),
      make(Language::json_schema, "{"),
      make(Language::json_schema, "[]"),
      make(Language::json_schema, "3"),
      make(Language::json_schema, nested),
      make(Language::json_schema, R"({"$ref":"#/nowhere"})"),
      make(Language::json_schema, R"({"type":"thing"})"),
      make(Language::json_schema, R"({"$ref":"http://elsewhere/x"})"),
      make(Language::json_schema, "false"),
      make(Language::json_schema, R"({"type":"string","pattern":"("})"),
      make(Language::json_schema,
           R"({"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]})"),
      make(Language::json_schema, R"({"type":"integer","minimum":5,"maximum":4})"),
      make(Language::json_schema, R"({"type":"integer","multipleOf":0})")};
  for (const ConstraintOptions& options : broken) {
    CAPTURE(options.text.substr(0, 100));
    CHECK_THROWS_AS(Constraint::compile(options, tokenizer), lm::Error);
  }
  // These are right, and need much: they may be refused on the way, and must not hang.
  const std::vector<ConstraintOptions> heavy = {
      make(Language::regex, "(a|aa|aaa|b?){1,1000}c"),
      make(Language::regex, "(x+x+)+y"),
      make(Language::regex, ".*a.{200}"),
      make(Language::regex, "((a{0,100}){0,100}){0,100}"),
      make(Language::regex, "(?!.*(a.*b.*c.*d|b.*c.*a)).{0,300}z"),
      make(Language::gbnf, chain),
      make(Language::gbnf, "root ::= s\ns ::= \"\" | \"a\" s s | \"a\" s"),
      make(Language::json_schema,
           R"({"type":"array","minItems":100000,"items":{"type":"integer"}})"),
      make(Language::json_schema, R"({"type":"string","minLength":100000,"pattern":"a.*b.*c"})"),
      make(Language::json_schema, R"({"$ref":"#"})")};
  std::vector<uint64_t> bits((static_cast<size_t>(tokenizer->size()) + 63) / 64);
  for (const ConstraintOptions& options : heavy) {
    CAPTURE(options.text.substr(0, 100));
    try {
      const auto constraint = Constraint::compile(options, tokenizer);
      constraint->accepts(std::string(2000, 'a'));
      ConstraintState state(constraint);
      for (int i = 0; i < 100 && state.accept(tokenizer->id_of("a")); ++i) state.mask(bits);
    } catch (const lm::Error& e) {
      CHECK((e.code() == lm::ErrorCode::unsupported || e.code() == lm::ErrorCode::bad_option));
    }
  }
}

TEST_CASE("constraint: works with tokenizers of every kind") {
  std::mt19937 random(3);
  for (const std::string name :
       {"all-minilm-l6-v2", "gpt2", "llama2/tokenizer.model", "llama2/llama2c-tokenizer.bin",
        "mistral-tekken/tekken_240718.json", "phi-3-mini", "qwen2.5", "rwkv-world", "t5-small",
        "tiktoken/o200k_base.tiktoken"}) {
    const auto path = lm_test::test_data("tokenizers/" + name);
    if (!path) return;
    const auto tokenizer = lm::open_tokenizer(*path);
    CAPTURE(name);
    // Lower case with spaces: every vocabulary here can spell it.
    const auto constraint = Constraint::compile(
        make(Language::regex, "(yes|no), [a-z]{2,8}( [a-z]{1,5}){0,2} [0-9]{2}"), tokenizer);
    std::vector<uint64_t> bits((static_cast<size_t>(tokenizer->size()) + 63) / 64);
    for (int round = 0; round < 5; ++round) {
      ConstraintState state(constraint, true);
      std::vector<int32_t> ids;
      while (!state.is_done() && ids.size() < 60) {
        state.mask(bits);
        std::vector<int32_t> allowed;
        for (int32_t id = 0; id < tokenizer->size(); ++id)
          if (has(bits, id)) allowed.push_back(id);
        REQUIRE(!allowed.empty());
        ids.push_back(allowed[random() % allowed.size()]);
        REQUIRE(state.accept(ids.back()));
      }
      if (state.is_done())
        CHECK_MESSAGE(constraint->accepts(tokenizer->decode(ids)), tokenizer->decode(ids));
    }
  }
}

TEST_CASE("constraints: grammars with other languages in them") {
  const auto allows = [](const std::string& grammar, const std::string& text) {
    return Constraint::compile(make(Language::gbnf, grammar))->accepts(text);
  };
  const std::string call =
      "root ::= %without (\"<c>\" \"\\n{\") | %until (\"<c>\") "
      "%json {\"type\":\"object\",\"properties\":{\"}\\\"\":{\"type\":\"integer\"}},"
      "\"additionalProperties\":false} %marker \"</c>\" %regex \"a|b+\"";
  for (const char* text : {"", "plain <c", "{", " x {", "say <c>{}</c>a", "<c>{\"}\\\"\":1}</c>bb"})
    if (std::string(text) != "{") CHECK_MESSAGE(allows(call, text), text);
  // A marker that begins a line also begins the text.
  for (const char* text : {"{", "  {", "a\n{", "<c>", "<c>{}</c>", "<c>{}</c>ab",
                           "<c>{\"x\":1}</c>a", "x <c> y <c>{}</c>a"})
    CHECK_FALSE_MESSAGE(allows(call, text), text);
  for (const char* grammar : {"root ::= %json", "root ::= %json {", "root ::= %until x",
                              "root ::= %until ()", "root ::= %word \"a\"", "root ::= %marker \"\"",
                              "root ::= %json {\"type\":\"what\"}", "root ::= %"})
    CHECK_THROWS_AS(allows(grammar, ""), lm::Error);
}
