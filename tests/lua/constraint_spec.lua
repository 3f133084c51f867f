-- lm.constraint and lm.json.validate. Expected answers are those of the specifications: ECMAScript regular expressions,
-- JSON Schema 2020-12, llama.cpp's grammars.
local json = require("lm.json")

if not pcall(require, "lm.engine.constraint") then
  pending("needs the engine")
  return
end

local lm = require("lmfast")

local function check(options, good, bad)
  local c = lm.constraint(options)
  for _, text in ipairs(good) do assert.truthy(c:accepts(text), "must accept " .. text) end
  for _, text in ipairs(bad) do assert.falsy(c:accepts(text), "must refuse " .. text) end
end

local function error_of(options)
  local fine, e = pcall(lm.constraint, options)
  assert.falsy(fine)
  return e
end

describe("lm.constraint{regex}", function()
  it("matches the whole text", function()
    check({ regex = "[0-9]{4}-[0-9]{2}" }, { "2020-12" }, { "2020-1", "x", "2020-123", "" })
    check({ regex = "(a|b)*c{2,3}|\195\169+" }, { "cc", "ababccc", "\195\169\195\169" }, { "c", "cccc", "e", "\195" })
  end)
  it("knows Unicode, case and lookahead", function()
    check({ regex = "\\p{Lu}\\w*" }, { "\195\137a", "A" }, { "a", "1" })
    check({ regex = "(?i)stra\195\159e|[^\\d\\s]x.?" }, { "STRA\195\159E", "ax", "\195\169x1" }, { "1x", "ax\n" })
    check({ regex = "(?!foo)[a-z]+" }, { "abc", "fo" }, { "foo", "foobar" })
    check({ regex = "(?=.*[0-9])(?=.*[a-z]).{3,}" }, { "a1b", "xx9" }, { "abc", "123", "a1" })
  end)
  it("says what is wrong and what is not supported", function()
    assert.matches("without its %) at byte 3", error_of({ regex = "(a" }).message)
    assert.equal("unsupported", error_of({ regex = "(a)\\1" }).code)
    assert.equal("unsupported", error_of({ regex = "(?<=a)b" }).code)
    assert.equal("bad_option", error_of({ regex = "[b-a]" }).code)
  end)
end)

describe("lm.constraint{choices}", function()
  it("takes one of them", function()
    check({ choices = { "yes", "no", "not at all" } }, { "yes", "no", "not at all" }, { "", "ye", "yesno", "not" })
  end)
end)

describe("lm.constraint{grammar}", function()
  it("reads llama.cpp's grammars", function()
    check({ grammar = [[
      # arithmetic
      root  ::= expr
      expr  ::= term (("+" | "-") term)*
      term  ::= [0-9]+ | "(" expr ")"
    ]] }, { "1", "1+2", "(1-2)+33" }, { "", "1+", "(1", "1++2" })
    check({ grammar = 'root ::= "a"{2,3} [^x-z\\n] . "\\u00e9"?' }, { "aabc", "aaabc\195\169" }, { "abc", "aax1" })
  end)
  it("takes left recursion out and refuses what is left", function()
    check({ grammar = 'root ::= root "+" [0-9] | [0-9]' }, { "1", "1+2+3" }, { "+", "1+" })
    assert.matches("calls itself", error_of({ grammar = 'a ::= b "x" | "y"\nb ::= a | "z"\nroot ::= a' }).message)
  end)
  it("says where a grammar is wrong", function()
    assert.matches("line 1, column 14", error_of({ grammar = 'root ::= "a" $' }).message)
    assert.matches('"x" is used but not defined', error_of({ grammar = "root ::= x" }).message)
    assert.matches('no rule "root"', error_of({ grammar = 'a ::= "x"' }).message)
  end)
end)

describe("lm.constraint{schema}", function()
  local person = {
    type = "object", required = { "name", "age" }, additionalProperties = false,
    properties = { name = { type = "string", minLength = 1 }, age = { type = "integer", minimum = 0, maximum = 150 } },
  }
  it("keeps to objects", function()
    check({ schema = person },
      { '{"name":"Ann","age":3}', '{ "age" : 150 , "name" : "\\u00e9\\n" }\n', '\n{"name": "x", "age": 0}' },
      { "{}", '{"name":"Ann"}', '{"name":"","age":3}', '{"name":"A","age":151}', '{"name":"A","age":-1}',
        '{"name":"A","age":3,"x":1}', '{"name":"A","age":3,}', '{"name":"A","age":3} x' })
  end)
  it("can keep to the schema's order and to compact JSON", function()
    local schema = '{"type":"object","properties":{"b":{"type":"null"},"a":{"type":"null"}}}'
    check({ schema = schema, property_order = "schema" }, { '{"b":null,"a":null}', '{"a":null}' },
      { '{"a":null,"b":null}' })
    check({ schema = schema, whitespace = "compact" }, { '{"b":null,"a":null}', '{"b": null, "a": null}' },
      { '{ "a":null}', '{"a" :null}', '{"a":  null}' })
  end)
  it("follows references into itself", function()
    check({ schema = { type = "object", properties = { v = { type = "integer" }, next = { ["$ref"] = "#" } },
      required = { "v" }, additionalProperties = false } },
      { '{"v":1}', '{"v":1,"next":{"v":2,"next":{"v":3}}}' }, { '{"v":1,"next":{}}', '{"v":1,"next":1}' })
  end)
  it("keeps oneOf, not and if", function()
    check({ schema = { oneOf = { { type = "integer", minimum = 5 }, { type = "integer", maximum = 10 } } } },
      { "4", "11" }, { "5", "7", "10" })
    check({ schema = { type = "string", ["not"] = { pattern = "^a" } } }, { '"b"', '""' }, { '"a"', '"\\u0061b"', "1" })
    check({ schema = [[{"type":"object","properties":{"k":{"enum":["x","y"]},"n":{"type":"integer"}},"required":["k"],
      "if":{"properties":{"k":{"const":"x"}}},"then":{"required":["n"]}}]] },
      { '{"k":"x","n":1}', '{"k":"y"}' }, { '{"k":"x"}', '{"k":"z"}' })
  end)
  it("keeps numbers in bounds", function()
    check({ schema = { type = "number", minimum = -2.5, exclusiveMaximum = 10 } },
      { "-2.5", "-2.49", "-0", "0", "9.99", "2.50" }, { "-2.51", "10", "10.0", "-3", "11" })
    check({ schema = { type = "integer", multipleOf = 7, minimum = 20 } }, { "21", "70", "7000" }, { "14", "22", "0" })
    check({ schema = { type = "number", multipleOf = 0.25 } }, { "0.5", "3", "-1.75" }, { "0.1", "0.3" })
  end)
  it("enforces the standard's formats and notes others", function()
    check({ schema = { type = "string", format = "date-time" } }, { '"2024-02-29T12:00:00Z"' },
      { '"2023-02-29T12:00:00Z"', '"2024-02-29"' })
    check({ schema = { type = "string", format = "ipv6" } }, { '"::1"', '"2001:db8::7334"' }, { '"::1::"', '"x"' })
    local c = lm.constraint{ schema = { type = "string", format = "colour" } }
    assert.equal("#/format: \"colour\" is not enforced", c:notes()[1])
  end)
  it("names every keyword that is not supported", function()
    local e = error_of({ schema = { type = "object", properties = {
      a = { type = "array", uniqueItems = true }, b = { type = "string", pattern = "(a)\\1" },
    } } })
    assert.equal("unsupported", e.code)
    assert.matches("#/properties/a/uniqueItems", e.message)
    assert.matches("#/properties/b/pattern", e.message)
  end)
  it("refuses what no text satisfies", function()
    assert.matches("no text satisfies it", error_of({ schema = { type = "string", enum = { 1 } } }).message)
    assert.matches("no text satisfies it", error_of({ schema = { type = "string", minLength = 2, maxLength = 1 } }).message)
  end)
end)

describe("lm.json.validate", function()
  it("says what is wrong and where", function()
    local schema = json.encode({ type = "object", required = { "a" },
      properties = { b = { type = "array", items = { maximum = 3 } } } })
    assert.equal(true, json.validate('{"a":1,"b":[1,3]}', schema))
    local problems = json.validate('{"b":[1,4]}', schema)
    assert.equal(2, #problems)
    local paths = { problems[1].path, problems[2].path }
    table.sort(paths)
    assert.equal("", paths[1])
    assert.equal("/b/1", paths[2])
  end)
  it("raises for what is no JSON", function()
    assert.falsy(pcall(json.validate, "{", "{}"))
    assert.falsy(pcall(json.validate, "1", "["))
    assert.falsy(pcall(json.validate, "1", '{"$ref":"#/nowhere"}'))
  end)
end)

describe("a model with a constraint", function()
  local model_path = (os.getenv("LMFAST_TEST_MODELS") or "") .. "/SmolLM2-135M-Instruct.Q4_1.gguf"
  local function model()
    local file = io.open(model_path, "rb")
    if not file then pending("the first model is missing") end
    file:close()
    return lm.load(model_path)
  end
  local messages = { { role = "user", content = "Describe a person as JSON." } }
  it("answers with what the schema allows, parsed", function()
    local m = model()
    local schema = '{"type":"object","properties":{"name":{"type":"string","maxLength":20},"age":{"type":"integer",'
      .. '"minimum":1,"maximum":99}},"required":["name","age"],"additionalProperties":false}'
    for seed = 1, 3 do
      local r = m:generate{ messages = messages, schema = schema, seed = seed, temperature = 1 }
      assert.equal("stop", r.finish_reason)
      assert.equal(true, json.validate(r.text, schema))
      assert.equal("string", type(r.value.name))
    end
  end)
  it("answers with a choice and a match, and stops there", function()
    local m = model()
    local r = m:generate{ messages = messages, choices = { "A person", "No person" }, temperature = 0 }
    assert.truthy(r.text == "A person" or r.text == "No person")
    assert.equal("stop", r.finish_reason)
    r = m:generate{ messages = messages, regex = "[A-Z][a-z]{2,8}, [0-9]{2} years", temperature = 0 }
    assert.matches("^%u%l+, %d%d years$", r.text)
  end)
  it("takes forced tokens into the count and the context", function()
    local m = model()
    local with = m:generate{ messages = messages, regex = "The answer is: (yes|no)", temperature = 0 }
    local without = m:generate{ messages = messages, regex = "The answer is: (yes|no)", temperature = 0, logprobs = 0 }
    assert.equal(without.text, with.text)
    assert.equal(#with.ids, with.usage.completion_tokens)
  end)
  it("refuses to go with a beam search", function()
    assert.falsy(pcall(function()
      return model():generate{ messages = messages, choices = { "a" }, num_beams = 2 }
    end))
  end)
end)
