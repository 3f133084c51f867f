local pretty = require("lm.pretty")

describe("pretty", function()
  it("sorts keys and stays on one line when it fits", function()
    assert.equal('{1, 2, a = "x", ["b c"] = true, ["end"] = 1}', pretty.format({ 1, 2, a = "x", ["b c"] = true, ["end"] = 1 }))
    assert.equal("{}", pretty.format({}))
  end)

  it("breaks what is too wide", function()
    assert.equal('{\n  long = "aaaaaaaaaaaaaaaaaaaa",\n  other = {1, 2},\n}',
      pretty.format({ long = ("a"):rep(20), other = { 1, 2 } }, { width = 40 }))
  end)

  it("limits depth, items and cycles", function()
    assert.equal("{{{{{...}}}}}", pretty.format({ { { { { 1 } } } } }))
    local many = {}
    for i = 1, 1274 do many[i] = i end
    assert.matches("... 1234 more", pretty.format(many))
    local cycle = { name = "c" }
    cycle.self = cycle
    assert.equal('{name = "c", self = <table 1>}', pretty.format(cycle))
    local inner = { up = cycle }
    cycle.self = inner
    assert.equal('{name = "c", self = {up = <table 1>}}', pretty.format(cycle))
  end)

  it("shows the same table twice when it is no cycle", function()
    local shared = { 1 }
    assert.equal("{{1}, {1}}", pretty.format({ shared, shared }))
  end)

  it("writes numbers with 4 digits, integers in full", function()
    assert.equal("{0.3333, 1234567, 12345.7, inf, nan}", pretty.format({ 1 / 3, 1234567, 12345.678, math.huge, 0 / 0 }))
  end)

  it("respects __tostring and survives one that raises", function()
    local ok = setmetatable({}, { __tostring = function() return "<me>" end })
    local bad = setmetatable({}, { __tostring = function() error("no") end })
    assert.equal("{<me>, <__tostring failed>}", pretty.format({ ok, bad }))
  end)

  it("names functions", function()
    assert.equal("function string.rep", pretty.format(string.rep))
    local function f(a, b) return a, b end
    assert.matches("^function%(a, b%) %(.*pretty_spec%.lua:%d+%)$", pretty.format(f))
    assert.matches("^function lm%.time %(.*lua/stdlib/lm/shell%.lua:%d+%)$", pretty.format(require("lm").time))
  end)

  it("aligns records, names first, numbers to the right", function()
    assert.equal("name   size\na         1\nbbb   22.12",
      pretty.format({ { size = 1, name = "a" }, { size = 22.1234, name = "bbb" } }))
    assert.equal("size\n   1\n   2", pretty.records({ { name = "a", size = 1 }, { name = "b", size = 2 } }, { "size" }))
  end)

  it("counts wide characters and clips wide cells", function()
    assert.equal("name  v\n\228\184\173    1\nb     2", pretty.format({ { name = "\228\184\173", v = 1 }, { name = "b", v = 2 } }))
    local rows = { { name = "a", text = ("x"):rep(200) }, { name = "b", text = "y" } }
    for line in pretty.format(rows, { width = 60 }):gmatch("[^\n]+") do assert(#line <= 60, line) end
  end)

  it("prints marked lists with their columns, and says when they are empty", function()
    assert.equal("none yet", tostring(pretty.as_records({}, { "a" }, "none yet")))
    assert.equal("b  a\n2  1", tostring(pretty.as_records({ { a = 1, b = 2 } }, { "b", "a" })))
  end)
end)

describe("text", function()
  local text = require("lm.text")
  it("finds near words", function()
    assert.equal("epochs", text.nearest("epocs", { "model", "epochs" }))
    assert.equal("model", text.nearest("modle", { "model", "mode" }))
    assert.equal("load", text.nearest("lod", { "log", "load" }))
    assert.equal("log", text.nearest("lok", { "log", "load" }))
    assert.equal(nil, text.nearest("xyz", { "model" }))
    assert.equal("dropout", text.nearest("drop", { "dropout", "rank" }))
  end)
  it("measures, pads, clips and wraps", function()
    assert.equal(3, text.width("a\228\184\173"))
    assert.equal(1, text.width("\27[31mx\27[0m"))
    assert.equal("ab   ", text.pad("ab", 5))
    assert.equal("ab...", text.clip("abcdefgh", 5))
    assert.equal("aa bb\n  cc", text.wrap("aa bb cc", 5, "  "))
  end)
  it("writes units", function()
    assert.equal("98.2 MiB", text.bytes(98.2 * 2 ^ 20))
    assert.equal("512 B", text.bytes(512))
    assert.equal("1.2 s", text.seconds(1.2))
    assert.equal("2 min 05 s", text.seconds(125))
    assert.equal("3.2 ms", text.seconds(0.0032))
  end)
end)

describe("docstring", function()
  local docstring = require("lm.docstring")
  it("reads summary, text, params and returns", function()
    local doc = docstring.parse('Current weather for a city. More.\n\nSecond paragraph.\n@param city string  City, e.g. "Oslo"\n'
      .. '@param unit? "C"|"F"  Unit\n  of temperature\n@param f fun(a: number, b: string): boolean  callback\n@return table result  rows')
    assert.equal("Current weather for a city.", doc.summary)
    assert.contains("Second paragraph.", doc.text)
    assert.same({ name = "city", type = "string", optional = false, doc = 'City, e.g. "Oslo"' }, doc.params[1])
    assert.same({ name = "unit", type = '"C"|"F"', optional = true, doc = "Unit of temperature" }, doc.params[2])
    assert.same({ name = "f", type = "fun(a: number, b: string): boolean", optional = false, doc = "callback" }, doc.params[3])
    assert.same({ type = "table", name = "result", doc = "rows" }, doc.returns[1])
  end)
  it("accepts several tags on one line", function()
    local doc = docstring.parse("Adds two numbers.   @param a number   @param b? number  right, me@home.org")
    assert.equal("Adds two numbers.", doc.summary)
    assert.equal(2, #doc.params)
    assert.equal("right, me@home.org", doc.params[2].doc)
  end)
  it("reads the real parameters and the comment of a function", function()
    --- Sums.
    --- @param a number
    local function sum(a, ...) return a, ... end
    assert.same({ "a", "..." }, docstring.parameters(sum))
    assert.equal("Sums.", docstring.of(sum).summary)
    assert.equal(nil, docstring.of(print))
  end)
end)
