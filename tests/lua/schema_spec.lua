local host = require("lm.host")
local json = require("lm.json")
local schema = require("lm.schema")
local lint = require("lm.schema_lint")
local sample = require("sample")

describe("schema", function()
  it("reports all problems at once, sorted, with path, range, value and suggestion", function()
    local _, problems = schema.validate(sample.options, {
      epocs = 3, lr = "2e-4", precision = "bf61", lora = { rank = 0, drop = 1 },
    })
    assert.equal(table.concat({
      "lm.train: 6 problems in the options",
      '  epocs: unknown option, did you mean "epochs"?',
      '  lora.drop: unknown option, did you mean "dropout"?',
      "  lora.rank: expected an integer in [1, 512], got number 0",
      '  lr: expected a number in [0, 1], got string "2e-4"',
      "  model: required (a string or a lm.Model) -- model name or path",
      '  precision: expected one of "fp32", "bf16", "fp16", got "bf61", did you mean "bf16"?',
    }, "\n"), schema.message("lm.train", problems))
  end)

  it("fills defaults, nested ones too, and leaves the input alone", function()
    local input = { model = "m", lora = {} }
    local o, problems = schema.validate(sample.options, input)
    assert.same({}, problems)
    assert.equal(16, o.lora.rank)
    assert.equal("bf16", o.precision)
    assert.equal(nil, input.epochs)
    assert.equal(nil, input.lora.rank)
  end)

  it("says bounds in words that help, and keeps technical ones to itself", function()
    assert.equal("a string that is not empty", schema.expectation({ type = "string", min = 1 }))
    assert.equal("an integer of at least 0", schema.expectation({ type = "integer", min = 0, max = 2 ^ 53 }))
    local _, problems = schema.validate({ { name = "n", type = "integer", min = 0, max = 1e9, doc = "d" } }, { n = 2e9 })
    assert.equal("expected at most 1000000000, got number 2000000000", problems[1].text)
  end)

  it("copies default tables", function()
    local fields = { { name = "list", type = "array", default = {}, doc = "d" } }
    local a = schema.validate(fields, {})
    a.list[1] = 1
    assert.same({}, (schema.validate(fields, {})).list)
  end)

  it("takes integer-valued floats and nothing else for an integer", function()
    assert.same({}, select(2, schema.validate(sample.options, { model = "m", epochs = 2.0 })))
    for _, wrong in ipairs({ 2.5, 0 / 0, math.huge, "2", true }) do
      local _, problems = schema.validate(sample.options, { model = "m", epochs = wrong })
      assert.equal(1, #problems, tostring(wrong))
    end
  end)

  it("checks arrays by item", function()
    local _, problems = schema.validate(sample.options, { model = "m", stop = { "a", 2, "c" } })
    assert.same({ { path = "stop[2]", text = "expected a string, got number 2" } }, problems)
    _, problems = schema.validate(sample.options, { model = "m", stop = { "a", "b", "c", "d", "e" } })
    assert.equal("expected an array of at most 4 items, got table (array of 5)", problems[1].text)
    _, problems = schema.validate(sample.options, { model = "m", stop = { a = 1 } })
    assert.matches("expected an array", problems[1].text)
  end)

  it("refuses nan, and bounds that are exclusive", function()
    local _, problems = schema.validate(sample.options, { model = "m", lr = 0 / 0, lora = { alpha = 0 } })
    assert.equal("expected a number above 0, got number 0", problems[1].text)
    assert.equal("expected a number in [0, 1], got number nan", problems[2].text)
  end)

  it("renames deprecated options and says so once", function()
    if not host.take then pending("needs the stand-in host") end
    host.take()
    local o = schema.validate(sample.options, { model = "m", passes = 7 })
    assert.equal(7, o.epochs)
    local _, err = host.take()
    assert.equal('warning: option "passes" is now called "epochs"\n', err)
    schema.validate(sample.options, { model = "m", passes = 7 })
    assert.equal("", (select(2, host.take())))
    local _, problems = schema.validate(sample.options, { model = "m", passes = 7, epochs = 1 })
    assert.equal('is the old name of "epochs", which is given too', problems[1].text)
  end)

  it("runs checks of fields and across fields only on valid values", function()
    local calls = 0
    local fields = { { name = "n", type = "integer", doc = "d", check = function(n)
      calls = calls + 1
      if n % 2 == 1 then return "expected an even number, got " .. n end
    end } }
    assert.same({ { path = "n", text = "expected an even number, got 3" } }, select(2, schema.validate(fields, { n = 3 })))
    schema.validate(fields, { n = "x" })
    assert.equal(1, calls)
    local _, problems = schema.validate(fields, { n = 2 }, function() return { "one", "two" } end)
    assert.equal(2, #problems)
  end)

  it("reports values without a name, and free keys by their schema", function()
    local _, problems = schema.validate({ { name = "a", type = "any", doc = "d" } }, { "x" })
    assert.matches("unexpected value without a name", problems[1].text)
    local map = { { name = "env", type = "table", values = { type = "string" }, doc = "d" } }
    assert.same({ { path = "env.B", text = "expected a string, got number 2" } },
      select(2, schema.validate(map, { env = { A = "1", B = 2 } })))
  end)

  it("takes null for absent", function()
    local o, problems = schema.validate(sample.options, { model = "m", lr = json.null })
    assert.same({}, problems)
    assert.equal(2e-4, o.lr)
  end)

  it("knows engine classes by the name of their metatable", function()
    local make = require("shell").userdata
    assert.same({}, select(2, schema.validate(sample.options, { model = make("lm.Model", {}) })))
    local _, problems = schema.validate(sample.options, { model = make("lm.Tensor", {}) })
    assert.equal("expected a string or a lm.Model, got lm.Tensor", problems[1].text)
  end)

  it("finds fields by path", function()
    assert.equal("rank", schema.find(sample.options, "lora.rank").name)
    assert.equal(nil, schema.find(sample.options, "lora.nothing"))
  end)
end)

describe("schema_lint", function()
  it("accepts a good schema", function() assert.same({}, lint.lint(sample.options)) end)
  it("finds missing docs, unknown types and keys, wrong defaults", function()
    local found = lint.lint({
      { name = "a", type = "strin", doc = "d" }, { name = "b", type = "integer" },
      { name = "c", type = "integer", default = 1.5, doc = "d" }, { name = "c", type = "any", doc = "d", maximum = 3 },
    })
    assert.same({
      'a: unknown type "strin"', "b: has no doc", "c: the default is not valid: expected an integer, got number 1.5",
      "c: declared twice", 'c: unknown key "maximum" in the schema',
    }, found)
  end)
end)
