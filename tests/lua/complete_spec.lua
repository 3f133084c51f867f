local complete = require("lm.complete")
local env = require("lm.env")
local hint = require("lm.hint")
local sample = require("sample")
local session = require("lm.session")
local shell = require("shell")

local function found(input, full)
  return session.complete(input, #input, full)
end

local function texts(input)
  local list = {}
  for i, item in ipairs(found(input).items) do list[i] = item.text end
  return table.concat(list, " ")
end

describe("complete", function()
  before_each(function()
    session.reset()
    env.set("sample", sample)
    env.set("model", shell.userdata("lm.Model", { say = sample.say, generate = function() end, layers = 12 }))
  end)

  it("completes globals, variables and keywords", function()
    assert.equal("model module", texts("mod"))
    assert.contains("string", texts("str"))
    assert.contains("while", texts("whi"))
    assert.equal(4, found("x = mod").from)
  end)

  it("completes fields and methods through metatables", function()
    assert.equal("byte", texts("string.by"))
    assert.equal("generate layers say", texts("model."))
    assert.equal("generate say", texts("model:"))
    assert.equal(6, found("model:ge").from)
    env.set("s", "text")
    assert.contains("upper", texts("s:up"))
  end)

  it("does not run __index functions and uses what they announce", function()
    local called = false
    env.set("lazy", setmetatable({ known = 1 }, { __complete = { told = "number" }, __index = function()
      called = true
    end }))
    assert.equal("known told", texts("lazy."))
    assert.equal("", texts("lazy.missing."))
    assert.equal(false, called)
  end)

  it("completes option keys that are not given yet", function()
    assert.equal("epochs=", texts("sample.train{ ep"):match("^epochs="))
    assert.equal("model= epochs= lr= precision= stream= stop= on_step= lora= background=", texts("sample.train{"))
    assert.equal("model= lr= precision= stream= stop= on_step= lora= background=", texts("sample.train{epochs=1, "))
    assert.equal("rank= alpha= dropout=", texts("sample.train{ lora={"))
    assert.equal("alpha= dropout=", texts("sample.train{ lora={rank=3, "))
    assert.equal("model= epochs= lr= precision= stream= stop= on_step= lora= background=", texts('sample.train("m", {'))
    assert.equal("text= times=", texts("model:say{ "))
    assert.falsy(texts("sample.train{ f(ep"):find("epochs="))
    assert.equal("model=", texts("x = 1\ny = sample.train{\n  epochs=1,\n  mode"):match("^%S+"))
  end)

  it("completes enum values, with and without quotes", function()
    assert.equal("bf16", texts('sample.train{ precision="bf'))
    assert.equal('"fp32" "bf16" "fp16"', texts("sample.train{ precision="))
    assert.equal("true false", texts("sample.train{ stream="))
    local from = found('sample.train{ precision="bf').from
    assert.equal(25, from)
  end)

  it("completes names of a kind, by name and by position", function()
    complete.kinds.model = function() return { "smol-135m", "smol-360m", "other" } end
    assert.matches("^smol%-135m smol%-360m", texts('sample.train{ model="smol'))
    assert.matches("^smol%-135m smol%-360m", texts('sample.train("smol'))
    assert.matches("^smol%-135m smol%-360m", texts('sample.train "smol'))
    complete.kinds.model = function() error("broken") end
    assert.equal("", texts('sample.train "smo'))
    complete.kinds.model = nil
  end)

  it("completes files in strings", function()
    local root = require("lm.host").root or ""
    assert.equal("run.lua", texts(('x = "%stests/lua/ru'):format(root)))
    assert.equal("support/", texts(('x = "%stests/lua/sup'):format(root)))
    assert.equal(#('x = "' .. root .. "tests/lua/"), found(('x = "%stests/lua/ru'):format(root)).from)
  end)

  it("completes commands and help topics", function()
    assert.equal("reset reload", texts(":re"))
    assert.equal(1, found(":re").from)
    assert.equal("train", texts("?sample.tr"))
    assert.equal("debug", texts(":log d"))
    assert.contains("time", texts("?lm.ti"))
  end)

  it("stays quiet in comments, and never fails", function()
    assert.equal("", texts("-- mod"))
    for _, input in ipairs({ "f(", "}", "a.b.c.", "x:", "'", "[[", "sample.train{ lora={{{", "::", ":", "?", "$", "\"\\", "1..", "...",
      "for ", "x = {", "a.b:c{d={e=", "sample.train{[", "sample.add(" }) do
      for cursor = 0, #input do
        assert.equal("table", type(session.complete(input, cursor, true).items), input)
        hint.hint(input:sub(1, cursor), cursor)
      end
    end
  end)

  it("fills docs only when asked", function()
    assert.equal(nil, found("sample.tr").items[1].doc)
    assert.equal("Trains a sample; it returns its options.", found("sample.tr", true).items[1].doc)
    assert.matches("an integer in %[1, 1000%]; passes over the data", found("sample.train{ ep", true).items[1].doc)
  end)

  it("inspects at most 500 keys", function()
    local big = {}
    for i = 1, 2000 do big["k" .. i] = i end
    env.set("big", big)
    assert(#found("big.").items <= 500)
  end)

  it("hides private names until asked", function()
    env.set("t", { _hidden = 1, shown = 2 })
    assert.equal("shown", texts("t."))
    assert.equal("_hidden", texts("t._"))
  end)
end)

describe("hint", function()
  before_each(function() env.set("sample", sample) end)
  local function at(input) return session.hint(input, #input) end
  it("shows what a call still takes", function()
    assert.equal("model=, epochs=, lr=, precision=, stream=, stop=, ...}", at("sample.train{"))
    assert.equal("model=, lr=, precision=, stream=, stop=, on_step=, ...}", at("sample.train{epochs=1,"))
    assert.equal("model, {...})", at("sample.train("))
    assert.equal("a, b?)", at("sample.add("))
    assert.equal("b?)", at("sample.add(1,"))
    assert.equal(" an integer in [1, 1000]", at("sample.train{epochs="))
    assert.equal("rank=, alpha=, dropout=}", at("sample.train{lora={"))
  end)
  it("knows typed functions and stays silent elsewhere", function()
    shell.type("function twice(value, times) return value end")
    assert.equal("value, times)", at("twice("))
    for _, input in ipairs({ "x", "sample.train", "x = (", "unknown(", "", ":help ", "twice(1, 2,", "-- f(" }) do
      assert.equal(nil, at(input), input)
    end
    assert.equal(nil, session.hint("sample.train{} ", 13))
  end)
end)

describe("lex", function()
  local lex = require("lm.lex")
  it("splits and covers any text", function()
    local kinds = {}
    for _, token in ipairs(lex.tokens("local x = a.b:c{ 1.5, 'y' } -- z\n[[l]] ... ::g::")) do
      kinds[#kinds + 1] = token.kind:sub(1, 1) .. token.text
    end
    assert.equal("klocal nx s= na s. nb s: nc s{ n1.5 s, s'y' s} c-- z s[[l]] s... s:: ng s::", table.concat(kinds, " "))
  end)
  it("marks what is open", function()
    for _, input in ipairs({ "'a", '"a\\"', "[[a", "[==[a]]", "--[[a" }) do
      local tokens = lex.tokens(input)
      assert.equal(true, tokens[#tokens].open, input)
    end
  end)
  it("never fails on random bytes", function()
    local random = 42
    for _ = 1, 300 do
      local bytes = {}
      for i = 1, 40 do
        random = (random * 16807) % 2147483647
        bytes[i] = string.char(random % 256)
      end
      lex.enclosing_call(lex.tokens(table.concat(bytes)))
    end
  end)
end)
