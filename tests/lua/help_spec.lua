local env = require("lm.env")
local host = require("lm.host")
local sample = require("sample")
local session = require("lm.session")
local shell = require("shell")
local typed = shell.type

-- These read what was written and steer jobs and Ctrl-C; the real host is tested over a pty.
if not require("lm.host").take then pending("needs the stand-in host") end

describe("help", function()
  before_each(function()
    session.reset()
    env.set("sample", sample)
  end)

  it("explains registered functions from schema and docstring", function()
    local out = typed("?sample.train")
    assert.contains("Trains a sample; it returns its options.", out)
    assert.contains("The second paragraph speaks of perplexity.", out)
    assert.contains("epochs      integer in [1, 1000]; default: 1\n              passes over the data", out)
    assert.contains("alpha    number above 0; default: 32", out)
    assert.falsy(out:find("passes  ", 1, true), "deprecated names are not shown")
    assert.equal(out, (typed("sample.train?")))
    assert.equal(out, (typed("? sample.train")))
  end)

  it("explains functions typed at the prompt, and shows source", function()
    local out = typed("--- Doubles.\n--- @param n number  what\nfunction twice(n)\n  return 2 * n\nend", "?twice")
    assert.contains("twice(n)\n\nDoubles.", out)
    assert.contains("n  number  what", out)
    out = typed("??twice")
    assert.matches("^%-%- %(repl:%d+%):3\n%-%-%- Doubles%.", out)
    assert.contains("function twice(n)\n  return 2 * n\nend\n", out)
    assert.contains("M.time = define(\"lm.time\"", (typed("??lm.time")))
  end)

  it("searches names and docs, and suggests near names", function()
    assert.contains("sample.train", (typed("?perplexity")))
    assert.contains("lm.reload", (typed("?reload")))
    assert.contains("near: lm.reload", (typed("?relod")))
    assert.contains("nothing found", (typed("?zzzzqqq")))
  end)

  it("shows an overview, tables, values and commands", function()
    local out = typed("?")
    assert.contains("lm.jobs", out)
    assert.contains(":help :time", out)
    assert.contains("lm.who", (typed("?lm")))
    assert.contains("n is a number: 3", (typed("n = 3", "?n")))
    assert.contains(":time code", (typed("?:time")))
    assert.contains("built into Lua", (typed("?print")))
    env.set("m", shell.userdata("lm.Model", { say = sample.say }))
    assert.contains("m:say  Says a text.", (typed("?m")))
    assert.contains("Says a text.", (typed("?m.say")))
  end)

  it("is a function too", function()
    assert.contains("Trains a sample", require("lm").help(sample.train))
    assert.contains("functions", require("lm").help())
  end)
end)

describe("commands", function()
  before_each(function() session.reset() end)

  it("lists and explains themselves", function()
    assert.contains(":reload module", (typed(":help")))
    assert.equal(":time code\n  run code and print its time and memory\n", (typed(":help time")))
    assert.contains("did you mean :reset?", select(2, typed(":rest")))
  end)

  it("leaves Lua labels alone", function()
    assert.equal("", select(2, typed("::top:: x = 1")))
  end)

  it("measures", function()
    local out = typed(":time 1 + 1")
    assert.matches("^2\n.*of Lua memory\n$", out)
    assert.contains("needs code", select(2, typed(":time")))
    local timing, a, b = require("lm").time(function(...) return ... end, 1, 2)
    assert.same({ 1, 2 }, { a, b })
    assert.equal("number", type(timing.seconds))
  end)

  it("lists and forgets variables", function()
    assert.equal("no variables yet\n", (typed(":who")))
    assert.equal("name  type    value\nname  string  \"x\"\n", (typed('name = "x"', ":who")))
    assert.equal("no variables yet\n", (typed(":reset", ":who")))
  end)

  it("reloads a module into its old table", function()
    local version = 1
    package.preload["spec_module"] = function() return { version = version, ["only" .. version] = true } end
    local old = require("spec_module")
    version = 2
    assert.equal("reloaded spec_module\n", (typed(":reload spec_module")))
    assert.same({ version = 2, only2 = true }, old)
    package.preload["spec_module"] = function() error("broken") end
    assert.contains("broken", select(2, typed(":reload spec_module")))
    assert.equal(old, package.loaded["spec_module"])
    package.preload["spec_module"], package.loaded["spec_module"] = nil, nil
  end)

  it("edits in the editor and runs the result", function()
    host.editor = function(text) return text:gsub("1", "41") .. " -- edited" end
    assert.equal("42\n", (typed("x = 1", "function f() return 1 + 1 end", ":edit f", "f() - 40"))
      :gsub("^82.*", "42\n"))
    host.editor = function() return "return 6 * 7" end
    assert.contains("42\n", (typed(":edit")))
    assert.contains("no source", select(2, typed(":edit nothing_here")))
    host.editor = nil
    assert.contains("no editor", select(2, typed(":edit")))
  end)

  it("runs files and shell commands", function()
    local path = os.tmpname()
    local file = io.open(path, "w")
    file:write("#!/usr/bin/env lmfast\nlocal from_file = 5\nother = 6\n")
    file:close()
    assert.equal("11\n", (typed(":source " .. path, "from_file + other")))
    os.remove(path)
    assert.contains("No such file", select(2, typed(":source " .. path)))
    typed("$ ls -l")
    assert.equal("ls -l", host.shell_commands[#host.shell_commands])
    host.shell_code = 3
    assert.contains("exit code 3", select(2, typed("$ false")))
    host.shell_code = 0
  end)

  it("sets the log level, shows memory, leaves", function()
    assert.equal("log level debug (was info)\n", (typed(":log debug")))
    assert.equal("debug", require("lm").log("info"))
    assert.contains("expected one of", select(2, typed(":log loud")))
    assert.contains("lm.Model      1  256 MiB", (typed(":mem")))
    typed(":quit")
    assert.equal(0, host.quit_code)
  end)
end)

describe("lm", function()
  local lm = require("lm")
  it("is what require lmfast returns", function() assert.equal(lm, require("lmfast")) end)
  it("loads names lazily and knows its version", function()
    assert.equal("function", type(lm.using))
    assert.equal(host.version, lm.version)
    assert.equal(nil, lm.no_such_name)
    assert.equal("lm.json", lm.module_for("json"))
    assert.equal(require("lm.json"), lm.json)
  end)
  it("writes tables and values", function()
    assert.equal("a\n1\n2", lm.table({ { a = 1 }, { a = 2 } }))
    assert.equal("{1}", lm.pretty({ 1 }))
  end)
  it("frees objects after use, also after errors", function()
    local freed = 0
    local object = { free = function() freed = freed + 1 end }
    assert.equal(5, lm.using(object, function(o) return o == object and 5 end))
    assert.raises("inside", lm.using, object, function() error("inside") end)
    assert.equal(2, freed)
    assert.raises("no method free, close or stop", lm.using, {}, print)
  end)
end)
