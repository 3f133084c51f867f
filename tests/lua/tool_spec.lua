-- lm.tool: schemas from comments (expected ones written by hand after LuaCATS and JSON Schema 2020-12), calls, limits.
if not pcall(require, "lm.engine.generate") then
  pending("needs the engine")
  return
end

local env = require("lm.env")
local json = require("lm.json")
local lm = require("lmfast")
local tool_call = require("lm.tool_call")
local tool_schema = require("lm.tool_schema")
local tools = require("lm.tool")

local function define_in_session(code)
  assert(require("lm.session").run(code), code)
end

local function run(tool, arguments) return tool_call.run(tool, json.encode(arguments)) end

describe("types of comments", function()
  local function of(kind) return json.encode(tool_schema.of_type(kind)) end
  it("become JSON Schema", function()
    assert.equal('{"type":"string"}', of("string"))
    assert.equal('{"type":"array","items":{"type":"integer"}}', of("integer[]"))
    assert.equal('{"type":"string","enum":["a","b"]}', of('"a"|"b"'))
    assert.equal('{"additionalProperties":{"type":"number"},"type":"object"}', of("table<string, number>"))
    assert.equal('{"anyOf":[{"type":"number"},{"type":"null"}]}', of("number|nil"))
    assert.equal('{"type":"object","properties":{"x":{"type":"number"},"y":{"type":"array","items":{"type":"string"}}},'
      .. '"required":["x"],"additionalProperties":false}', of("{x: number, y?: string[]}"))
    assert.equal('{"type":"array","items":{"type":"array","items":{"type":"boolean"}}}', of("boolean[][]"))
    assert.equal(nil, tool_schema.of_type("lm.Model"))
  end)
end)

describe("lm.tool", function()
  it("reads the comment of a function typed at the prompt", function()
    define_in_session('--- Adds.  @param a integer 1..10 first  @param b? number second  @return number sum\n'
      .. "function spec_add(a, b) return a + (b or 0) end")
    define_in_session("spec_tool = lm.tool(spec_add)")
    local tool = env.get("spec_tool")
    assert.equal("spec_add", tool.name)
    assert.equal("Adds.", tool.doc)
    assert.equal('{"type":"object","properties":{"a":{"type":"integer","description":"first","minimum":1,"maximum":10},'
      .. '"b":{"type":"number","description":"second"}},"required":["a"],"additionalProperties":false}', tool.params_json)
    assert.equal('{"type":"number"}', tool.returns_json)
    assert.equal(5, tool:call{ a = 2, b = 3 })
    assert.equal(2, tool{ a = 2 })
  end)
  it("sees a new definition at once and tells listeners", function()
    local told = 0
    local function listener() told = told + 1 end
    table.insert(tools.on_change, listener)
    define_in_session("--- Subtracts.  @param a integer  @param b integer\nfunction spec_add(a, b) return a - b end")
    assert.equal(1, told)
    assert.equal(-1, env.get("spec_tool"):call{ a = 2, b = 3 })
    assert.equal("Subtracts.", tools.find("spec_add").doc)
    define_in_session("x = 1")
    assert.equal(1, told)
    tools.on_change[#tools.on_change] = nil
    tools.find("spec_add"):remove()
    assert.equal(nil, tools.find("spec_add"))
  end)
  it("checks arguments and results", function()
    local tool = lm.tool{ name = "spec_check", params = { type = "object", required = { "n" },
      properties = { n = { type = "integer" } } }, returns = { type = "string" }, run = function(o)
      return o.n > 0 and "yes" or o.n
    end }
    assert.equal("yes", run(tool, { n = 1 }).value)
    assert.matches("n: 1.5; expected", run(tool, { n = 1.5 }).error)
    assert.matches('"n" is missing', run(tool, { m = 1 }).error)
    assert.matches("no JSON object", tool_call.run(tool, "[1").error)
    assert.matches("the result does not fit", run(tool, { n = -1 }).error)
    tool:remove()
  end)
  it("limits time and output, and survives what raises", function()
    local function make(run_function, extra)
      local o = { name = "spec_limit", params = {}, run = run_function }
      for key, value in pairs(extra or {}) do o[key] = value end
      local tool = lm.tool(o)
      local outcome = tool_call.run(tool, "{}")
      tool:remove()
      return outcome
    end
    assert.equal("timeout", make(function() while true do end end, { timeout = 0.05 }).code)
    assert.equal("timeout", make(function() while true do pcall(error, "x") end end, { timeout = 0.05 }).code)
    assert.matches("it broke", make(function() error("it broke") end).error)
    assert.matches("more%)$", make(function() return ("x"):rep(1000) end, { max_output = 100 }).text)
    assert.equal("null", make(function() end).text)
    assert.equal('{"a":[1,2]}', make(function() return { a = { 1, 2 } } end).text)
    local cancelled = tool_call.run(lm.tool{ name = "spec_cancel", params = {}, run = function() while true do end end },
      "{}", { is_cancelled = function() return true end })
    assert.equal("interrupted", cancelled.code)
    tools.find("spec_cancel"):remove()
  end)
  it("runs workers in a state of their own", function()
    define_in_session("--- Twice.  @param n number\nfunction spec_twice(n) return { n = n * 2, alone = spec_tool == nil } end")
    local tool = lm.tool{ run = env.get("spec_twice"), name = "spec_twice", worker = true }
    local value = tool:call{ n = 4 }
    assert.equal(8, value.n)
    assert.truthy(value.alone)
    tool:remove()
    local outside = 1
    local fine, e = pcall(lm.tool, { name = "spec_up", params = {}, worker = true, run = function() return outside end })
    assert.falsy(fine)
    assert.matches("local variables", e.message)
  end)
  it("refuses what is no tool", function()
    for i, o in ipairs({ { run = function() end }, { run = function(...) return ... end, name = "x" },
      { run = function() end, name = "a b" }, { run = "no_such_tool" } }) do
      assert.falsy((pcall(lm.tool, o)), i)
    end
  end)
end)
