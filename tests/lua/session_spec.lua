local env = require("lm.env")
local host = require("lm.host")
local session = require("lm.session")
local shell = require("shell")
local typed = shell.type

-- These read what was written and steer jobs and Ctrl-C; the real host is tested over a pty.
if not require("lm.host").take then pending("needs the stand-in host") end

describe("session", function()
  before_each(function()
    session.reset()
    host.take()
    host.pending, host.clock = false, 0
  end)

  it("prints expressions, all results, false, but not nil", function()
    assert.equal("2\n", typed("1 + 1"))
    assert.equal("hello\n", typed('"hello"'))
    assert.equal("1\nnil\n3\n", typed("1, nil, 3"))
    assert.equal("false\n", typed("false"))
    assert.equal("", typed("nil"))
    assert.equal("5\n", typed("= 5"))
    assert.equal("0.3333\n", typed("1/3"))
  end)

  it("is silent after a semicolon, also before a comment", function()
    assert.equal("", typed("1 + 1;"))
    assert.equal("", typed("1 + 1; -- note"))
    assert.equal("2\n", typed("1 + 1 -- ;"))
    assert.equal(";\n", typed('";"'))
    assert.equal("2\n", typed("1 + 1;", "_"))
  end)

  it("keeps results in _ __ ___ and Out", function()
    assert.equal("1\n", typed("1", "2", "3", "___"))
    assert.equal("3\n", typed("1", "2", "3", "_"))
    assert.matches("%] 7\n", typed("7", "Out"))
    assert.falsy(typed("error('x')", "_") ~= "7\n")
  end)

  it("holds engine objects weakly in Out", function()
    env.set("make", function() return shell.userdata("lm.Thing", {}) end)
    typed("make()", "1", "2", "3")
    collectgarbage()
    collectgarbage()
    assert.falsy(typed("Out"):find("lm.Thing", 1, true))
  end)

  it("keeps the last error in _err", function()
    typed("error('boom')")
    assert.equal("boom\n", typed("_err.message"))
  end)

  it("keeps top-level locals, not block locals, and functions", function()
    assert.equal("3\n", typed("local a, b = 1, {2}", "a + b[1]"))
    assert.equal("6\n", typed("local function double(x) return 2 * x end", "double(3)"))
    typed("do local hidden = 1 end")
    assert.contains("undefined variable `hidden`", select(2, typed("hidden")))
    assert.equal("2\n", typed("local n = 1\nlocal n = 2", "n"))
    assert.equal("7\n", typed("local x = 7\nreturn x"))
  end)

  it("knows when more lines are needed", function()
    for _, text in ipairs({ "if x then", "f(", "{1,", "function f()", "x =", "--- Doc.", "--- a\n--- b", "[[abc", "1 +" }) do
      assert.equal(false, session.is_complete(text), text)
    end
    for _, text in ipairs({ "x", "1 + 1", "end", ")", "x = 1", "?lm", ":help", "$ ls (", "", "::l::", "\"abc", "-- note",
      "return", "--- Doc.\nfunction f() end" }) do
      assert.equal(true, session.is_complete(text), text)
    end
  end)

  it("suggests names for undefined variables", function()
    local _, err = typed("model = 1", "modle")
    assert.contains("undefined variable `modle`, did you mean `model`?", err)
    assert.contains("hint: in Lua this is nil", select(2, typed("x = None")))
    assert.equal("", select(2, typed("y = nil", "y")))
  end)

  it("warns once when a library name is overwritten", function()
    local _, err = typed("string = 1")
    assert.contains("warning: `string` now hides", err)
    assert.equal("", select(2, typed("string = 2")))
    typed("string = nil")
    assert.equal("3\n", typed("string.len('abc')"))
  end)

  it("shows errors with excerpt, place and hint", function()
    local _, err = typed("local function f(t)\n  return t.x.y\nend\nf({})")
    assert.matches("error: attempt to index field 'x' %(a nil value%)\n  at %(repl:%d+%):2\n", err)
    assert.contains("    1 | local function f(t)\n  > 2 |   return t.x.y\n    3 | end\n", err)
    assert.matches("%(traceback: :tb%)\n$", err)
    assert.matches("in function 'f'\n.*in main chunk", (typed(":tb")))
  end)

  it("points at the typed line although the expression is returned", function()
    local _, err = typed("1,\nlm.job(77)")
    assert.matches("at %(repl:%d+%):2", err)
  end)

  it("prints interrupted and clears the flag at the top only", function()
    env.set("stop_it", function()
      host.pending = true
      pcall(host.pump)
      return host.pending
    end)
    assert.equal("true\n", typed("stop_it()"))
    assert.equal(false, host.pending)
    env.set("stop_now", function()
      host.pending = true
      host.pump()
    end)
    assert.equal("interrupted\n", select(2, typed("stop_now()")))
    assert.equal(false, host.pending)
  end)

  it("shows the time of slow inputs at the right edge", function()
    env.set("wait", function(s) host.clock = host.clock + s end)
    local out = typed("wait(1.2)")
    assert.equal((" "):rep(73) .. "[1.2 s]\n", out)
    out = typed("wait(1.2) or 5")
    assert.equal("5" .. (" "):rep(72) .. "[1.2 s]\n", out)
    assert.equal("5\n", typed("wait(0.1) or 5"))
  end)

  it("strips prompts from pasted transcripts", function()
    assert.equal("4\n", typed("lmfast> a = 2\nsome output\nlmfast> return a * 2"))
    assert.equal("3\n", typed("lmfast> 1 +\n   ..> 2"))
  end)

  it("survives __tostring that raises", function()
    local out = typed("setmetatable({}, {__tostring = function() error('no') end})")
    assert.equal("<__tostring failed>\n", out)
  end)

  it("answers help unless it is a variable (exit and quit leave; the prompt's C++ sees to that)", function()
    assert.contains(":help lists the commands", (typed("help")))
    assert.contains(":help lists the commands", (typed("help()")))
    assert.equal("3\n", typed("help = 3", "help"))
  end)

  it("runs typed code without the compiler", function()
    typed("function loop() return 1 end")
    assert.equal("function", type(env.get("loop")))
  end)

  it("writes a banner and names what would be lost", function()
    assert.equal("lmfast 0.1.0  \194\183  ? for help", session.banner()) -- without the engine: no machine, no model
    host.jobs = {}
    assert.equal(nil, session.leave())
    host.job_spawn({ name = "train" })
    assert.equal("still running: job 1 (train)", session.leave())
    host.jobs = {}
  end)
end)

describe("session.script", function()
  it("runs with arg and ..., skips a shebang, returns exit codes", function()
    _G.script_result = nil
    assert.equal(0, session.script("#!/usr/bin/env lmfast\nscript_result = {arg[1], ..., arg[0]}", "@s.lua",
      { [0] = "s.lua", "a" }))
    assert.same({ "a", "a", "s.lua" }, _G.script_result)
    _G.script_result = nil
    host.take()
    assert.equal(1, session.script("local x = 1\nerror('bad luck')", "@s.lua"))
    local _, err = host.take()
    assert.contains("error: bad luck\n  at s.lua:2\n    1 | local x = 1\n  > 2 | error('bad luck')\n", err)
    assert.contains("traceback:", err)
    assert.equal(1, session.script("x = = 1", "=(command line)"))
    assert.contains("at (command line):1", select(2, host.take()))
    assert.equal(130, session.script("require('lm.errors').raise('interrupted', 'interrupted')", "@s.lua"))
    host.take()
  end)
end)

describe("bad input", function()
  -- Each file of tests/lua/bad holds input and, in its first line, a text the error must contain.
  for _, entry in ipairs(host.list_dir((host.root or "") .. "tests/lua/bad")) do
    it(entry.name, function()
      local file = io.open((host.root or "") .. "tests/lua/bad/" .. entry.name)
      local expected = file:read("*l"):match("^%-%- expect: (.*)$")
      local code = file:read("*a"):gsub("\n$", "")
      file:close()
      session.reset()
      assert.contains(expected, select(2, typed(code)))
    end)
  end
end)
