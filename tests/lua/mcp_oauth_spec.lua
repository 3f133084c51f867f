-- Authorization of the MCP client, against tests/mcp/oauth_peer.py.
local json = require("lm.json")
local lm = require("lmfast")

if not pcall(require, "lm.engine.oauth") then
  pending("needs the engine")
  return
end
if os.execute("command -v python3 >/dev/null") ~= 0 then
  print("skipped: there is no python3")
  return
end

local peer = io.popen("echo $$; exec python3 tests/mcp/oauth_peer.py")
local pid, port = peer:read("*l"), tonumber(peer:read("*l"))

local asked = 0
local function connect(mode, o)
  o = o or {}
  o.redirect_uri = "http://127.0.0.1:1/callback"
  o.authorize = o.authorize or function(url)
    asked = asked + 1
    return require("lm.http").request(url).headers.location
  end
  return lm.mcp.connect(("http://127.0.0.1:%d/%s/mcp"):format(port, mode), { oauth = o })
end

describe("OAuth of lm.mcp.connect", function()
  it("finds, registers, proves itself and gets in", function()
    asked = 0
    local c = connect "good"
    assert.equal("2026-07-28", c.version)
    assert.equal("read", c.tools.scopes{})
    assert.equal(1, asked)
    c:close()
  end)
  it("asks for a wider scope, and keeps the narrower one", function()
    asked = 0
    local c = connect "step_up"
    assert.equal("read write", c.tools.scopes{})
    assert.equal(2, asked)
    c:close()
  end)
  it("keeps tokens in a file that only the owner may read", function()
    local path = os.tmpname()
    asked = 0
    connect("good", { store = path }):close()
    assert.equal(1, asked)
    assert.equal("read", connect("good", { store = path }).tools.scopes{})
    assert.equal(1, asked)
    assert.equal("600", io.popen("stat -c %a " .. path):read("*l"))
    local file = io.open(path)
    assert.truthy(json.decode(file:read("*a")).tokens)
    file:close()
    os.remove(path)
  end)
  it("refuses servers that do not do as the specification says", function()
    for mode, reason in pairs({ wrong_iss = "the answer is from", no_pkce = "PKCE", wrong_resource = "metadata is about",
      wrong_issuer = "calls itself" }) do
      local fine, e = pcall(connect, mode)
      assert.falsy(fine)
      assert.equal("denied", e.code)
      assert.matches(reason, e.message)
    end
    local fine, e = pcall(connect, "good", { authorize = function() return "http://127.0.0.1:1/callback?code=x&state=other" end })
    assert.falsy(fine)
    assert.matches("another state", e.message)
  end)
  it("waits for a browser where nobody else asks", function()
    local engine = require("lm.engine.oauth")
    local listener, at = engine.listen(0)
    assert.equal(nil, (engine.came(listener)))
    assert.equal(404, require("lm.http").request(("http://127.0.0.1:%d/else"):format(at)).status)
    assert.equal(200, require("lm.http").request(("http://127.0.0.1:%d/callback?code=a&state=b"):format(at)).status)
    assert.equal("code=a&state=b", engine.came(listener))
    engine.stop(listener)
  end)
  it("ends its peer", function() os.execute("kill " .. pid) end)
end)
