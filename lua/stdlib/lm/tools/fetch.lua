--- Web pages of allowed hosts. Addresses inside of the own network are refused, whatever a name resolves to.

local engine = require("lm.engine.files")
local errors = require("lm.errors")
local http = require("lm.http")

local M = {}

local MOST, MOST_REDIRECTS = 1024 * 1024, 5

local function allowed(host, hosts)
  for _, pattern in ipairs(hosts) do
    if pattern == "*" or host == pattern then return true end
    if pattern:sub(1, 2) == "*." and host:sub(-#pattern + 1) == pattern:sub(2) then return true end
  end
  return false
end

-- The address to connect to: a name that is asked for again may stand for another one by then.
local function check(url, config)
  local parts = http.parse(url)
  if not allowed(parts.host:lower(), config.hosts or {}) then
    errors.raise("denied", ("the host %s is not allowed"):format(parts.host))
  end
  if config.private then return nil end
  local address = engine.public_address(parts.host)
  if not address then errors.raise("denied", ("the host %s is inside of this network"):format(parts.host)) end
  return address
end

local function plain(body)
  body = body:gsub("<script.->.-</script>", " "):gsub("<style.->.-</style>", " "):gsub("<!%-%-.-%-%->", " ")
  body = body:gsub("<[^>]*>", " "):gsub("&nbsp;", " "):gsub("&lt;", "<"):gsub("&gt;", ">"):gsub("&quot;", '"')
  return (body:gsub("&amp;", "&"):gsub("[ \t]+", " "):gsub("%s*\n%s*", "\n"))
end

--- @param config table  {hosts = {"example.org", "*.example.org"}, private = false}
--- @return table tool
function M.make(config)
  return {
    name = "fetch", doc = "Fetches a web page and returns its text.", permissions = { "network" }, timeout = 60,
    params = { type = "object", required = { "url" }, additionalProperties = false, properties = {
      url = { type = "string", description = "http or https" } } },
    run = function(o)
      local url = o.url
      for _ = 0, MOST_REDIRECTS do
        local address = check(url, config)
        local size, body = 0, {}
        local reply = http.request(url, { address = address, read_timeout = 20, headers = { ["user-agent"] = "lmfast" },
          on_data = function(chunk)
            size = size + #chunk
            body[#body + 1] = chunk
            return size < MOST
          end })
        local target = reply.headers.location
        if reply.status < 300 or reply.status > 399 or not target then
          local content = table.concat(body):sub(1, MOST)
          if reply.status ~= 200 then errors.raise("network", ("the server answered %d"):format(reply.status)) end
          return (reply.headers["content-type"] or ""):find("html") and plain(content) or content
        end
        if target:sub(1, 1) == "/" then target = url:match("^%a+://[^/]+") .. target end
        url = target
      end
      errors.raise("network", "too many redirects")
    end,
  }
end

return M
