local flags = require("lm.flags")
local host = require("lm.host")
local json = require("lm.json")
local json_schema = require("lm.json_schema")
local lint = require("lm.schema_lint")
local lm = require("lm")
local recipe = require("lm.recipe")
local sample = require("sample")

-- These read what was written and steer jobs and Ctrl-C; the real host is tested over a pty.
if not require("lm.host").take then pending("needs the stand-in host") end

describe("flags", function()
  local function parse(...) return flags.parse(sample.options, { ... }, { positional = { "model" } }) end

  it("reads values by the types of the schema", function()
    local o, problems = parse("m", "--epochs", "3", "--lora.rank=8", "--stream", "--lr", "1e-3", "--stop", "a,b")
    assert.same({}, problems)
    assert.equal("m", o.model)
    assert.equal(3, o.epochs)
    assert.equal(8, o.lora.rank)
    assert.equal(true, o.stream)
    assert.equal(1e-3, o.lr)
    assert.same({ "a", "b" }, o.stop)
    assert.equal(false, (parse("m", "--no-stream")).stream)
    assert.equal("--x", (parse("--", "--x")).model)
    assert.equal("7", (parse("--model", "7")).model)
    assert.same({ "a,b" }, { unpack((parse("m", '--stop=["a,b"]')).stop) })
  end)

  it("takes a value or its parts where an option may be either", function()
    local either = { { name = "tok", type = "string|table", doc = "a name, or how to make one",
      fields = { { name = "size", type = "integer", doc = "how large" } } } }
    assert.equal("a/b.json", (flags.parse(either, { "--tok", "a/b.json" })).tok)
    assert.equal(7, (flags.parse(either, { "--tok.size", "7" })).tok.size)
    assert.contains("--tok STRING", flags.help(either))
  end)

  it("reports all problems at once", function()
    local _, problems = parse("--epocs", "3", "--lr", "fast", "--precision=bf61", "x", "y", "--no-lr", "--stream=maybe",
      "--epochs")
    local lines = {}
    for _, problem in ipairs(problems) do lines[#lines + 1] = problem.path .. ": " .. problem.text end
    local text = table.concat(lines, "\n")
    assert.contains('"y": unexpected argument', text)
    assert.contains("--epocs: unknown option, did you mean --epochs?", text)
    assert.contains("--epochs: needs a value: an integer in [1, 1000]", text)
    assert.contains('--lr: expected a number in [0, 1], got string "fast"', text)
    assert.contains('--precision: expected one of "fp32", "bf16", "fp16", got "bf61", did you mean "bf16"?', text)
    assert.contains("--no-lr: unknown option", text)
    assert.contains('--stream: expected a boolean, got string "maybe"', text)
  end)

  it("writes help", function()
    local text = flags.help(sample.options)
    assert.contains("  --epochs INTEGER (default: 1)\n      passes over the data, in [1, 1000]", text)
    assert.contains("--precision fp32|bf16|fp16 (default: bf16)", text)
    assert.contains("--[no-]stream", text)
    assert.contains("--lora.rank INTEGER (default: 16)", text)
    assert.contains("--model STRING (required)", text)
  end)
end)

describe("json_schema", function()
  it("describes options", function()
    local s = json_schema.of_fields(sample.options)
    assert.same({ "model" }, { unpack(s.required) })
    assert.equal(false, s.additionalProperties)
    assert.same({ type = "integer", minimum = 1, maximum = 1000, default = 1, description = "passes over the data" },
      s.properties.epochs)
    assert.equal(0, s.properties.lora.properties.alpha.exclusiveMinimum)
    assert.equal("string", s.properties.stop.items.type)
    assert.equal(4, s.properties.stop.maxItems)
    assert.equal(nil, s.properties.on_step)
    assert.equal(nil, s.properties.passes)
    assert.truthy(json.encode(s))
    assert.equal(2, #json_schema.of_field({ type = "string|integer" }).anyOf)
  end)
end)

local function with_fake_model(body)
  local asked = {}
  local model = {
    generate = function(_, o)
      asked[#asked + 1] = o.prompt
      return "answer to " .. o.prompt
    end,
    chat = function()
      return { say = function(_, prompt)
        asked[#asked + 1] = prompt
        return "answer to " .. prompt
      end }
    end,
  }
  local old = rawget(lm, "load")
  rawset(lm, "load", function() return model end)
  rawset(lm, "bench", function(o) return { tokens_per_s = 100, runs = o.runs } end)
  local ok, e = pcall(body, asked)
  rawset(lm, "load", old)
  rawset(lm, "bench", nil)
  if not ok then error(e, 0) end
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

describe("recipe", function()
  before_each(function() host.take() end)

  it("lists recipes", function()
    assert.equal(0, recipe.main())
    local out = host.take()
    assert.matches("bench%s+Measures the speed", out)
    assert.matches("chat%s+Talks with a model", out)
    assert.contains("generate", tostring(lm.recipes()))
  end)

  it("has documented schemas in every recipe", function()
    for _, name in ipairs(recipe.names()) do
      local ok, loaded = pcall(recipe.load, name)
      if ok then
        assert.same({}, lint.lint(loaded.options), name)
        assert.matches("%.$", loaded.doc.summary)
        assert.contains("Example: lmfast run " .. name, loaded.doc.text)
      else
        -- Options that come from the engine, which the stand-in host does not have; docs_spec checks them.
        -- A module that failed once says "loop or previous error" from then on.
        local reason = tostring(loaded)
        assert.truthy(reason:find("module 'lm.engine.", 1, true) or reason:find("previous error loading module 'lm.", 1, true),
          reason)
      end
    end
  end)

  it("prints help from the schema", function()
    assert.equal(0, recipe.main("bench", { "--help" }))
    local out = host.take()
    assert.contains("usage: lmfast run bench MODEL [options]", out)
    assert.contains("--runs INTEGER (default: 5)", out)
  end)

  it("exits with 2 for bad usage and says all", function()
    assert.equal(2, recipe.main("bench", { "--rnus", "3", "--generate", "0" }))
    local _, err = host.take()
    assert.contains("lmfast run bench: 2 problems in the options", err)
    assert.contains("--rnus: unknown option, did you mean --runs?", err)
    assert.contains("help: lmfast run bench --help", err)
    assert.equal(2, recipe.main("bnech", {}))
    assert.contains('did you mean "bench"?', select(2, host.take()))
  end)

  it("runs and prints JSON", function()
    with_fake_model(function()
      assert.equal(0, recipe.main("bench", { "m", "--runs", "2", "--json" }))
      assert.same({ runs = 2, tokens_per_s = 100 }, json.decode((host.take())))
      assert.same({ runs = 5, tokens_per_s = 100 }, lm.run("bench", { model = "m", runs = 5 }))
      assert.raises("recipe bench: 1 problem", lm.run, "bench", { model = 3 })
    end)
  end)

  it("generates, resumes and mends a half-written line", function()
    local prompts, out = os.tmpname(), os.tmpname()
    write(prompts, 'one\n\n{"prompt": "two", "id": "b"}\nthree\n')
    write(out, '{"id":"1","prompt":"one","text":"old"}\n{"id":"b","pro')
    with_fake_model(function(asked)
      local result = lm.run("generate", { model = "m", prompts = prompts, out = out })
      assert.equal(2, result.written)
      assert.equal(1, result.skipped)
      assert.same({ "two", "three" }, asked)
      assert.equal('{"id":"1","prompt":"one","text":"old"}\n{"id":"b","prompt":"two","text":"answer to two"}\n'
        .. '{"id":"4","prompt":"three","text":"answer to three"}\n', read(out))
      assert.equal(0, lm.run("generate", { model = "m", prompts = prompts, out = out }).written)
    end)
    os.remove(prompts)
    os.remove(out)
  end)

  it("refuses files that are no recipes", function()
    local path = os.tmpname() .. ".lua"
    write(path, "return 3")
    assert.equal(1, recipe.main(path, {}))
    assert.contains("is not a recipe", select(2, host.take()))
    os.remove(path)
    assert.equal(1, recipe.main(path, {}))
    assert.contains("No such file", select(2, host.take()))
  end)
end)
