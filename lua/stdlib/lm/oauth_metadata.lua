--- What authorization servers and protected resources say of themselves (RFC 8414, OpenID Connect Discovery, RFC 9728):
--- what both sides of OAuth need of it.

local errors = require("lm.errors")
local http = require("lm.http")
local json = require("lm.json")

local M = {}

--- Raises that something is not as OAuth wants it.
--- @param ... any  as of string.format
function M.refuse(...) errors.raise("denied", "mcp: " .. (...):format(select(2, ...))) end
local refuse = M.refuse

local function is_loopback(host_name)
  return host_name == "localhost" or host_name == "::1" or host_name:find("^127%.") ~= nil
end

--- Checks an address that a server names, which is foreign: encrypted ones only, save on this machine for servers on
--- this machine.
--- @param url any
--- @param near string  the address of the server that named it
--- @param what string
--- @return string url
function M.check_url(url, near, what)
  if type(url) ~= "string" then refuse("the %s is missing or no address", what) end
  local parts = http.parse(url)
  if parts.scheme ~= "https" and not (is_loopback(parts.host) and is_loopback(http.parse(near).host)) then
    refuse("the %s is %q; expected an https address", what, url)
  end
  return url
end

--- Takes an address apart.
--- @param url string
--- @return string origin  in lower case, without the scheme's own port
--- @return string path  without query and a slash at its end
function M.origin_and_path(url)
  local parts = http.parse(url)
  local default = parts.scheme == "https" and 443 or 80
  local name = parts.host:find(":", 1, true) and "[" .. parts.host .. "]" or parts.host
  local port = parts.port ~= default and ":" .. parts.port or ""
  return ("%s://%s%s"):format(parts.scheme, name:lower(), port), (parts.target:gsub("%?.*$", ""):gsub("/$", ""))
end

--- Fetches a JSON object.
--- @param url string
--- @return table?
function M.get_json(url)
  local fine, reply = pcall(http.request, url, { headers = { Accept = "application/json" }, read_timeout = 30 })
  if not fine or reply.status ~= 200 then return nil end
  local value = json.decode(reply.body)
  return type(value) == "table" and value or nil
end

--- Fetches the metadata of an authorization server. Raises when there is none, or it is about another one.
--- @param issuer string
--- @param near string  the address of the server that named it
--- @return table metadata
function M.of_issuer(issuer, near)
  M.check_url(issuer, near, "authorization server")
  local origin, path = M.origin_and_path(issuer)
  for _, place in ipairs({ origin .. "/.well-known/oauth-authorization-server" .. path,
    origin .. "/.well-known/openid-configuration" .. path, origin .. path .. "/.well-known/openid-configuration" }) do
    local found = M.get_json(place)
    if found then
      if found.issuer ~= issuer then
        refuse("the authorization server %q calls itself %q", issuer, tostring(found.issuer))
      end
      return found
    end
  end
  refuse("the authorization server %q has no metadata", issuer)
end

--- Encodes a text for a form or a query.
--- @param s any
--- @return string
function M.url_encoded(s)
  return (tostring(s):gsub("[^%w._~-]", function(c) return ("%%%02X"):format(c:byte()) end))
end

--- Encodes the fields of a form, in this order.
--- @param fields table
--- @param order string[]
--- @return string
function M.form(fields, order)
  local parts = {}
  for _, name in ipairs(order) do
    if fields[name] ~= nil then parts[#parts + 1] = name .. "=" .. M.url_encoded(fields[name]) end
  end
  return table.concat(parts, "&")
end

return M
