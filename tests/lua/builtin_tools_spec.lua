-- The built-in tools: what they give, and what they refuse.
local engine_ok, engine = pcall(require, "lm.engine.files")
if not engine_ok then
  pending("needs the engine")
  return
end

local lm = require("lmfast")
local tools = require("lm.tool")

local function make(name, config) return tools.built_in(name, { config = config }) end
local function refuses(tool, arguments, pattern)
  local fine, e = pcall(tool.call, tool, arguments)
  assert.falsy(fine)
  assert.matches(pattern, e.message)
end

local folder = os.tmpname()
os.remove(folder)
os.execute(("mkdir -p '%s/in/sub' && ln -s /etc '%s/in/link' && echo secret > '%s/out.txt'"):format(folder, folder, folder))

describe("calculator", function()
  it("computes as people write", function()
    local c = make("calculator")
    assert.equal(7680, c:call{ expression = "(3 + 4.5) * 2**10" })
    assert.equal(1234.5, c:call{ expression = "1,234 + 0.5" })
    assert.equal(3, c:call{ expression = "sqrt(9)" })
    refuses(c, { expression = "1/0" }, "not a number")
    refuses(c, { expression = "os.exit()" }, "exit")
    refuses(c, { expression = "'a'" }, "something else")
    refuses(c, { expression = "(function() while true do end end)()" }, "")
  end)
end)

describe("files and grep", function()
  it("stay below their folders", function()
    local f = make("files", { roots = { folder .. "/in" }, write = true })
    assert.equal("5 bytes written", f:call{ action = "write", path = "sub/a.txt", content = "hello" })
    assert.equal("hello", f:call{ action = "read", path = "sub/a.txt" })
    assert.same({ "link/", "sub/" }, { unpack(f:call{ action = "list", path = "." }) })
    for _, path in ipairs({ "../out.txt", folder .. "/out.txt", "link/passwd", "link", "sub/../../out.txt", "/etc/passwd" }) do
      refuses(f, { action = "read", path = path }, "not below")
    end
    for _, path in ipairs({ "../new.txt", "link/new.txt", "sub/..", "none/new.txt" }) do
      refuses(f, { action = "write", path = path, content = "x" }, "")
    end
    refuses(make("files", { roots = { folder .. "/in" } }), { action = "write", path = "a", content = "" }, "do not fit")
    local g = make("grep", { roots = { folder .. "/in" } })
    assert.equal(1, #g:call{ text = "HELL", ignore_case = true })
    assert.equal(0, #g:call{ text = "root:" })
    refuses(g, { text = "x", path = "../" }, "not below")
  end)
end)

describe("lua", function()
  it("prints and returns", function()
    assert.equal("1\n\n2", make("lua"):call{ code = "print(1) return 2" })
    refuses(make("lua"), { code = "io.open('/etc/passwd')" }, "nil value")
    refuses(make("lua", { seconds = 0.1 }), { code = "while true do end" }, "limit")
  end)
end)

describe("fetch", function()
  it("asks allowed hosts outside of this network only", function()
    refuses(make("fetch"), { url = "http://example.org/" }, "not allowed")
    refuses(make("fetch", { hosts = { "*.example.org" } }), { url = "http://example.org.evil.example/" }, "not allowed")
    for _, host in ipairs({ "127.0.0.1", "localhost", "10.0.0.1", "192.168.1.1", "169.254.169.254", "[::1]", "0.0.0.0",
      "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "[fd00::1]", "100.64.0.1" }) do
      refuses(make("fetch", { hosts = { "*" } }), { url = "http://" .. host .. "/" }, "inside of this network")
    end
    refuses(make("fetch", { hosts = { "*" } }), { url = "file:///etc/passwd" }, "no http")
  end)
end)

describe("python", function()
  it("is confined, or refused", function()
    local p = make("python", { seconds = 2 })
    local fine, e = pcall(p.call, p, { code = "print(sum(range(10)))" })
    if not fine then
      assert.equal("unsupported", e.code)
      assert.truthy(e.message:find("sandbox"))
      return
    end
    assert.equal("45\n", e)
    assert.matches("Network is unreachable",
      p:call{ code = "import socket\ntry:\n  socket.create_connection(('1.1.1.1', 80), 1)\nexcept OSError as e: print(e)" })
    assert.equal("False False\n", p:call{ code = "import os\nprint(os.path.exists('/etc/passwd'), 'USER' in os.environ)" })
    -- A call that would be allowed in a namespace of its own, but for the filter.
    assert.equal("-1 1\n", p:call{ code = "import ctypes\nc = ctypes.CDLL(None, use_errno=True)\n"
      .. "print(c.unshare(0x20000000), ctypes.get_errno())" })
    refuses(p, { code = "while True: pass" }, "longer than")
    refuses(p, { code = "x = bytearray(10**10)" }, "MemoryError")
    refuses(p, { code = "open('/usr/x', 'w')" }, "Read%-only")
    assert.truthy(#make("python"):call{ code = "print('x' * 10**6)" } <= 51000)
  end)
end)

describe("lm.tool", function()
  it("registers them by name", function()
    assert.equal("calculator", lm.tool("calculator").name)
    tools.find("calculator"):remove()
    local a = lm.agent{ model = { turn = function() end }, tools = { "calculator", "datetime" } }
    assert.matches("calculator, datetime", tostring(a))
    assert.matches("T%d", make("datetime"):call{ utc = true })
  end)
end)

os.execute(("rm -rf '%s'"):format(folder))
assert(engine)
