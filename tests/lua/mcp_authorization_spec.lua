-- The MCP server that asks for tokens: against our own client, an authorization server in tests/mcp/oauth_peer.py, and
-- tokens that are none.
local json = require("lm.json")
local lm = require("lmfast")

if not pcall(require, "lm.engine.oauth") then
  pending("needs the engine")
  return
end
if os.execute("command -v python3 >/dev/null && command -v openssl >/dev/null") ~= 0 then
  print("skipped: there is no python3 or no openssl")
  return
end
local http, oauth = require("lm.http"), require("lm.engine.oauth")

local peer = io.popen("echo $$; exec python3 tests/mcp/oauth_peer.py")
local pid, peer_port = peer:read("*l"), tonumber(peer:read("*l"))
local issuer = ("http://127.0.0.1:%d/as/jwt"):format(peer_port)

local function free_port()
  local listener, port = oauth.listen(0)
  oauth.stop(listener)
  return port
end

local whoami = lm.tool{ name = "whoami", params = {}, run = function()
  local p = lm.mcp.context().principal
  return p and ("%s: %s"):format(p.subject, table.concat(p.scopes, " ")) or "nobody"
end }
local erase = lm.tool{ name = "erase", params = {}, scopes = { "write" }, run = function()
  return table.concat(lm.mcp.context().principal.scopes, " ")
end }

local function serve(o)
  o.authorization_servers = o.authorization_servers or { issuer }
  o.scopes = o.scopes or { "read" }
  return lm.mcp.serve{ port = free_port(), tools = { whoami, erase }, model_tools = false, oauth = o }
end

local asked
local function connect(server)
  asked = 0
  return lm.mcp.connect(server.where, { oauth = { redirect_uri = "http://127.0.0.1:1/callback", authorize = function(url)
    asked = asked + 1
    return http.request(url).headers.location
  end } })
end

local function sign(key, head, claims)
  local reply = http.request(("http://127.0.0.1:%d/sign"):format(peer_port), { method = "POST",
    body = json.encode{ key = key, head = head, claims = claims } })
  return json.decode(reply.body).token
end

local META = { ["io.modelcontextprotocol/protocolVersion"] = "2026-07-28",
  ["io.modelcontextprotocol/clientCapabilities"] = json.object({}, {}) }
local function discover(server, headers)
  local all = { ["Content-Type"] = "application/json", Accept = "application/json, text/event-stream",
    ["MCP-Protocol-Version"] = "2026-07-28", ["Mcp-Method"] = "server/discover" }
  for name, value in pairs(headers) do all[name] = value end
  return http.request(server.where, { method = "POST", headers = all, body = json.encode{ jsonrpc = "2.0", id = 1,
    method = "server/discover", params = { _meta = META } } })
end
local function with_token(server, token) return discover(server, { Authorization = "Bearer " .. token }) end

local function good_claims(server, changes)
  local claims = { iss = issuer, sub = "ann", client_id = "made", aud = server.where, exp = os.time() + 600,
    scope = "read" }
  for name, value in pairs(changes or {}) do claims[name] = value end
  return claims
end
local HEAD = { alg = "EdDSA", kid = "ed", typ = "at+jwt" }

describe("signatures", function()
  local function bytes(text) return assert(oauth.from_base64url(text)) end
  it("agree with the examples of the standards", function()
    -- RFC 8037, appendix A.4
    local ed = { kty = "OKP", crv = "Ed25519", x = bytes "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }
    local signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
    local signature = bytes("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")
    assert.truthy(oauth.verify_signature("EdDSA", ed, signed, signature))
    assert.falsy(oauth.verify_signature("EdDSA", ed, signed .. "x", signature))
    -- RFC 7515, appendix A.3
    local ec = { kty = "EC", crv = "P-256", x = bytes "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
      y = bytes "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" }
    signed = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    signature = bytes("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q")
    assert.truthy(oauth.verify_signature("ES256", ec, signed, signature))
    assert.falsy(oauth.verify_signature("ES256", ec, signed, signature:sub(1, 63) .. "\0"))
    assert.falsy(oauth.verify_signature("ES256", ec, signed, signature .. "\0"))
    assert.falsy(oauth.verify_signature("ES256", ed, signed, signature))
    ec.y = ec.x  -- no point of the curve
    assert.falsy(oauth.verify_signature("ES256", ec, signed, signature))
    local fine, e = pcall(oauth.verify_signature, "HS256", ed, signed, signature)
    assert.falsy(fine)
    assert.equal("unsupported", e.code)
    assert.equal(nil, (oauth.from_base64url "a+b="))
    assert.equal(nil, (oauth.from_base64url "aaaaa"))
  end)
  it("by openssl are taken, of all kinds", function()
    local server = serve{}
    for key, algorithm in pairs({ rsa = "RS256", ec = "ES256", ed = "EdDSA" }) do
      local token = sign(key, { alg = algorithm, kid = key }, good_claims(server))
      assert.equal(200, with_token(server, token).status)
      assert.equal(401, with_token(server, token:gsub(".$", function(c) return c == "A" and "Q" or "A" end)
        :gsub("%.[%w_-]+%.", "." .. ("x"):rep(40) .. ".")).status)
    end
    server:stop()
  end)
end)

describe("lm.mcp.serve{oauth =}", function()
  it("says where to ask, and lets in whom the authorization server sends", function()
    local server = serve{ scopes_supported = { "read", "write" } }
    local refused = discover(server, {})
    assert.equal(401, refused.status)
    local origin = server.where:match("^(http://[^/]+)")
    local place = origin .. "/.well-known/oauth-protected-resource/mcp"
    assert.equal(('Bearer resource_metadata="%s", scope="read"'):format(place), refused.headers["www-authenticate"])
    local about = json.decode(http.request(place).body)
    assert.same({ resource = server.where, resource_name = "lmfast", authorization_servers = { issuer },
      bearer_methods_supported = { "header" }, scopes_supported = { "read", "write" } }, about)
    assert.equal(200, http.request(origin .. "/.well-known/oauth-protected-resource").status)
    local c = connect(server)
    assert.equal(1, asked)
    assert.equal("ann: read", c.tools.whoami{})
    assert.equal("read write", c.tools.erase{})  -- after a step up
    assert.equal(2, asked)
    c:close()
    server:stop()
  end)
  it("asks the authorization server, or the user's function", function()
    local server = serve{ introspection = { url = ("http://127.0.0.1:%d/introspect"):format(peer_port),
      client_id = "server", client_secret = "secret" } }
    local c = connect(server)
    assert.equal("ann: read", c.tools.whoami{})
    c:close()
    assert.equal(401, with_token(server, "never-issued").status)
    server:stop()
    local calls = 0
    server = serve{ verify = function(token)
      calls = calls + 1
      if token == "let-me-in" then return { sub = "bob", scope = "read", exp = os.time() + 60 } end
      if token == "not-ours" then return { sub = "bob", scope = "read", aud = "https://example.org" } end
      return nil, 'unknown "token"'
    end }
    assert.equal(200, with_token(server, "let-me-in").status)
    assert.equal(200, with_token(server, "let-me-in").status)
    assert.equal(1, calls)  -- kept for a while
    assert.equal(401, with_token(server, "not-ours").status)
    local refused = with_token(server, "something")
    assert.matches('error="invalid_token", error_description="unknown token"', refused.headers["www-authenticate"])
    assert.equal(401, with_token(server, "something").status)
    server:stop()
  end)
  it("refuses tokens that are none", function()
    local server = serve{}
    local now = os.time()
    local function changed(changes) return sign("ed", HEAD, good_claims(server, changes)) end
    local function headed(head, key) return sign(key or "ed", head, good_claims(server)) end
    local good = changed{}
    assert.equal(200, with_token(server, good).status)
    local without_exp = good_claims(server)
    without_exp.exp = nil
    local without_names = good_claims(server)
    without_names.sub, without_names.client_id = nil, nil
    local head, body, signature = good:match("^(.-)%.(.-)%.(.*)$")
    local none = require("lm.engine.mcp").base64('{"alg":"none"}'):gsub("=", "")
    local broken = {
      expired = changed{ exp = now - 100 }, ["not yet"] = changed{ nbf = now + 1000 }, ["odd exp"] = changed{ exp = "soon" },
      ["for another"] = changed{ aud = "https://example.org/mcp" }, ["for others"] = changed{ aud = json.array{ "a", "b" } },
      ["no audience"] = changed{ aud = json.null }, ["other issuer"] = changed{ iss = issuer .. "x" },
      ["odd issuer"] = changed{ iss = 7 }, ["odd names"] = changed{ sub = json.null, client_id = 7 },
      ["never expires"] = sign("ed", HEAD, without_exp),
      nobody = sign("ed", HEAD, without_names), ["no algorithm"] = none .. "." .. body .. ".",
      ["none, signed"] = none .. "." .. body .. "." .. signature, symmetric = headed{ alg = "HS256", kid = "ed" },
      ["other algorithm"] = headed{ alg = "RS256", kid = "rsa" },
      ["other key"] = headed({ alg = "EdDSA", kid = "ed" }, "other"),
      ["unknown key"] = headed({ alg = "EdDSA", kid = "other" }, "other"),
      extension = headed{ alg = "EdDSA", kid = "ed", crit = json.array{ "b64" } },
      ["other kind"] = headed{ alg = "EdDSA", kid = "ed", typ = "dpop+jwt" },
      ["odd kind"] = headed{ alg = "EdDSA", kid = "ed", typ = 1 },
      unsigned = head .. "." .. body .. ".", ["two parts"] = head .. "." .. body, ["four parts"] = good .. ".e30",
      ["cut short"] = good:sub(1, -10), garbage = "abc", ["long garbage"] = ("a"):rep(10000),
      ["list for a body"] = head .. ".W10." .. signature,
      ["deep body"] = head .. "." .. require("lm.engine.mcp").base64(("["):rep(3000)):gsub("=", "") .. "." .. signature,
    }
    for what, token in pairs(broken) do
      local reply = with_token(server, token)
      if reply.status ~= 401 then error(("%s: status %d"):format(what, reply.status)) end
      assert.matches('error="invalid_token"', reply.headers["www-authenticate"])
    end
    for _, header in ipairs({ "Basic YTpi", "Bearer", "Bearer ", "Bearer a b", "Bearer =", 'Bearer "x"', good }) do
      assert.equal(401, discover(server, { Authorization = header }).status)
    end
    assert.equal(200, discover(server, { Authorization = "bearer   " .. good }).status)
    assert.equal(403, with_token(server, changed{ scope = "write" }).status)  -- "read" is needed for everything
    assert.equal(200, with_token(server, changed{ scope = json.null, scp = json.array{ "read" } }).status)
    assert.equal(200, with_token(server, changed{ aud = json.array{ "a", server.where } }).status)
    server:stop()
  end)
  it("keeps the sessions of one from another", function()
    local server = serve{}
    local function post(who, session, message)
      return http.request(server.where, { method = "POST", body = json.encode(message), headers = {
        ["Content-Type"] = "application/json", Accept = "application/json, text/event-stream",
        Authorization = "Bearer " .. sign("ed", HEAD, good_claims(server, { sub = who })), ["Mcp-Session-Id"] = session } })
    end
    local reply = post("ann", nil, { jsonrpc = "2.0", id = 1, method = "initialize", params = {
      protocolVersion = "2025-11-25", capabilities = json.object({}, {}), clientInfo = { name = "t", version = "1" } } })
    local session = reply.headers["mcp-session-id"]
    local list = { jsonrpc = "2.0", id = 2, method = "tools/list" }
    assert.equal(200, post("ann", session, list).status)
    assert.equal(404, post("eve", session, list).status)
    local call = { jsonrpc = "2.0", id = 3, method = "tools/call", params = { name = "erase", arguments = json.object({}, {}) } }
    reply = post("ann", session, call)
    assert.equal(403, reply.status)
    assert.matches('error="insufficient_scope".*scope="read write"', reply.headers["www-authenticate"])
    server:stop()
  end)
  it("refuses options that do not go together", function()
    local function problem(o, pattern)
      local fine, e = pcall(lm.mcp.serve, o)
      assert.falsy(fine)
      assert.matches(pattern, e.message)
    end
    problem({ oauth = { authorization_servers = { issuer } } }, "a port and a host")
    problem({ stdio = true, oauth = { authorization_servers = { issuer } } }, "over stdio")
    problem({ port = 1, oauth = {} }, "authorization_servers")
    problem({ cert = "a.pem" }, "belong together")
  end)
  it("ends its peer", function()
    whoami:remove()
    erase:remove()
    os.execute("kill " .. pid)
  end)
end)
