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

describe("search", function()
  it("ranks as BM25 does", function()
    -- Scores of the Python package bm25s 0.3.16, method = "lucene", k1 = 1.2, b = 0.75; float32.
    local index = require("lm.lexical").new()
    for _, text in ipairs({ "the cat sat on the mat", "a dog chased the cat", "fish swim in the sea",
      "the sea is deep and the sea is blue" }) do index:add(text) end
    for query, expected in pairs({ ["cat sea"] = { 0.320308, 0.343142, 0.343142, 0.38551 },
      ["the cat"] = { 0.386908, 0.395301, 0.052159, 0.058599 }, ["Deep, BLUE sea!"] = { nil, nil, 0.343142, 1.31307 } }) do
      local hits, last = index:search(query, 10), math.huge
      for _, hit in ipairs(hits) do
        assert.truthy(math.abs(hit.score - expected[hit.number]) < 1e-5)
        assert.truthy(hit.score <= last)
        last, expected[hit.number] = hit.score, nil
      end
      assert.equal(nil, (next(expected)))
    end
    assert.equal(1, #index:search("sea", 1))
    assert.equal(0, #index:search("nothing here", 5))
  end)
  it("finds passages of a folder, and none outside", function()
    local f = make("files", { roots = { folder .. "/in" }, write = true })
    f:call{ action = "write", path = "sub/bread.txt", content = "Flour, water.\n" .. ("More flour.\n"):rep(100)
      .. "Bake the bread at 230 degrees.\n" }
    f:call{ action = "write", path = "sub/soup.txt", content = "Boil the soup." }
    local s = make("search", { roots = { folder .. "/in" } })
    local hits = s:call{ query = "bake bread" }
    assert.equal("sub/bread.txt", hits[1].path)
    assert.matches("230 degrees", hits[1].text)
    assert.truthy(hits[1].line > 1)
    assert.equal(0, #s:call{ query = "root secret" })  -- /etc through a link, and a file beside the folder
  end)
  it("finds by meaning where a model is given", function()
    local path = (os.getenv("LMFAST_TEST_MODELS") or "") .. "/all-MiniLM-L6-v2"
    if not require("lm.host").list_dir(path) then return print("skipped: LMFAST_TEST_MODELS has no all-MiniLM-L6-v2") end
    local s = make("search", { roots = { folder .. "/in" }, model = path })
    assert.equal("sub/soup.txt", s:call{ query = "broth" }[1].path)
  end)
end)

describe("sqlite", function()
  if os.execute("command -v python3 >/dev/null") ~= 0 then return print("skipped: there is no python3") end
  os.execute(([[python3 -c "
import sqlite3
for name in ('in/shop.db', 'out.db'):
    db = sqlite3.connect('%s/' + name)
    db.executescript('create table item(name text, price real, n integer, picture blob)')
    db.executescript('create view dear as select * from item where price > 1')
    db.executemany('insert into item values(?, ?, ?, ?)', [('apple', 0.5, 3, b'\\x00\\x01'), ('cake', 2.5, None, None)])
    db.executemany('insert into item values(?, ?, ?, ?)', [('x', 1, i, None) for i in range(500)])
    db.commit()"]]):format(folder))
  local tool = make("sqlite", { roots = { folder .. "/in" }, seconds = 1 })
  local function ask(query, parameters)
    return tool:call{ database = "shop.db", query = query, parameters = parameters }
  end
  it("reads", function()
    local got = ask("select name, price, n, picture from item where price < ? order by price", { 1 })
    assert.same({ "name", "price", "n", "picture" }, { unpack(got.columns) })
    assert.same({ "apple", 0.5, 3, { base64 = "AAE=" } }, { unpack(got.rows[1]) })
    assert.equal(false, got.truncated)
    assert.equal("cake", ask("select name from dear")["rows"][1][1])
    assert.equal(2, #ask("select name from sqlite_schema;").rows)
    assert.equal(4, #ask("pragma table_info(item)").rows)
    got = ask("select * from item")
    assert.equal(100, #got.rows)
    assert.equal(true, got.truncated)
    local one = make("sqlite", { database = folder .. "/in/shop.db" })
    assert.equal(502, one:call{ query = "select count(*) from item" }.rows[1][1])
  end)
  it("refuses all else", function()
    for query, pattern in pairs({
      ["delete from item"] = "not authorized", ["insert into item(name) values('x')"] = "not authorized",
      ["drop table item"] = "not authorized", ["create table t(x)"] = "not authorized", ["vacuum"] = "",
      [("attach '%s/out.db' as o"):format(folder)] = "not authorized", ["vacuum into '/tmp/x.db'"] = "",
      ["pragma journal_mode = delete"] = "not authorized", ["pragma writable_schema = 1"] = "not authorized",
      ["select load_extension('x')"] = "", ["select writefile('/tmp/x', 'y')"] = "", ["select 1; select 2"] = "one",
      ["begin"] = "not authorized", [""] = "do not fit", [";"] = "no statement", ["select"] = "SQLite", ["select ?"] = "1 parameters",
      ["with recursive c(x) as (select 1 union all select x + 1 from c) select count(*) from c"] = "more than 1",
      ["select randomblob(100000000)"] = "too big", ["select 1" .. (" union select 1"):rep(100)] = "too many",
      ["select 'a" .. ("b"):rep(200000) .. "'"] = "too long" }) do
      local fine, e = pcall(ask, query)
      assert.falsy(fine)
      assert.matches(pattern, e.message)
    end
    refuses(tool, { database = "../out.db", query = "select 1" }, "not below")
    refuses(tool, { database = "sub/bread.txt", query = "select * from sqlite_schema" }, "not a database")
    assert.equal(502, ask("select count(*) from item").rows[1][1])
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
