local errors = require("lm.errors")
local evaluate = require("lm.evaluate")
local host = require("lm.host")
local lm = require("lm")
local recipe = require("lm.recipe")
local report = require("lm.report")

-- These read what was written and steer jobs and Ctrl-C; the real host is tested over a pty.
if not require("lm.host").take then pending("needs the stand-in host") end

-- What triggers each code from Lua alone; the others need the engine.
local triggers = {
  bad_option = function() lm.job("x") end,
  not_found = function() lm.job(12345) end,
  io = function() lm.source("/no/such/file.lua") end,
  bad_file = function()
    -- An empty file is no recipe.
    local path = os.tmpname() .. ".lua"
    io.open(path, "w"):close()
    local ok, e = pcall(recipe.load, path)
    os.remove(path)
    if not ok then error(e, 0) end
  end,
  unsupported = function() require("sample").train("m", { background = true }) end,
  interrupted = function()
    host.pending = true
    local ok, e = pcall(host.pump)
    host.pending = false
    assert(not ok)
    error(e, 0)
  end,
  internal = function() error("plain text") end,
}

describe("errors", function()
  for _, code in ipairs(errors.codes) do
    it("code " .. code, function()
      if not triggers[code] then pending("needs the engine") end
      local _, e = evaluate.call(triggers[code])
      assert.equal(code, e.code)
      assert.equal("string", type(e.message))
      assert.equal("string", type(tostring(e)))
    end)
  end

  it("keep fields through pcall and print like Lua's", function()
    local ok, e = pcall(errors.raise, "denied", "f: not allowed", { hint = "ask" })
    assert.equal(false, ok)
    assert.equal("denied", e.code)
    assert.equal("ask", e.hint)
    assert.matches("errors_spec%.lua:%d+: f: not allowed$", tostring(setmetatable(e, getmetatable(e))))
  end)

  it("wrap strings, tables and objects of C++", function()
    local _, e = evaluate.call(error, { 1, 2 })
    assert.equal("error value: {1, 2}", e.message)
    _, e = evaluate.call(error, { code = "io", message = "disk full" })
    assert.equal("disk full", e.message)
    assert.equal("string", type(e.traceback))
    _, e = evaluate.call(error)
    assert.equal("error value: nil", e.message)
  end)

  it("map to exit codes", function()
    assert.equal(130, errors.exit_code({ code = "interrupted" }))
    assert.equal(1, errors.exit_code({ code = "io" }))
    assert.equal(2, errors.exit_code({ code = "bad_option", usage = true }))
  end)

  it("render with place, excerpt, help and hint", function()
    require("lm.sources").keep("(repl:9001)", "a\nb\nc")
    local text = report.render({ code = "io", message = "m: x", where = "(repl:9001):2", hint = "do y", help = "lm.m" }, {})
    assert.equal("error: m: x\n  at (repl:9001):2      help: ?lm.m\n    1 | a\n  > 2 | b\n    3 | c\n  hint: do y\n", text)
    assert.equal("interrupted\n", report.render({ code = "interrupted", message = "i" }, {}))
    assert.contains("\27[1;31merror:\27[0m", report.render({ code = "io", message = "m" }, { colors = true }))
  end)

  it("fold library frames", function()
    local _, e = evaluate.call(function() lm.using({ free = function() end }, function() error("deep") end) end)
    assert.contains("library frame", e.traceback)
    assert.falsy(e.traceback:find("scope.lua", 1, true))
  end)
end)
