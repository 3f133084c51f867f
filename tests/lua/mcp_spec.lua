-- MCP over stdio: the program as server of its own client, and what stands on the wire.
local json = require("lm.json")
local lm = require("lmfast")

if not pcall(require, "lm.engine.mcp") then
  pending("needs the engine")
  return
end

local SELF = "/proc/self/exe"
local script = os.tmpname()
local file = assert(io.open(script, "w"))
file:write[[
--- Adds.  @param a number  @param b number  @return number sum
function add(a, b) return a + b end
lm.tool(add)
--- Counts.  @param n integer 1..5
function count(n)
  for i = 1, n do require("lm.tool_call").progress(i / n, "step " .. i) end
  print("printed text must not reach the wire")
  return "counted"
end
lm.tool(count)
--- Fails.
function fails() error("it broke") end
lm.tool(fails)
--- Redefines add.
function redefine()
  function add(a, b) return a * b end
  require("lm.tool").refresh()
end
lm.tool(redefine)
--- Asks.
function ask() return lm.mcp.context():ask("elicitation/create", { message = "Name?", requestedSchema = { type = "object",
  properties = { name = { type = "string", default = "nobody" } } } }).content.name end
lm.tool(ask)
--- Asks twice.
function ask_twice()
  local c = lm.mcp.context()
  local one = c:ask("elicitation/create", { message = "1", requestedSchema = { type = "object", properties = {} } })
  local two = c:ask("elicitation/create", { message = "2", requestedSchema = { type = "object", properties = {} } })
  return one.action .. " " .. two.action
end
lm.tool(ask_twice)
lm.tool{ name = "later", params = {}, task = "optional", run = function()
  local c = lm.mcp.context()
  c.sleep(0.05)
  return "later, " .. c:ask("elicitation/create", { message = "Name?", requestedSchema = { type = "object",
    properties = { name = { type = "string", default = "nobody" } } } }).content.name
end }
lm.tool{ name = "only_later", params = {}, task = "required", run = function()
  local c = lm.mcp.context()
  c.sleep(3600)
end }
lm.tool{ name = "in_worker", params = {}, task = "optional", worker = true, run = function() return 6 * 7 end }
lm.tool{ name = "weird.name", run = function() return "ok" end, params = {} }
lm.tool{ name = "picture", params = {}, run = function()
  return lm.mcp.content{ { type = "image", data = "AAAA", mimeType = "image/png" } } end }
lm.mcp.resource{ uri = "notes://today", name = "Notes", text = "Buy milk." }
lm.mcp.resource{ uri = "bin://x", name = "Bytes", data = "\0\1\255", mime = "application/octet-stream" }
lm.mcp.resource{ uri = "db://{table}/{id}", name = "Row", complete = { table = { "users", "uses" } },
  read = function(_, v) return { table = v.table, id = v.id } end }
lm.mcp.prompt{ name = "review", arguments = { { name = "code", required = true, complete = { "alpha", "beta" } } },
  run = function(a) return "Review: " .. a.code end }
]]
file:close()

-- Sends lines to a server and returns its answers by id, and all messages.
local function talk(lines)
  local input = os.tmpname()
  local f = assert(io.open(input, "w"))
  f:write(table.concat(lines, "\n"), "\n")
  f:close()
  local exe = io.popen("readlink /proc/$PPID/exe"):read("*l")
  local pipe = io.popen(("'%s' mcp '%s' < '%s' 2>/dev/null"):format(exe, script, input))
  local by_id, all = {}, {}
  for line in pipe:lines() do
    local message = assert(json.decode(line), line)
    all[#all + 1] = message
    if message.id ~= nil and not message.method then by_id[tostring(message.id)] = message end
  end
  pipe:close()
  os.remove(input)
  return by_id, all
end

local function initialize(version)
  return ('{"jsonrpc":"2.0","id":"init","method":"initialize","params":{"protocolVersion":"%s","capabilities":{},'
    .. '"clientInfo":{"name":"t","version":"1"}}}'):format(version)
end

local META = '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
  .. '"io.modelcontextprotocol/clientCapabilities":{"elicitation":{}}}'

describe("the wire", function()
  it("negotiates every revision and answers its own where it knows another", function()
    for _, version in ipairs({ "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05" }) do
      assert.equal(version, talk({ initialize(version) }).init.result.protocolVersion)
    end
    assert.equal("2025-11-25", talk({ initialize("1999-01-01") }).init.result.protocolVersion)
  end)
  it("gives the specified errors and goes on", function()
    local answers, all = talk({ initialize("2025-06-18"), "not json", "[]", '{"jsonrpc":"2.0","id":null,"method":"ping"}',
      '{"jsonrpc":"2.0","id":1,"method":"nope"}', '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"none"}}',
      '{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"add","arguments":{"a":"x"}}}',
      '{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"fails"}}',
      '{"jsonrpc":"2.0","id":5,"method":"resources/read","params":{"uri":"no://x"}}',
      '{"jsonrpc":"2.0","id":6,"method":"tools/list","params":{"cursor":"bad"}}',
      '{"jsonrpc":"2.0","id":7,"method":"tools/call","params":[1]}', ("["):rep(300), '{"jsonrpc":"1.0","id":9,"method":"ping"}',
      '{"jsonrpc":"2.0","id":8,"method":"ping"}', "\255\254", '{"jsonrpc":"2.0","method":"notifications/none"}' })
    assert.equal(-32601, answers["1"].error.code)
    assert.equal(-32602, answers["2"].error.code)
    assert.truthy(answers["3"].result.isError)
    assert.matches("it broke", answers["4"].result.content[1].text)
    assert.equal(-32002, answers["5"].error.code)
    assert.equal(-32602, answers["6"].error.code)
    assert.equal(-32602, answers["7"].error.code)
    assert.equal(-32600, answers["9"].error.code)
    assert.same({}, answers["8"].result)
    local codes = {}
    for _, message in ipairs(all) do
      if message.id == json.null then codes[message.error.code] = (codes[message.error.code] or 0) + 1 end
    end
    assert.equal(3, codes[-32700])
    assert.equal(2, codes[-32600])  -- the empty batch, the id null
  end)
  it("takes batches in 2025-03-26 only", function()
    local batch = '[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"tools/call",'
      .. '"params":{"name":"add","arguments":{"a":1,"b":2}}},{"jsonrpc":"2.0","method":"notifications/x"}]'
    local _, all = talk({ initialize("2025-03-26"), batch })
    assert.equal(2, #all)
    assert.equal(2, #all[2])
    _, all = talk({ initialize("2025-06-18"), batch })
    assert.equal(-32600, all[2].error.code)
  end)
  it("speaks 2026-07-28 without initialize", function()
    local answers = talk({ ('{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{%s}}'):format(META),
      ('{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{%s}}'):format(META),
      ('{"jsonrpc":"2.0","id":3,"method":"initialize","params":{%s}}'):format(META),
      '{"jsonrpc":"2.0","id":4,"method":"tools/list","params":{}}',
      '{"jsonrpc":"2.0","id":5,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2099-01-01",'
        .. '"io.modelcontextprotocol/clientCapabilities":{}}}}',
      ('{"jsonrpc":"2.0","id":6,"method":"tools/call","params":{"name":"ask",%s}}'):format(META),
      ('{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"ask","requestState":"forged",%s}}'):format(META) })
    assert.equal("complete", answers["1"].result.resultType)
    assert.equal("2026-07-28", answers["1"].result.supportedVersions[1])
    assert.equal("private", answers["2"].result.cacheScope)
    assert.equal(0, answers["2"].result.ttlMs)
    assert.equal(-32601, answers["3"].error.code)
    assert.equal(-32602, answers["4"].error.code)
    assert.equal(-32022, answers["5"].error.code)
    assert.equal("2099-01-01", answers["5"].error.data.requested)
    assert.equal("input_required", answers["6"].result.resultType)
    assert.equal("elicitation/create", answers["6"].result.inputRequests.input_1.method)
    assert.equal(-32602, answers["7"].error.code)
  end)
end)

describe("the tasks extension", function()
  local TASKS = META:gsub('"elicitation":{}', '"elicitation":{},"extensions":{"io.modelcontextprotocol/tasks":{}}')
  it("answers with a task, which goes on and ends", function()
    local answers, all = talk({ ('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"later",%s}}'):format(TASKS),
      ('{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"only_later",%s}}'):format(META),
      ('{"jsonrpc":"2.0","id":3,"method":"tasks/get","params":{"taskId":"none",%s}}'):format(TASKS),
      ('{"jsonrpc":"2.0","id":4,"method":"tasks/get","params":{"taskId":"none",%s}}'):format(META),
      ('{"jsonrpc":"2.0","id":5,"method":"tasks/list","params":{%s}}'):format(TASKS),
      ('{"jsonrpc":"2.0","id":6,"method":"tasks/update","params":{"taskId":"none","inputResponses":[],%s}}'):format(TASKS),
      ('{"jsonrpc":"2.0","id":7,"method":"subscriptions/listen","params":{"notifications":{"taskIds":["x"]},%s}}'):format(META),
      ('{"jsonrpc":"2.0","id":8,"method":"server/discover","params":{%s}}'):format(META) })
    local task = answers["1"].result
    assert.equal("task", task.resultType)
    assert.equal("working", task.status)
    assert.equal(32, #task.taskId)
    assert.equal(3600000, task.ttlMs)
    assert.equal(-32021, answers["2"].error.code)
    assert.truthy(answers["2"].error.data.requiredCapabilities.extensions["io.modelcontextprotocol/tasks"])
    assert.equal(-32602, answers["3"].error.code)
    assert.equal(-32021, answers["4"].error.code)
    assert.equal(-32601, answers["5"].error.code)
    assert.equal(-32602, answers["6"].error.code)
    assert.equal(-32021, answers["7"].error.code)
    assert.truthy(answers["8"].result.capabilities.extensions["io.modelcontextprotocol/tasks"])
    assert.equal(8, #all)
  end)
  it("is followed by the client to the end", function()
    local c = lm.mcp.connect{ command = { SELF, "mcp", script },
      on_elicit = function() return { action = "accept", content = {} } end }
    assert.equal("later, nobody", c.tools.later{})
    assert.equal("42", tostring(c.tools.in_worker{}))
    local text = c.wire.request("tools/call", '{"name":"only_later",' .. TASKS .. "}", 10)
    local id = json.decode(text).taskId
    local of_task = '{"taskId":"' .. id .. '",' .. TASKS .. "}"
    assert.equal("complete", json.decode((c.wire.request("tasks/cancel", of_task, 10))).resultType)
    assert.equal("cancelled", json.decode((c.wire.request("tasks/get", of_task, 10))).status)
    assert.equal("complete", json.decode((c.wire.request("tasks/cancel", of_task, 10))).resultType)
    c:close()
  end)
end)

describe("lm.mcp.connect", function()
  local c
  before_each(function() if c then c:close() end end)
  it("uses tools, resources, prompts and completion", function()
    local updates = {}
    c = lm.mcp.connect{ command = { SELF, "mcp", script }, on_change = function(kind) updates[#updates + 1] = kind end,
      on_elicit = function(params) return { action = "accept", content = params.message == "Name?" and {} or nil } end }
    assert.equal("2026-07-28", c.version)
    assert.equal(42, c.tools.add{ a = 40, b = 2 })
    local steps = {}
    assert.equal("counted", c:call("count", { n = 3 }, function(p) steps[#steps + 1] = p end).content[1].text)
    assert.equal(3, #steps)
    assert.falsy((pcall(function() return c.tools.fails{} end)))
    assert.equal("nobody", c.tools.ask{})
    assert.equal("accept accept", c.tools.ask_twice{})
    assert.equal("ok", c.tools.weird_name{})
    assert.equal("image", c:call("picture").content[1].type)
    assert.equal("Buy milk.", c:read "notes://today")
    assert.equal("AAH/", c:read("bin://x")[1].blob)
    assert.equal('{"id":"7","table":"users"}', c:read "db://users/7")
    assert.equal("Review: x", c:prompt("review", { code = "x" })[1].content.text)
    assert.same({ "alpha" }, c:complete({ type = "ref/prompt", name = "review" }, "code", "al"))
    assert.same({ "users", "uses" }, c:complete({ type = "ref/resource", uri = "db://{table}/{id}" }, "table", "us"))
    c.tools.redefine{}
    assert.equal("80", tostring(c.tools.add{ a = 40, b = 2 }))
    c:close()
    assert.falsy((pcall(c.read, c, "notes://today")))
  end)
  it("gives its tools to agents", function()
    c = lm.mcp.connect{ command = { SELF, "mcp", script } }
    local n = 0
    local model = { turn = function()
      n = n + 1
      if n == 2 then return { role = "assistant", content = "42" }, {} end
      return { role = "assistant", content = "", tool_calls = { { id = "1", complete = true, ["function"] = { name = "add",
        arguments = '{"a":40,"b":2}' } } } }, {}
    end }
    local result = lm.agent{ model = model, tools = c.tools }:run "?"
    assert.equal(42, result.steps[1].results[1].value)
  end)
  it("says when a server cannot be had", function()
    for _, command in ipairs({ "/no/such/program", "true" }) do assert.falsy((pcall(lm.mcp.connect, command))) end
  end)
end)

describe("lm.mcp.serve{port}", function()
  it("serves the newest revision and those before over HTTP", function()
    local tool = lm.tool{ name = "spec_http", params = { type = "object", properties = { s = { type = "string",
      ["x-mcp-header"] = "S" } } }, run = function(s)
        require("lm.tool_call").progress(0.5, "half")
        return s
      end }
    local server = lm.mcp.serve{ model_tools = false, tools = { tool } }
    local url = ("http://127.0.0.1:%d/mcp"):format(server.port)
    local c = lm.mcp.connect(url)
    assert.equal("2026-07-28", c.version)
    assert.equal(1, #c.tools)
    assert.equal("caf\195\169 ", c.tools.spec_http{ s = "caf\195\169 " })
    local seen = {}
    assert.equal("x", c:call("spec_http", { s = "x" }, function(p, _, m) seen[#seen + 1] = p .. m end).content[1].text)
    assert.same({ "0.5half" }, seen)
    assert.falsy((pcall(c.read, c, "no://x")))
    c:close()
    local http = require("lm.http")
    local function post(body, headers)
      headers = headers or {}
      headers["Content-Type"] = "application/json"
      return http.request(url, { method = "POST", body = body, headers = headers })
    end
    local reply = post(initialize("2025-06-18"))
    local session = reply.headers["mcp-session-id"]
    assert.equal(32, #session)
    assert.equal("2025-06-18", json.decode(reply.body).result.protocolVersion)
    local list = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
    assert.equal(200, post(list, { ["Mcp-Session-Id"] = session }).status)
    assert.equal(400, post(list).status)
    assert.equal(404, post(list, { ["Mcp-Session-Id"] = "gone" }).status)
    assert.equal(400, post(list, { ["Mcp-Session-Id"] = session, ["MCP-Protocol-Version"] = "1.0" }).status)
    assert.equal(202, post('{"jsonrpc":"2.0","method":"notifications/initialized"}', { ["Mcp-Session-Id"] = session }).status)
    assert.equal(400, post("not json").status)
    assert.equal(405, http.request(url).status)
    assert.equal(403, post(list, { Origin = "http://evil.example" }).status)
    assert.equal(421, post(list, { Host = "evil.example" }).status)
    assert.equal(204, http.request(url, { method = "DELETE", headers = { ["Mcp-Session-Id"] = session } }).status)
    assert.equal(404, post(list, { ["Mcp-Session-Id"] = session }).status)
    local modern = '{"jsonrpc":"2.0","id":1,"method":"%s","params":{' .. META .. "}}"
    local function headers(method) return { ["MCP-Protocol-Version"] = "2026-07-28", ["Mcp-Method"] = method } end
    assert.equal(200, post(modern:format("tools/list"), headers("tools/list")).status)
    reply = post(modern:format("tools/list"), headers("tools/call"))
    assert.equal(400, reply.status)
    assert.equal(-32020, json.decode(reply.body).error.code)
    assert.equal(404, post(modern:format("ping"), headers("ping")).status)
    server:stop()
    assert.falsy((pcall(lm.mcp.connect, url)))
    tool:remove()
  end)
end)

describe("lm.remote", function()
  it("says what the other side answered", function()
    local server = lm.mcp.serve{ model_tools = false, tools = {} }
    local remote = lm.remote{ base_url = ("http://127.0.0.1:%d/v1"):format(server.port), model = "x" }
    local fine, e = pcall(remote.turn, remote, { { role = "user", content = "Hi" } }, {}, {})
    assert.falsy(fine)
    assert.equal("not_found", e.code)
    assert.falsy((pcall(lm.remote, { base_url = "ftp://x", model = "x" })))
    server:stop()
  end)
  it("reads streams however they are cut", function()
    local stream = ": comment\r\nevent: a\r\ndata: one\r\ndata: two\r\n\r\nid: 7\nretry: 10\ndata:\n\ndata: last\n\n"
    for size = 1, 9 do
      local seen = {}
      local feed = require("lm.http").events(function(event) seen[#seen + 1] = event end)
      for at = 1, #stream, size do feed(stream:sub(at, at + size - 1)) end
      assert.same({ { event = "a", data = "one\ntwo" }, { id = "7", retry = 10, data = "" }, { data = "last" } }, seen)
    end
  end)
  it("reads any bytes as a stream, the same however they are cut", function()
    local parts = { "data:", "data", "event: ", "id:", "retry: 5", "retry: x", ":", " ", "\n", "\n\n", "\r\n", "\r", "\r\n\r\n", "{}",
      "\0", "\255", "\239\187\191", "text" }
    math.randomseed(7)
    local function read(stream, size)
      local seen = {}
      local feed = require("lm.http").events(function(event) seen[#seen + 1] = event end)
      for at = 1, #stream, size do feed(stream:sub(at, at + size - 1)) end
      feed("end\n\n")  -- a CR that waits for its LF is decided
      return seen
    end
    local n = 0
    for _ = 1, 500 do
      local words = {}
      for i = 1, math.random(1, 40) do words[i] = parts[math.random(#parts)] end
      local stream = table.concat(words)
      local whole = read(stream, #stream)
      n = n + #whole
      for _, size in ipairs({ 1, 2, 3, 7 }) do assert.same(whole, read(stream, size)) end
    end
    assert.truthy(n > 100)
  end)
end)

describe("an HTTP request with an address", function()
  it("goes there, whatever the name stands for", function()
    local server = lm.mcp.serve{ model_tools = false, tools = {} }
    local url = ("http://no-such-name.invalid:%d/mcp"):format(server.port)
    assert.falsy((pcall(require("lm.http").request, url)))
    assert.equal(421, require("lm.http").request(url, { address = "127.0.0.1" }).status)
    server:stop()
    local files = require("lm.engine.files")
    for _, name in ipairs({ "127.0.0.1", "10.1.2.3", "::1", "2002:7f00:1::", "2001:0:7f00::1", "::ffff:10.0.0.1", "fe80::1" }) do
      assert.equal(nil, (files.public_address(name)))
    end
    assert.equal("93.184.215.14", files.public_address("93.184.215.14"))
    assert.equal("2606:4700::1111", files.public_address("2606:4700::1111"))
  end)
end)

describe("lm.mcp.config", function()
  it("writes what clients read", function()
    assert.matches('"mcpServers"', lm.mcp.config("claude", { script = "t.lua" }))
    assert.matches('"servers"', lm.mcp.config "vscode")
  end)
end)
