--- HTTP requests for the library: agents, tools, MCP. Not public; users have their tools for that.

local engine = require("lm.engine.http")
local errors = require("lm.errors")

local M = {}

--- Takes a URL apart.
--- @param url string
--- @return table parts  {scheme, host, port, target}
function M.parse(url)
  local scheme, authority, target = url:match("^(%a[%w+.-]*)://([^/?#]+)([^#]*)")
  if scheme ~= "http" and scheme ~= "https" then
    errors.raise("bad_option", ("http: %q is no http or https URL"):format(url))
  end
  authority = authority:gsub("^.*@", "")
  local host, port = authority:match("^%[(.-)%]:?(%d*)$")
  if not host then host, port = authority:match("^([^:]+):?(%d*)$") end
  if not host then errors.raise("bad_option", ("http: %q has no host"):format(url)) end
  if target:sub(1, 1) ~= "/" then target = "/" .. target end
  return { scheme = scheme, host = host, port = tonumber(port) or (scheme == "https" and 443 or 80), target = target }
end

--- Sends a request; the prompt and servers stay alive meanwhile.
--- @param url string
--- @param o? table  {method, headers, body, read_timeout, address, on_data = fun(chunk, reply): boolean?}
--- @return table reply  {status, headers (lower case), body}
function M.request(url, o)
  o = o or {}
  local parts, body = M.parse(url), {}
  for key, value in pairs(o) do parts[key] = value end
  local reply = engine.request(parts, function(chunk, head)
    if o.on_data then return o.on_data(chunk, head) end
    body[#body + 1] = chunk
  end)
  reply.body = table.concat(body)
  return reply
end

--- Reads an answer in the background.
--- @param url string
--- @param o table  {method, headers, body}
--- @param on_data fun(chunk: string)  called while the prompt waits; answers of another status than 200 are left out
--- @param on_end? fun()
--- @return fun() stop
function M.stream(url, o, on_data, on_end)
  local parts = M.parse(url)
  for key, value in pairs(o) do parts[key] = value end
  parts.read_timeout = 1e6
  local stream = engine.stream(parts, on_data, on_end or function() end)
  return function() engine.stop(stream) end
end

--- Makes a reader of server-sent events: feed it chunks, however cut.
--- @param on_event fun(event: table): boolean?  {data, event, id, retry}; false ends it
--- @return fun(chunk: string): boolean? feed
function M.events(on_event)
  local buffer, current = "", {}
  local function line_done(line)
    if line == "" then
      local event = current
      current = {}
      if event.data or event.id or event.retry then return on_event(event) end
      return nil
    end
    local name, value = line:match("^([^:]*):? ?(.*)$")
    if line:sub(1, 1) == ":" then return nil end
    if name == "data" then
      current.data = current.data and current.data .. "\n" .. value or value
    elseif name == "event" or name == "id" then
      current[name] = value
    elseif name == "retry" then
      current.retry = tonumber(value)
    end
  end
  return function(chunk)
    buffer = buffer .. chunk
    while true do
      local line, rest = buffer:match("^([^\r\n]*)\r\n(.*)$")
      if not line then line, rest = buffer:match("^([^\r\n]*)\n(.*)$") end
      -- A lone CR ends a line, but a LF may be on its way.
      if not line then line, rest = buffer:match("^([^\r\n]*)\r([^\n].*)$") end
      if not line then return nil end
      buffer = rest
      if line_done(line) == false then return false end
    end
  end
end

return M
