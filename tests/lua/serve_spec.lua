-- lm.serve from the prompt, asked by lm.remote; routes and dialects have C++ cases and tests/serve. The model is the real
-- first one, where it has been fetched.
local json = require("lm.json")
local lm = require("lmfast")

if not pcall(require, "lm.engine.serve") then
  pending("needs the engine")
  return
end

local function first_model()
  local row = lm.models()[1]
  if not row.on_machine then pending("the first model is not on this machine; scripts/lmfast.sh fetches it") end
  return lm.load(row.name)
end

describe("lm.serve", function()
  local srv
  local function ask(text, o)
    local remote = lm.remote{ base_url = srv.url .. "/v1", model = "smol", api_key = o and o.api_key or "k" }
    return remote:turn({ { role = "user", content = text } }, {}, { max_tokens = 8, temperature = 0 })
  end
  after_each(function()
    if srv then srv:stop{ drain = 0 } end
    srv = nil
  end)

  it("answers like the model itself, checks keys, counts", function()
    local m = first_model()
    srv = lm.serve{ model = m, name = "smol", port = 0, api_key = "k", log = false }
    local question = "What is the capital of France?"
    assert.equal(m:chat():say(question, { max_tokens = 8, temperature = 0 }), ask(question).content)
    assert.falsy((pcall(ask, question, { api_key = "wrong" })))
    local stats = srv:stats()
    assert.same({ "smol" }, stats.names)
    assert.truthy(stats.requests >= 2)
  end)

  it("lets hooks refuse and change, also while it runs; a failing hook is an answer with its message", function()
    srv = lm.serve{ model = first_model(), name = "smol", port = 0, api_key = "k", log = false }
    srv.on_request = function() error("not today") end
    local ok, problem = pcall(ask, "Hi")
    assert.falsy(ok)
    assert.contains("not today", tostring(problem))
    srv.on_request = nil
    assert.truthy(#ask("Hi").content > 0)
  end)

  it("takes models away and adds them", function()
    local m = first_model()
    srv = lm.serve{ model = m, name = "smol", port = 0, api_key = "k", log = false }
    srv:remove "smol"
    assert.falsy((pcall(ask, "Hi")))
    srv:add{ m, name = "smol" }
    assert.truthy(#ask("Hi").content > 0)
  end)
end)

describe("lm.mcp.serve", function()
  it("offers the session's tools over HTTP", function()
    local add = lm.tool{ name = "spec_add", doc = "Adds.", run = function(a, b) return a + b end, params = { type = "object",
      properties = { a = { type = "number" }, b = { type = "number" } }, required = { "a", "b" } } }
    local server = lm.mcp.serve{ port = 0, tools = { add }, model_tools = false }
    local function post(message)
      local reply = require("lm.http").request(server.where, { method = "POST", body = json.encode(message),
        headers = { ["content-type"] = "application/json", accept = "application/json, text/event-stream" } })
      return reply.status, reply.body
    end
    local status, body = post{ jsonrpc = "2.0", id = 1, method = "initialize", params = { protocolVersion = "2025-06-18",
      capabilities = json.object{}, clientInfo = { name = "spec", version = "1" } } }
    assert.equal(200, status)
    assert.contains('"protocolVersion":"2025-06-18"', body)
    server:stop()
    assert.falsy((pcall(post, {})))
  end)
end)
