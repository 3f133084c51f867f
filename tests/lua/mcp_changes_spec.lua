-- What an MCP client hears of changes, and the older HTTP transport; against our own server.
local lm = require("lmfast")

if not pcall(require, "lm.engine.mcp") then
  pending("needs the engine")
  return
end
local host = require("lm.host")

local function wait_for(done)
  local deadline = host.now() + 20
  while not done() and host.now() < deadline do host.pump() end
  return done()
end

local function named(name, run) return lm.tool{ name = name, params = {}, run = run or function() return name end } end

local script = os.tmpname()
local file = assert(io.open(script, "w"))
file:write[[
lm.tool{ name = "more", params = {}, run = function()
  lm.tool{ name = "made", params = {}, run = function() return "made" end }
  return "done"
end }
]]
file:close()

describe("a client of 2026-07-28", function()
  it("hears of tools that are defined later, over HTTP", function()
    local server = lm.mcp.serve{ model_tools = false }
    local changes = {}
    local c = lm.mcp.connect{ server.where, on_change = function(kind) changes[kind] = true end }
    assert.equal("2026-07-28", c.version)
    assert.equal(nil, c.tools.later)
    -- The subscription is there when the server has acknowledged it; until then changes are not told.
    local tool
    assert.truthy(wait_for(function()
      if tool then tool:remove() end
      tool = named("later")
      for _ = 1, 20 do host.pump() end
      return changes.tools
    end))
    assert.equal("later", c.tools.later{})
    c:close()
    server:stop()
    tool:remove()
  end)
  it("hears of a resource that changes", function()
    lm.mcp.resource{ uri = "notes://now", name = "Now", text = "1" }
    local server = lm.mcp.serve{ model_tools = false, tools = {} }
    local updated
    local c = lm.mcp.connect{ server.where, on_update = function(uri) updated = uri end }
    c:subscribe "notes://now"
    assert.equal("notes://now", wait_for(function()
      server:resource_updated("notes://other")
      server:resource_updated("notes://now")
      for _ = 1, 20 do host.pump() end
      return updated
    end))
    c:close()
    server:stop()
  end)
  it("hears of tools over stdio", function()
    local changed
    local c = lm.mcp.connect{ { "/proc/self/exe", "mcp", script }, on_change = function(kind)
      changed = changed or kind == "tools"
    end }
    assert.equal(nil, c.tools.made)
    assert.equal("done", c.tools.more{})
    assert.truthy(wait_for(function() return changed end))
    assert.equal("made", c.tools.made{})
    c:close()
  end)
end)

describe("the HTTP transport of 2024-11-05", function()
  it("is taken where the server speaks no other", function()
    local hello = named("hello", function() return "hello" end)
    local asks = named("asks", function()
      return lm.mcp.context():ask("elicitation/create", { message = "?", requestedSchema = { type = "object",
        properties = {} } }).action
    end)
    local server = lm.mcp.serve{ model_tools = false, tools = { hello, asks } }
    local changed
    local c = lm.mcp.connect{ (server.where:gsub("/mcp$", "/sse")), on_change = function() changed = true end,
      on_elicit = function() return { action = "decline" } end }
    assert.equal("2025-11-25", c.version)
    assert.equal("hello", c.tools.hello{})
    assert.equal("decline", c.tools.asks{})
    local fine, e = pcall(c.request, c, "no/such", {})
    assert.falsy(fine)
    assert.equal("unsupported", e.code)
    server.only = { hello }
    server:refresh()
    assert.truthy(wait_for(function() return changed end))
    assert.equal(nil, c.tools.asks)
    c:close()
    assert.falsy((pcall(c.request, c, "ping", {})))
    server:stop()
    hello:remove()
    asks:remove()
  end)
  it("is not taken for servers that are elsewhere or none", function()
    local where = lm.mcp.serve{ model_tools = false, tools = {} }
    local fine, e = pcall(lm.mcp.connect, (where.where:gsub("/mcp$", "/nothing")))
    assert.falsy(fine)
    assert.equal("network", e.code)
    where:stop()
  end)
end)

os.remove(script)
