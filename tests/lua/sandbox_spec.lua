-- Untrusted Lua: every attempt to get out, to take more than its share or to stay must fail, and the state must be
-- usable afterwards.
local engine_ok, engine = pcall(require, "lm.engine.sandbox")
if not engine_ok then
  pending("needs the engine")
  return
end

local host = require("lm.host")

local function new(limits)
  return engine.new(limits or { seconds = 2, instructions = 5e6, memory = 16e6 }, { "tool" }, function(_, x)
    if x == "fail" then error("the tool failed") end
    return x, "second"
  end)
end

describe("honest code", function()
  it("runs, keeps its variables, prints and calls tools", function()
    local s = new()
    assert.same({ 3 }, engine.run(s, "1 + 2").results)
    assert.truthy(engine.run(s, "x = 5 function f(a) return a * x end").ok)
    assert.same({ 20 }, engine.run(s, "return f(4)").results)
    assert.equal("a\t1\n", engine.run(s, "print('a', 1)").output)
    assert.same({ 7, "second" }, engine.run(s, "return tool(7)").results)
    assert.matches("the tool failed", engine.run(s, "return tool('fail')").error)
    assert.same({ { a = { 1, 2 } } }, engine.run(s, "return { a = { 1, 2 } }").results)
    assert.matches("code:1", engine.run(s, "local a = 1 error('x')").error)
    assert.same({ "b=2" }, engine.run(s, [[return ("a=1, b=2"):match("(b=%d)")]]).results)
    assert.same({ 3, 1 }, engine.run(s, "local t = {3,1,2} table.sort(t, function(a,b) return a > b end) return t[1], t[3]").results)
    assert.same({ "function" }, engine.run(s, "return print").results)
  end)
end)

-- Each must be false, nil or an error.
local escapes = {
  "io", "os.execute", "os.remove", "os.rename", "os.exit", "os.getenv", "os.tmpname", "os.setlocale", "require",
  "package", "debug", "dofile", "loadfile", "module", "jit", "ffi", "getfenv", "setfenv", "newproxy", "collectgarbage",
  "string.dump", "gcinfo", "lm", "_G.io", "_G._G.debug", "rawget(_G, 'io')", "print.__index", "arg",
  "getmetatable('').__index", "pcall(setmetatable, '', {})", "pcall(function() getmetatable('').__index = nil end)",
  "load('return io')()", "loadstring('return debug')()", "load('\\27LJ\\2')", "load('\\27Lua')",
  "pcall(load, function() return 'return 1' end)", "coroutine.wrap(function() return io end)()",
  "pcall(string.rep, 'x', 1e10)", "pcall(rawset, '', 'x', 1)", "math.__index", "table.foreach", "os.date and os.popen",
  "select(2, pcall(error)) ", "xpcall(function() return io.open end, function() return false end)",
  "pcall(load('return ...'), 1) and debug", "load('return _G', 'x', 't', {})().io", "load('return getfenv')()",
  "coroutine.running and coroutine.isyieldable", "bit.__gc", "string.gsub.x", "pcall(unpack, {}, 1, 1e9)",
  "pcall(string.byte, ('x'):rep(1e6), 1, -1)", "tostring(tool):match('builtin')", "pcall(tool, print)",
  "pcall(tool, coroutine.create(print))", "pcall(tool, setmetatable({}, {__index = function() return io end}).x.y)",
}

-- Each must end by a limit or an error, soon.
local hogs = {
  "while true do end", "repeat until false", "for i = 1, math.huge do end", "local function f() return f() end f()",
  "local function f() return 1 + f() end f()", "while true do pcall(error, 'x') end",
  "while true do pcall(function() while true do end end) end",
  "local function g() local ok = pcall(g) while true do end end g()",
  "xpcall(function() while true do end end, function() while true do end end)",
  "coroutine.wrap(function() while true do end end)()",
  "while true do coroutine.wrap(function() pcall(function() while true do end end) end)() end",
  "local t = {} while true do t[#t + 1] = ('x'):rep(1e5) .. #t end", "local s = 'x' while true do s = s .. s end",
  "local t = {} for i = 1, 1e9 do t[i] = {} end", "local t = {} for i = 1, 1e9 do t[i] = coroutine.create(print) end",
  "return ('a'):rep(40):find(('a*'):rep(40) .. 'b')", "return ('a'):rep(30):match(('a-'):rep(30) .. 'b')",
  "return ('x'):rep(1e6):gsub('.-.-.-.-.-.-y', '')", "return ('('):rep(1e6):find('%b()%b()%b()%b()')",
  "table.sort({3,2,1,4,5,6,7,8,9}, function() while true do end end)",
  "local y = setmetatable({}, {__index = function() while true do end end}).x",
  "return tostring(setmetatable({}, {__tostring = function() while true do end end}))",
  "('x'):rep(100):gsub('x', function() while true do end end)", "load(('('):rep(1e5))()",
  "local s = {} for i = 1, 300 do s[i] = '{' end assert(load('return ' .. table.concat(s)))",
  "string.format(('%s'):rep(1e6), unpack({}, 1, 200))", "return table.concat({}, 'x', 1, 1e9)",
  "while true do print(('x'):rep(1000)) end", "goto l ::l:: goto l", "return ('x'):rep(16e6) .. ('y'):rep(16e6)",
}

describe("escapes", function()
  it("there are at least 60 attempts", function() assert.truthy(#escapes + #hogs >= 60) end)
  for _, code in ipairs(escapes) do
    it("finds nothing: " .. code, function()
      local outcome = engine.run(new(), "return (" .. code .. ")")
      local value = outcome.results[1]
      if not outcome.ok then return end
      assert.falsy(value and value ~= "locked" and value ~= "table")
    end)
  end
  for _, code in ipairs(hogs) do
    it("is stopped: " .. code:sub(1, 60), function()
      local s, start = new(), host.now()
      local outcome = engine.run(s, code)
      assert.falsy(outcome.ok)
      assert.truthy(host.now() - start < 20)
      assert.truthy(#outcome.output <= 50000)
      assert.same({ 2 }, engine.run(s, "return 1 + 1").results)
    end)
  end
end)
