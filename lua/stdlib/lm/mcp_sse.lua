--- The older HTTP transport of an MCP client (2024-11-05): a stream that brings all messages of the server and says
--- where to post ours. A wire as those of lm.mcp_wires.

local errors = require("lm.errors")
local host = require("lm.host")
local http = require("lm.http")
local json = require("lm.json")
local metadata = require("lm.oauth_metadata")
local wires = require("lm.mcp_wires")

local M = {}

local OPEN_SECONDS = 10  -- until the server says where to post

-- The address to post to: of the same server, whatever else it says.
local function endpoint_of(url, said)
  local origin, path = metadata.origin_and_path(url)
  local full = said
  if not said:find("^%a[%w+.-]*://") then
    full = origin .. (said:sub(1, 1) == "/" and said or path:gsub("[^/]*$", "") .. said)
  end
  if metadata.origin_and_path(full) ~= origin then
    errors.raise("denied", ("mcp: %s wants messages to be sent to another server, %s"):format(url, full))
  end
  return full
end

--- Opens the stream. Raises network when nothing there speaks so.
--- @param url string
--- @param on_message fun(wire: table, method: string, params_json: string, id_json: string)
--- @param o table  {headers, oauth}
--- @return table wire
function M.open(url, on_message, o)
  local wire, next_id, waiting, endpoint, ended = {}, 0, {}, nil, false

  local function headers_for(more)
    more.Authorization = o.oauth and o.oauth:header()
    for name, value in pairs(o.headers or {}) do more[name] = value end
    return more
  end

  local feed = http.events(function(event)
    if event.event == "endpoint" then
      endpoint = endpoint or event.data
      return
    end
    local message = event.data and json.decode(event.data)
    if type(message) ~= "table" then return end
    if message.method == nil and waiting[message.id] then
      waiting[message.id].answer = message
    elseif type(message.method) == "string" then
      on_message(wire, message.method, json.encode(message.params or json.object({}, {})),
        message.id ~= nil and json.encode(message.id) or "")
    end
  end)
  local stop = http.stream(url, { headers = headers_for{ Accept = "text/event-stream" } }, feed,
    function() ended = true end)

  local function wait(done, seconds, what)
    local deadline = host.now() + seconds
    while not done() do
      if ended then errors.raise("network", "mcp: the server ended the stream") end
      if host.now() > deadline then errors.raise("timeout", ("mcp: no %s after %g s"):format(what, seconds)) end
      host.pump()
    end
  end

  local function post(message)
    local reply = http.request(endpoint, { method = "POST", body = json.encode(message), read_timeout = 30,
      headers = headers_for{ ["Content-Type"] = "application/json" } })
    if reply.status >= 300 then
      errors.raise("network", ("mcp: the server answered with status %d"):format(reply.status))
    end
  end

  function wire.request(method, params_json, seconds)
    next_id = next_id + 1
    local id, slot = next_id, {}
    waiting[id] = slot
    local fine, e = pcall(function()
      post{ jsonrpc = "2.0", id = id, method = method, params = json.decode(params_json) }
      wait(function() return slot.answer ~= nil end, seconds, "answer")
    end)
    waiting[id] = nil
    if not fine then
      pcall(post, { jsonrpc = "2.0", method = "notifications/cancelled", params = { requestId = id } })
      error(e, 0)
    end
    return wires.outcome(slot.answer)
  end

  function wire.notify(method, params_json)
    post{ jsonrpc = "2.0", method = method, params = json.decode(params_json) }
  end
  function wire.answer(id, result) post{ jsonrpc = "2.0", id = json.decode(id), result = json.decode(result) } end
  function wire.answer_error(id, code, message)
    post{ jsonrpc = "2.0", id = json.decode(id), error = { code = code, message = message } }
  end
  function wire.close()
    stop()
    ended = true
  end

  local fine, e = pcall(wait, function() return endpoint ~= nil end, OPEN_SECONDS, "address to post to")
  if fine then fine, e = pcall(function() endpoint = endpoint_of(url, endpoint) end) end
  if not fine then
    stop()
    error(e, 0)
  end
  return wire
end

return M
