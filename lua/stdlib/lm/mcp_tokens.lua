--- What tokens say that come to an MCP server (OAuth 2.1's resource server): signed ones are checked with the keys of
--- the authorization server (JWT: RFC 7519, RFC 9068), others by asking it (RFC 7662) or a function of the user's.

local base64 = require("lm.engine.mcp").base64
local errors = require("lm.errors")
local http = require("lm.http")
local json = require("lm.json")
local metadata = require("lm.oauth_metadata")
local oauth = require("lm.engine.oauth")

local M = {}

local ALGORITHMS = { RS256 = "RSA", PS256 = "RSA", ES256 = "EC", EdDSA = "OKP" }
local LEEWAY = 30          -- seconds that clocks may differ
local KEYS_LIVE = 600      -- seconds that an authorization server's keys are taken for true
local KEYS_REST = 30       -- and that it is not asked again for keys that it did not have
local ANSWERS_LIVE = 60    -- what was asked may have been taken back since

-- Why a token is none; what else goes wrong is not the token's fault.
local function reject(...) error({ rejected = (...):format(select(2, ...)) }, 0) end

local function decoded_object(part, what)
  local bytes = oauth.from_base64url(part)
  local value = bytes and json.decode(bytes)
  if type(value) ~= "table" then reject("its %s is no JSON object", what) end
  return value
end

local function has(list, wanted)
  if type(list) ~= "table" then return list == wanted end
  for _, value in ipairs(list) do
    if value == wanted then return true end
  end
  return false
end

-- The keys of an authorization server, fetched when needed.
local function keys_of(self, issuer, fresh)
  local known = self.keys[issuer]
  local age = known and os.time() - known.at
  if known and age < (fresh and KEYS_REST or KEYS_LIVE) then return known.list end
  local set = self.o.jwks
  if type(set) ~= "table" then
    local url = set or metadata.of_issuer(issuer, self.o.resource).jwks_uri
    set = metadata.get_json(metadata.check_url(url, issuer, "jwks_uri"))
  end
  if type(set) ~= "table" or type(set.keys) ~= "table" then
    errors.raise("network", ("the keys of %s cannot be had"):format(issuer))
  end
  self.keys[issuer] = { list = set.keys, at = os.time() }
  return set.keys
end

local function find_key(self, issuer, head, fresh)
  local found
  for _, key in ipairs(keys_of(self, issuer, fresh)) do
    local fits = type(key) == "table" and key.kty == ALGORITHMS[head.alg] and (key.use == nil or key.use == "sig")
      and (key.alg == nil or key.alg == head.alg)
    if fits and (head.kid == nil or key.kid == head.kid) then
      if found then reject("it does not say which of several keys it is signed with") end
      found = key
    end
  end
  if found or fresh then return found end
  return find_key(self, issuer, head, true)
end

local function check_signature(key, algorithm, signed, signature)
  local numbers = { kty = key.kty, crv = key.crv }
  for _, name in ipairs({ "n", "e", "x", "y" }) do
    if type(key[name]) == "string" then numbers[name] = oauth.from_base64url(key[name]) end
  end
  return signature ~= nil and oauth.verify_signature(algorithm, numbers, signed, signature)
end

local function number(value, name)
  if type(value) ~= "number" then reject("its %s is no number", name) end
  return value
end

-- What all ways of looking at a token have in common (RFC 9068, section 4; RFC 8707).
local function check_claims(self, claims)
  local now = os.time()
  if claims.exp ~= nil and number(claims.exp, "exp") <= now - LEEWAY then reject("it has expired") end
  if claims.nbf ~= nil and number(claims.nbf, "nbf") > now + LEEWAY then reject("it is not valid yet") end
  local for_us = false
  for _, audience in ipairs(self.o.audience) do for_us = for_us or has(claims.aud, audience) end
  if not for_us then reject("it is not for this server") end
end

-- A JSON Web Token.
local function of_jwt(self, token)
  local first, second, third = token:match("^([%w_-]+)%.([%w_-]+)%.([%w_-]+)$")
  if not first then reject("it is no signed token") end
  local head, claims = decoded_object(first, "head"), decoded_object(second, "body")
  if not ALGORITHMS[head.alg] then reject("it is signed by %q", tostring(head.alg)) end
  if head.crit ~= nil then reject("it needs extensions that are not known") end
  local kind = type(head.typ) == "string" and head.typ:lower():gsub("^application/", "") or head.typ
  if kind ~= nil and kind ~= "jwt" and kind ~= "at+jwt" then reject("it is a token of another kind") end
  local issuer = claims.iss
  if not has(self.o.authorization_servers, issuer) then reject("it is from an issuer that is not trusted") end
  local key = find_key(self, issuer, head)
  if not key then reject("it is signed with a key that is not known") end
  if not check_signature(key, head.alg, first .. "." .. second, oauth.from_base64url(third)) then
    reject("its signature is wrong")
  end
  if claims.exp == nil then reject("it never expires") end
  check_claims(self, claims)
  return claims, math.min(KEYS_LIVE, claims.exp - os.time())
end

-- Asks the authorization server (RFC 7662).
local function of_answer(self, token)
  local o = self.o.introspection
  local headers = { ["Content-Type"] = "application/x-www-form-urlencoded", Accept = "application/json" }
  if o.client_id then
    headers.Authorization = "Basic " .. base64(metadata.url_encoded(o.client_id) .. ":"
      .. metadata.url_encoded(o.client_secret or ""))
  end
  local reply = http.request(o.url, { method = "POST", headers = headers, read_timeout = 10,
    body = metadata.form({ token = token, token_type_hint = "access_token" }, { "token", "token_type_hint" }) })
  local claims = json.decode(reply.body)
  if reply.status ~= 200 or type(claims) ~= "table" then
    errors.raise("network", ("the authorization server answered with status %d"):format(reply.status))
  end
  if claims.active ~= true then reject("it is not active") end
  if claims.iss ~= nil and not has(self.o.authorization_servers, claims.iss) then
    reject("it is from an issuer that is not trusted")
  end
  check_claims(self, claims)
  return claims, math.min(ANSWERS_LIVE, (claims.exp or math.huge) - os.time())
end

-- Asks the user's function, which answers for whom the token is for, unless it says so.
local function of_user(self, token)
  local claims, why = self.o.verify(token)
  if type(claims) ~= "table" then reject("%s", tostring(why or "it is not known")) end
  local with = {}
  for name, value in pairs(claims) do with[name] = value end
  if with.aud == nil then with.aud = self.o.audience[1] end
  check_claims(self, with)
  return claims, math.min(ANSWERS_LIVE, (claims.exp or math.huge) - os.time())
end

--- What a token allows.
--- @param claims table
--- @return string[] scopes
function M.scopes_of(claims)
  local list = json.array()
  for _, name in ipairs({ "scope", "scp", "scopes" }) do
    local said = claims[name]
    for _, text in ipairs(type(said) == "table" and said or { said }) do
      for scope in (type(text) == "string" and text or ""):gmatch("%S+") do list[#list + 1] = scope end
    end
  end
  return list
end

-- The same for the same one: issuers may give the same names.
local function principal_of(claims)
  local function text(name) return type(claims[name]) == "string" and claims[name] or "" end
  local client = text("client_id") ~= "" and text("client_id") or text("azp")
  if text("sub") == "" and client == "" then reject("it says of nobody") end
  return table.concat({ text("iss"), text("sub"), client }, "\n")
end

local methods = {}
local meta = { __index = methods }

--- Looks at a token.
--- @param token string
--- @return table verdict  {principal, scopes, claims, seconds}, or {error}
function methods:verdict(token)
  local look = self.o.verify and of_user or self.o.introspection and of_answer or of_jwt
  local fine, result = pcall(function()
    local claims, seconds = look(self, token)
    return { principal = principal_of(claims), scopes = M.scopes_of(claims), claims = claims, seconds = seconds }
  end)
  if fine then return result end
  if type(result) == "table" and result.rejected then return { error = result.rejected } end
  local e = errors.wrap(result)
  require("lm.host").write_err(("mcp: a token could not be checked: %s\n"):format(e.message))
  return { error = "it could not be checked" }
end

--- What this server says about who may ask it (RFC 9728).
--- @param name string
--- @return string json
function methods:metadata(name)
  local scopes = self.o.scopes_supported or self.o.scopes
  return json.encode(json.object({ resource = self.o.resource, resource_name = name,
    authorization_servers = json.array{ unpack(self.o.authorization_servers) }, bearer_methods_supported = { "header" },
    scopes_supported = #scopes > 0 and json.array{ unpack(scopes) } or nil }, { "resource", "authorization_servers" }))
end

--- Makes what looks at tokens.
--- @param o table  option oauth of lm.mcp.serve
--- @param resource string  the server's address
--- @return table tokens
function M.new(o, resource)
  local own = {}
  for key, value in pairs(o) do own[key] = value end
  own.resource = o.resource or resource
  own.audience = #o.audience > 0 and o.audience or { own.resource }
  return setmetatable({ o = own, keys = {} }, meta)
end

return M
