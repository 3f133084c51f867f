--- Authorization of an MCP client by OAuth 2.1: discovery (RFC 9728, RFC 8414, OpenID), client metadata documents or
--- registration (RFC 7591), PKCE, resource indicators (RFC 8707), the issuer's name (RFC 9207), wider scopes on demand.

local base64 = require("lm.engine.mcp").base64
local engine = require("lm.engine.oauth")
local host = require("lm.host")
local http = require("lm.http")
local json = require("lm.json")
local metadata = require("lm.oauth_metadata")

local M = {}

-- Authorizations for one request; a server that is never content is left alone then.
local MOST_ATTEMPTS = 2

local refuse, form, url_encoded = metadata.refuse, metadata.form, metadata.url_encoded
local origin_and_path, get_json = metadata.origin_and_path, metadata.get_json

local function url_decoded(s)
  return (s:gsub("+", " "):gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

local function query_of(url)
  local fields = {}
  for name, value in (url:match("%?([^#]*)") or ""):gmatch("([^&=]+)=([^&]*)") do
    fields[url_decoded(name)] = url_decoded(value)
  end
  return fields
end

-- Addresses that the server names.
local function check_url(self, url, what) return metadata.check_url(url, self.url, what) end

-- The parameters of WWW-Authenticate: Bearer a="b", c=d.
local function challenge_of(reply)
  local text, out = reply.headers["www-authenticate"] or "", {}
  for name, value in text:gmatch('([%w_]+)="([^"]*)"') do out[name] = value end
  for name, value in text:gmatch("([%w_]+)=([^%s\",]+)") do out[name] = out[name] or value end
  return out
end

-- What the server says about who may let us in (RFC 9728).
local function find_resource(self, challenge)
  local origin, path = origin_and_path(self.url)
  local known = origin .. "/.well-known/oauth-protected-resource"
  local places = { known .. path, known }
  if challenge.resource_metadata then places = { check_url(self, challenge.resource_metadata, "resource_metadata") } end
  for _, place in ipairs(places) do
    local found = get_json(place)
    if found then
      local named, named_path = origin_and_path(check_url(self, found.resource, "resource"))
      if named ~= origin or path:sub(1, #named_path) ~= named_path
        or (#path > #named_path and path:sub(#named_path + 1, #named_path + 1) ~= "/") then
        refuse("the metadata is about %q, not about %q", found.resource, self.url)
      end
      return found
    end
  end
  return { resource = self.url, authorization_servers = { origin } }  -- 2025-03-26
end

-- The authorization server's metadata, with what a client needs in it.
local function find_issuer(self, issuer)
  local found = metadata.of_issuer(issuer, self.url)
  local methods = table.concat(type(found.code_challenge_methods_supported) == "table"
    and found.code_challenge_methods_supported or {}, " ")
  if not (" " .. methods .. " "):find(" S256 ", 1, true) then
    refuse("the authorization server %q does not know PKCE with S256", issuer)
  end
  check_url(self, found.authorization_endpoint, "authorization_endpoint")
  check_url(self, found.token_endpoint, "token_endpoint")
  return found
end

local function contains(list, wanted)
  for _, value in ipairs(type(list) == "table" and list or {}) do
    if value == wanted then return true end
  end
  return false
end

local function auth_method(server, client)
  local known = server.token_endpoint_auth_methods_supported or { "client_secret_basic" }
  if not client.client_secret then return "none" end
  if client.token_endpoint_auth_method and contains(known, client.token_endpoint_auth_method) then
    return client.token_endpoint_auth_method
  end
  for _, method in ipairs({ "client_secret_basic", "client_secret_post" }) do
    if contains(known, method) then return method end
  end
  return "none"
end

-- Who we are there: as agreed before, by the address of our own document, or as the server registers us now.
local function find_client(self, server, redirect)
  local o = self.o
  if o.client_id then return { client_id = o.client_id, client_secret = o.client_secret } end
  if o.client_metadata_url and server.client_id_metadata_document_supported then
    return { client_id = o.client_metadata_url }
  end
  local known = self.store.clients[server.issuer]
  if known and known.redirect == redirect then return known end
  if not server.registration_endpoint then
    refuse("the authorization server %q registers nobody; give oauth = {client_id =}", server.issuer)
  end
  check_url(self, server.registration_endpoint, "registration_endpoint")
  local methods, method = server.token_endpoint_auth_methods_supported or {}, "none"
  for _, name in ipairs({ "none", "client_secret_basic", "client_secret_post" }) do
    if contains(methods, name) then method = name break end
  end
  local reply = http.request(server.registration_endpoint, { method = "POST", read_timeout = 30,
    headers = { ["Content-Type"] = "application/json", Accept = "application/json" },
    body = json.encode{ client_name = "lmfast", redirect_uris = json.array{ redirect },
      grant_types = json.array{ "authorization_code", "refresh_token" }, response_types = json.array{ "code" },
      token_endpoint_auth_method = method, application_type = "native" } })
  local client = json.decode(reply.body)
  if reply.status >= 300 or type(client) ~= "table" or not client.client_id then
    refuse("the authorization server %q did not register us (status %d)", server.issuer, reply.status)
  end
  client.redirect = redirect
  self.store.clients[server.issuer] = client
  return client
end

local function union(...)
  local seen, out = {}, {}
  for i = 1, select("#", ...) do
    for scope in (select(i, ...) or ""):gmatch("%S+") do
      if not seen[scope] then seen[scope], out[#out + 1] = true, scope end
    end
  end
  return #out > 0 and table.concat(out, " ") or nil
end

local function ask_for_token(self, server, client, fields)
  local headers = { ["Content-Type"] = "application/x-www-form-urlencoded", Accept = "application/json" }
  fields.client_id, fields.resource = client.client_id, self.resource
  local method = auth_method(server, client)
  if method == "client_secret_basic" then
    local name, secret = url_encoded(client.client_id), url_encoded(client.client_secret)
    headers.Authorization = "Basic " .. base64(name .. ":" .. secret)
  elseif method == "client_secret_post" then
    fields.client_secret = client.client_secret
  end
  local reply = http.request(server.token_endpoint, { method = "POST", headers = headers, read_timeout = 30,
    body = form(fields, { "grant_type", "code", "redirect_uri", "code_verifier", "refresh_token", "client_id",
      "client_secret", "resource", "scope" }) })
  local token = json.decode(reply.body)
  if reply.status ~= 200 or type(token) ~= "table" or type(token.access_token) ~= "string" then
    return nil, type(token) == "table" and tostring(token.error or reply.status) or tostring(reply.status)
  end
  return token
end

-- Shows the address to the user and waits for the browser to come back.
local function ask_user(listener, seconds)
  return function(url)
    host.write_err(("open this address to let lmfast in:\n%s\n"):format(url))
    local deadline = host.now() + seconds
    while host.now() < deadline do
      host.pump()
      local query = engine.came(listener)
      if query then return "http://127.0.0.1/callback?" .. query end
    end
    refuse("nobody answered in %d s", seconds)
  end
end

local function authorize(self, server, client, redirect, ask, scope)
  local verifier, state = engine.random() .. engine.random(), engine.random()
  local digest = engine.sha256(verifier):gsub("%x%x", function(digits) return string.char(tonumber(digits, 16)) end)
  local challenge = base64(digest):gsub("+", "-"):gsub("/", "_"):gsub("=", "")
  local separator = server.authorization_endpoint:find("?", 1, true) and "&" or "?"
  local back = ask(server.authorization_endpoint .. separator .. form({ response_type = "code", scope = scope,
    client_id = client.client_id, redirect_uri = redirect, state = state, code_challenge = challenge,
    code_challenge_method = "S256", resource = self.resource }, { "response_type", "client_id", "redirect_uri", "state",
    "code_challenge", "code_challenge_method", "scope", "resource" }))
  local fields = query_of(back or "")
  if fields.state ~= state then refuse("the browser came back with another state than it left with") end
  if fields.iss ~= nil and fields.iss ~= server.issuer
    or fields.iss == nil and server.authorization_response_iss_parameter_supported == true then
    refuse("the answer is from %q, expected %q", tostring(fields.iss), server.issuer)
  end
  if fields.error or not fields.code then refuse("access was refused: %s", fields.error or "no code") end
  local token, why = ask_for_token(self, server, client, { grant_type = "authorization_code", code = fields.code,
    redirect_uri = redirect, code_verifier = verifier })
  if not token then refuse("the authorization server gave no token: %s", why) end
  return token
end

local methods = {}
local meta = { __index = methods }

--- The value of the header Authorization, or nil.
function methods:header() return self.token and "Bearer " .. self.token.access_token end

local function save(self, token, issuer, scope)
  token.issuer, token.scope = issuer, token.scope or scope
  self.token = token
  self.store.tokens[self.url] = token
  if self.path then engine.write_private(self.path, json.encode(self.store)) end
end

--- Gets a token after the server has refused a request.
--- @param reply table  with status 401 or 403
--- @param attempt integer  how often this request was refused already
--- @return boolean retry
function methods:refused(reply, attempt)
  local challenge = challenge_of(reply)
  if reply.status == 403 and challenge.error ~= "insufficient_scope" then return false end
  if attempt > MOST_ATTEMPTS then return false end
  local resource = find_resource(self, challenge)
  self.resource = resource.resource
  local issuer = (resource.authorization_servers or {})[1]
  local server = find_issuer(self, issuer)
  local before = self.token and self.token.issuer == issuer and self.token or nil
  if before and before.refresh_token and reply.status == 401 and attempt == 1 then
    local client = find_client(self, server, self.redirect or before.redirect)
    local token = ask_for_token(self, server, client, { grant_type = "refresh_token",
      refresh_token = before.refresh_token })
    if token then
      token.refresh_token = token.refresh_token or before.refresh_token
      save(self, token, issuer, before.scope)
      return true
    end
  end
  local scope = challenge.scope
  if not scope and type(resource.scopes_supported) == "table" then
    scope = table.concat(resource.scopes_supported, " ")
  end
  scope = union(before and before.scope, scope or self.o.scope)
  if contains(server.scopes_supported, "offline_access") then scope = union(scope, "offline_access") end
  if self.o.grant == "client_credentials" then
    local token, why = ask_for_token(self, server, find_client(self, server), { grant_type = "client_credentials",
      scope = scope })
    if not token then refuse("the authorization server gave no token: %s", why) end
    save(self, token, issuer, scope)
    return true
  end
  local listener, port
  local redirect, ask = self.o.redirect_uri, self.o.authorize
  if not ask then
    listener, port = engine.listen(self.o.port)
    redirect, ask = ("http://127.0.0.1:%d/callback"):format(port), ask_user(listener, self.o.timeout or 300)
  end
  self.redirect = redirect
  local fine, token = pcall(function()
    return authorize(self, server, find_client(self, server, redirect), redirect, ask, scope)
  end)
  if listener then engine.stop(listener) end
  if not fine then error(token, 0) end
  token.redirect = redirect
  save(self, token, issuer, scope)
  return true
end

--- Makes what keeps the tokens for a server.
--- @param url string
--- @param o table  the option oauth of lm.mcp.connect
--- @return table oauth
function M.new(url, o)
  local self = setmetatable({ url = url, o = o, path = o.store, store = {} }, meta)
  local file = self.path and io.open(self.path, "rb")
  if file then
    self.store = json.decode(file:read("*a")) or {}
    file:close()
  end
  self.store.clients, self.store.tokens = self.store.clients or {}, self.store.tokens or {}
  self.token = self.store.tokens[url]
  return self
end

return M
