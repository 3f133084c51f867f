--- How an MCP client's messages reach a server: a process's standard input and output, or Streamable HTTP. Both are
--- tables of functions: request(method, params_json, seconds) -> result_json, or nil, code, message, data_json;
--- notify(method, params_json); answer(id_json, result_json); answer_error(id_json, code, message); close(). Those of
--- the newest revision also have subscribe(params_json): asks to be told of changes, instead of what was asked before.

local engine = require("lm.engine.mcp")
local errors = require("lm.errors")
local http = require("lm.http")
local json = require("lm.json")

local M = {}

--- What a wire's `request` returns for an answer of the server.
--- @param answer table  with `result` or `error`
--- @return string? result_json
--- @return integer? code
--- @return string? message
--- @return string? data_json
function M.outcome(answer)
  if answer.error then
    return nil, answer.error.code or -32603, tostring(answer.error.message),
      answer.error.data ~= nil and json.encode(answer.error.data) or ""
  end
  return json.encode(answer.result)
end

--- Starts a server's process.
--- @param words string[]
--- @param on_message fun(wire: table, method: string, params_json: string, id_json: string)
--- @return table wire
function M.process(words, on_message)
  local wire = {}
  local handle = engine.connect(words, function(_, method, params, id)
    if method ~= "closed" then on_message(wire, method, params, id) end
  end)
  function wire.request(method, params, seconds) return engine.request(handle, method, params, seconds) end
  function wire.notify(method, params) engine.notify(handle, method, params) end
  function wire.answer(id, result) engine.answer(handle, id, result) end
  function wire.answer_error(id, code, message) engine.answer_error(handle, id, code, message) end
  local subscription
  function wire.subscribe(params)
    if subscription then
      engine.notify(handle, "notifications/cancelled", ('{"requestId":%d}'):format(subscription))
    end
    subscription = engine.start(handle, "subscriptions/listen", params)
  end
  function wire.close() engine.close(handle) end
  return wire
end

-- A value of a header: as it is where that is safe, else base64 in a sentinel.
local function header_value(value)
  if type(value) == "number" then return ("%.17g"):format(value) end
  value = tostring(value)
  local safe = not value:find("[^\32-\126]") and not value:find("^%s") and not value:find("%s$")
    and not value:find("^=%?base64%?")
  return safe and value or ("=?base64?%s?="):format(engine.base64(value))
end

local name_of = { ["tools/call"] = "name", ["prompts/get"] = "name", ["resources/read"] = "uri",
  ["tasks/get"] = "taskId", ["tasks/update"] = "taskId", ["tasks/cancel"] = "taskId" }

-- What the newest revision repeats in headers: method, name, and arguments that the tool's schema says.
local function add_headers(headers, version, method, params, schema_of)
  if version == nil then return end
  headers["MCP-Protocol-Version"] = version
  if version < "2026" then return end
  headers["Mcp-Method"] = method
  local key = name_of[method]
  if key then headers["Mcp-Name"] = header_value(params[key]) end
  local schema = method == "tools/call" and schema_of(params.name)
  for name, property in pairs(schema and schema.properties or {}) do
    local value = (params.arguments or {})[name]
    if type(property) == "table" and property["x-mcp-header"] and value ~= nil and value ~= json.null then
      headers["Mcp-Param-" .. property["x-mcp-header"]] = header_value(value)
    end
  end
end

-- Streams that end before the answer are gone on with, this often.
local MOST_RESUMES = 5

--- Talks to a server over HTTP.
--- @param url string
--- @param on_message function  as for `process`
--- @param o table  {headers, oauth, schema_of = fun(tool: string): table?}
--- @return table wire
function M.http(url, on_message, o)
  local wire, next_id, session = {}, 0, nil

  local function headers_for(method, params)
    local headers = { ["Content-Type"] = "application/json", Accept = "application/json, text/event-stream" }
    headers.Authorization = o.oauth and o.oauth:header()
    for name, value in pairs(o.headers or {}) do headers[name] = value end
    if session then headers["Mcp-Session-Id"] = session end
    if method then add_headers(headers, wire.version, method, params, o.schema_of) end
    if not method and wire.version then headers["MCP-Protocol-Version"] = wire.version end
    return headers
  end

  local function dispatch(message)
    if type(message) ~= "table" or type(message.method) ~= "string" then return end
    on_message(wire, message.method, json.encode(message.params or json.object({}, {})),
      message.id ~= nil and json.encode(message.id) or "")
  end

  -- Reads a stream until the answer to `id` has come. Returns it, the last event's id and the time to wait.
  local function read_stream(method, target, body, headers, id, seconds)
    local answer, last_id, retry, plain = nil, nil, nil, {}
    local feed = http.events(function(event)
      last_id, retry = event.id or last_id, event.retry or retry
      local message = event.data and event.data ~= "" and json.decode(event.data)
      if type(message) ~= "table" then return nil end
      if message.method == nil and message.id == id then
        answer = message
        return false
      end
      dispatch(message)
    end)
    local reply = http.request(target, { method = method, body = body, headers = headers, read_timeout = seconds,
      on_data = function(chunk, head)
        session = session or head.headers["mcp-session-id"]
        if (head.headers["content-type"] or ""):find("event-stream", 1, true) then return feed(chunk) end
        plain[#plain + 1] = chunk
      end })
    session = session or reply.headers["mcp-session-id"]
    reply.body = table.concat(plain)
    return answer, reply, last_id, retry
  end

  local function post(message, id, method, params, seconds)
    local headers = headers_for(method, params)
    local answer, reply, last_id, retry = read_stream("POST", url, json.encode(message), headers, id, seconds)
    local attempt = 1
    while o.oauth and (reply.status == 401 or reply.status == 403) and o.oauth:refused(reply, attempt) do
      attempt, headers = attempt + 1, headers_for(method, params)
      answer, reply, last_id, retry = read_stream("POST", url, json.encode(message), headers, id, seconds)
    end
    if id == nil then return nil, reply end
    if not answer and reply.body ~= "" then answer = json.decode(reply.body) end
    -- A server may end a stream and be asked for the rest (2025-11-25).
    for _ = 1, MOST_RESUMES do
      if answer or not last_id then break end
      local deadline = require("lm.host").now() + (retry or 1000) / 1000
      while require("lm.host").now() < deadline do require("lm.host").pump() end
      headers = headers_for()
      headers["Last-Event-ID"], headers.Accept = last_id, "text/event-stream"
      local event_id
      answer, reply, event_id, retry = read_stream("GET", url, nil, headers, id, seconds)
      last_id = event_id or last_id
    end
    return answer, reply
  end

  function wire.request(method, params_json, seconds)
    next_id = next_id + 1
    local id, params = next_id, json.decode(params_json)
    local answer, reply = post({ jsonrpc = "2.0", id = id, method = method, params = params }, id, method, params,
      seconds)
    if type(answer) ~= "table" then
      wire.refused = reply.status
      if reply.status == 404 and session then session = nil end
      return nil, -32603, ("the server answered with status %d"):format(reply.status), ""
    end
    return M.outcome(answer)
  end

  function wire.notify(method, params_json)
    local params = json.decode(params_json)
    post({ jsonrpc = "2.0", method = method, params = params }, nil, method, params, 30)
  end

  function wire.answer(id, result)
    post({ jsonrpc = "2.0", id = json.decode(id), result = json.decode(result) }, nil, nil, nil, 30)
  end

  function wire.answer_error(id, code, message)
    post({ jsonrpc = "2.0", id = json.decode(id), error = { code = code, message = message } }, nil, nil, nil, 30)
  end

  local stop_listening

  -- What the server says of its own accord comes on a stream of its own (revisions with sessions).
  function wire.listen()
    local headers = headers_for()
    headers.Accept, headers["Content-Type"] = "text/event-stream", nil
    local feed = http.events(function(event) dispatch(event.data and json.decode(event.data)) end)
    stop_listening = http.stream(url, { headers = headers }, feed)
  end

  function wire.subscribe(params_json)
    if stop_listening then stop_listening() end
    next_id = next_id + 1
    local params, feed = json.decode(params_json), http.events(function(event)
      dispatch(event.data and json.decode(event.data))
    end)
    stop_listening = http.stream(url, { method = "POST", headers = headers_for("subscriptions/listen", params),
      body = json.encode{ jsonrpc = "2.0", id = next_id, method = "subscriptions/listen", params = params } }, feed)
  end

  function wire.close()
    if stop_listening then stop_listening() end
    if session then pcall(http.request, url, { method = "DELETE", headers = headers_for(), read_timeout = 5 }) end
    session = nil
    wire.request = function() errors.raise("network", "mcp: the connection is closed") end
  end

  return wire
end

return M
