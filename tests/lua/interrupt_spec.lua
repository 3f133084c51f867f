local env = require("lm.env")
local host = require("lm.host")
local session = require("lm.session")

-- These read what was written and steer jobs and Ctrl-C; the real host is tested over a pty.
if not require("lm.host").take then pending("needs the stand-in host") end

-- Does what the C++ side does on Ctrl-C: a hook that raises again and again until the top level clears it.
local function with_interrupt_after(instructions, body)
  local real_clear = host.interrupt_clear
  local function raise_forever()
    error({ code = "interrupted", message = "interrupted" }, 0)
  end
  host.interrupt_clear = function()
    debug.sethook()
    real_clear()
  end
  debug.sethook(function()
    host.pending = true
    debug.sethook(raise_forever, "cr", 1)
    raise_forever()
  end, "", instructions)
  local ok, e = pcall(body)
  debug.sethook()
  host.interrupt_clear = real_clear
  if not ok then error(e, 0) end
end

describe("Ctrl-C", function()
  before_each(function()
    session.reset()
    host.take()
  end)

  local programs = {
    "while true do end",
    "local s = 0 for i = 1, 1e18 do s = s + i end",
    "while true do pcall(function() while true do end end) end",
    "local t = {} while true do t[#t % 10 + 1] = ('x'):rep(10) end",
    "xpcall(function() while true do end end, function() return 1 end) while true do end",
  }
  for _, program in ipairs(programs) do
    it("stops " .. program, function()
      with_interrupt_after(100000, function() assert.equal(false, session.run(program)) end)
      assert.equal("interrupted\n", select(2, host.take()))
      assert.equal(false, host.pending)
      session.run("1 + 1")
      assert.equal("2\n", (host.take()))
    end)
  end

  it("stops a function defined before", function()
    session.run("function forever() while true do end end")
    with_interrupt_after(100000, function() session.run("forever()") end)
    assert.equal("interrupted\n", select(2, host.take()))
    assert.equal("function", type(env.get("forever")))
  end)
end)
