--- A connection to an MCP server: the newest revision where the server knows it, else those with initialize.

local errors = require("lm.errors")
local host = require("lm.host")
local json = require("lm.json")
local tools_module = require("lm.tool")
local wires = require("lm.mcp_wires")

local M = {}

local MODERN, NEWEST_LEGACY = "2026-07-28", "2025-11-25"
local META = "io.modelcontextprotocol/"
local TASKS = META .. "tasks"
local MOST_PAGES, MOST_ROUNDS = 1000, 10
-- Seconds between two looks at a task, where the server does not say.
local POLL = 1

local methods = {}
local meta = { __name = "lm.McpConnection" }

function meta.__index(c, name)
  if name == "tools" then return methods.tool_table(c) end
  return methods[name]
end

function meta.__tostring(c)
  return ("MCP connection to %s  protocol %s"):format(c.server.name or "a server", c.version)
end

local function client_info() return { name = "lmfast", version = host.version } end

local function capabilities(c)
  local out = json.object({}, {})
  if c.o.on_sample then out.sampling = json.object({}, {}) end
  if c.o.on_elicit then out.elicitation = json.object({}, {}) end
  if #c.o.roots > 0 then out.roots = json.object({}, {}) end
  if c.version == MODERN then out.extensions = { [TASKS] = json.object({}, {}) } end
  return out
end

local function with_meta(c, params)
  local out = {}
  for key, value in pairs(params or {}) do out[key] = value end
  if c.version == MODERN then
    local m = {}
    for key, value in pairs(out._meta or {}) do m[key] = value end
    m[META .. "protocolVersion"], m[META .. "clientInfo"] = MODERN, client_info()
    m[META .. "clientCapabilities"] = capabilities(c)
    out._meta = m
  end
  return json.encode(next(out) and out or json.object({}, {}))
end

local function raise(method, code, message)
  local kind = code == -32601 and "unsupported" or (code == -32602 or code == -32002) and "bad_option" or "network"
  errors.raise(kind, ("mcp: %s: %s (%d)"):format(method, message, code))
end

-- Answers to what the server asks, by method.
local asked = {}

asked["sampling/createMessage"] = function(c, params)
  if not c.o.on_sample or not c.o.on_sample(params) then return nil, -1, "the user refused" end
  local messages = {}
  if params.systemPrompt then messages[1] = { role = "system", content = params.systemPrompt } end
  for _, m in ipairs(params.messages or {}) do
    local content = m.content
    if type(content) == "table" and content.type == nil then content = content[1] end
    messages[#messages + 1] = { role = m.role, content = type(content) == "table" and content.text or content }
  end
  local model = require("lm.model").of(c.o.model)
  local result = model:generate{ messages = messages, max_tokens = params.maxTokens, temperature = params.temperature }
  return { role = "assistant", content = { type = "text", text = result.text }, model = model:info().name,
    stopReason = result.finish_reason == "length" and "maxTokens" or "endTurn" }
end

-- Values that the schema names as defaults stand where the user left them out.
local function with_defaults(answer, schema)
  if answer.action ~= "accept" then return answer end
  local content = answer.content or {}
  for name, property in pairs((schema or {}).properties or {}) do
    if content[name] == nil and property.default ~= nil then content[name] = property.default end
  end
  answer.content = next(content) and content or json.object({}, {})
  return answer
end

asked["elicitation/create"] = function(c, params)
  if not c.o.on_elicit then return { action = "decline" } end
  local answer = c.o.on_elicit(params)
  if type(answer) ~= "table" then answer = { action = answer and "accept" or "decline" } end
  return with_defaults(answer, params.requestedSchema)
end

asked["roots/list"] = function(c)
  local roots = json.array()
  for i, folder in ipairs(c.o.roots) do
    roots[i] = { uri = folder:find("^%a+://") and folder or "file://" .. folder, name = folder:match("[^/]+$") }
  end
  return { roots = roots }
end

asked["ping"] = function() return json.object({}, {}) end

local told = {}
told["notifications/message"] = function(c, params) if c.o.on_log then c.o.on_log(params) end end
told["notifications/resources/updated"] = function(c, params) if c.o.on_update then c.o.on_update(params.uri) end end
told["notifications/progress"] = function(c, params)
  local listener = c.progress[params.progressToken]
  if listener then listener(params.progress, params.total, params.message) end
end
for _, kind in ipairs({ "tools", "resources", "prompts" }) do
  told["notifications/" .. kind .. "/list_changed"] = function(c)
    if kind == "tools" then c.known_tools = nil end
    if c.o.on_change then c.o.on_change(kind) end
  end
end

local function on_message(c, wire, method, params_json, id)
  local params = json.decode(params_json) or {}
  if id == "" then
    if told[method] then told[method](c, params) end
    return
  end
  local handler = asked[method]
  if not handler then return wire.answer_error(id, -32601, "there is no method " .. method) end
  local fine, result, code, message = pcall(handler, c, params)
  if not fine then
    wire.answer_error(id, -32603, tostring(errors.wrap(result).message))
  elseif result == nil then
    wire.answer_error(id, code, message)
  else
    wire.answer(id, json.encode(result))
  end
end

local function send(c, method, params, seconds)
  return c.wire.request(method, with_meta(c, params), seconds or c.o.timeout)
end

-- What the server wants to know, asked of the user and the model.
local function responses_to(c, method, requests)
  local responses = {}
  for key, wanted in pairs(requests) do
    local handler = asked[wanted.method]
    local answer, _, why = nil, nil, "unknown method"
    if handler then answer, _, why = handler(c, wanted.params or {}) end
    if answer == nil then raise(method, -32603, ("%s: %s"):format(wanted.method, why)) end
    responses[key] = answer
  end
  return responses
end

local function ask_about_task(c, method, params)
  local text, code, message = send(c, method, params)
  if not text then raise(method, code, message) end
  return json.decode(text)
end

-- Asks for a task until it has ended. A task that is left by Ctrl-C or an error is given up.
local function follow(c, task, on_progress)
  local id, answered = task.taskId, {}
  local fine, e = pcall(function()
    while task.status == "working" or task.status == "input_required" do
      local fresh = {}
      for key, wanted in pairs(task.inputRequests or {}) do
        if not answered[key] then fresh[key], answered[key] = wanted, true end
      end
      if next(fresh) then
        ask_about_task(c, "tasks/update", { taskId = id, inputResponses = responses_to(c, "tasks/update", fresh) })
      end
      if on_progress and task.statusMessage then on_progress(0, nil, task.statusMessage) end
      local due = host.now() + (tonumber(task.pollIntervalMs) or POLL * 1000) / 1000
      while host.now() < due do host.pump() end
      task = ask_about_task(c, "tasks/get", { taskId = id })
    end
  end)
  if not fine then
    pcall(send, c, "tasks/cancel", { taskId = id }, 5)
    error(e, 0)
  end
  if task.status == "completed" then return task.result end
  if task.status == "failed" then
    local failure = task.error or {}
    raise("tools/call", failure.code or -32603, failure.message or "")
  end
  errors.raise("interrupted", "mcp: the task was given up")
end

-- Asks for what a result of the newest revision still needs, until it is complete.
local function request(c, method, params, on_progress)
  local current = params
  for _ = 1, MOST_ROUNDS do
    local text, code, message = send(c, method, current)
    if not text then raise(method, code, message) end
    local result = json.decode(text)
    local kind = type(result) == "table" and result.resultType or "complete"
    if kind == "complete" then return result end
    if kind == "task" and method == "tools/call" then return follow(c, result, on_progress) end
    if kind ~= "input_required" then raise(method, -32603, ("the server answered with %q"):format(tostring(kind))) end
    current = {}
    for key, value in pairs(params or {}) do current[key] = value end
    current.requestState = result.requestState
    local responses = responses_to(c, method, result.inputRequests or {})
    if next(responses) then current.inputResponses = responses end
  end
  raise(method, -32603, "the server keeps asking")
end

--- Sends a request and returns its result.
--- @param method string
--- @param params? table
--- @return table
function methods:request(method, params) return request(self, method, params) end

local function all_pages(c, method, key)
  local out, cursor, seen = {}, nil, {}
  for _ = 1, MOST_PAGES do
    local result = request(c, method, cursor and { cursor = cursor } or {})
    for _, entry in ipairs(result[key] or {}) do out[#out + 1] = entry end
    cursor = result.nextCursor
    if cursor == nil or cursor == json.null then return out end
    if seen[cursor] then raise(method, -32603, "the pages go round in circles") end
    seen[cursor] = true
  end
  return out
end

--- Lists the server's resources.
--- @return table[]
function methods:resources() return all_pages(self, "resources/list", "resources") end

--- Lists the server's resource templates.
--- @return table[]
function methods:templates() return all_pages(self, "resources/templates/list", "resourceTemplates") end

--- Lists the server's prompts.
--- @return table[]
function methods:prompts() return all_pages(self, "prompts/list", "prompts") end

--- Reads a resource.
--- @param uri string
--- @return string|table  the text, or the contents where it is not one text
function methods:read(uri)
  local contents = request(self, "resources/read", { uri = uri }).contents
  if #contents == 1 and contents[1].text then return contents[1].text end
  return contents
end

--- Gets a prompt's messages.
--- @param name string
--- @param arguments? table
--- @return table[]
function methods:prompt(name, arguments)
  return request(self, "prompts/get", { name = name, arguments = arguments }).messages
end

--- Asks for completions of an argument.
--- @param ref table  {type = "ref/prompt", name =} or {type = "ref/resource", uri =}
--- @param name string
--- @param value string
--- @return string[]
function methods:complete(ref, name, value)
  return request(self, "completion/complete", { ref = ref, argument = { name = name, value = value } })
    .completion.values
end

-- Asks to be told of changes in all lists and some resources (newest revision).
local function listen(c)
  local uris = json.array{ unpack(c.uris) }
  c.wire.subscribe(with_meta(c, { notifications = { toolsListChanged = true, promptsListChanged = true,
    resourcesListChanged = true, resourceSubscriptions = #uris > 0 and uris or nil } }))
  c.listening = true
end

-- Whether a server tells when its lists change.
local function tells_changes(c)
  for _, kind in ipairs({ "tools", "prompts", "resources" }) do
    if type(c.capabilities[kind]) == "table" and c.capabilities[kind].listChanged then return true end
  end
  return false
end

--- Asks to be told when a resource changes: by on_update.
--- @param uri string
function methods:subscribe(uri)
  if self.version ~= MODERN then return request(self, "resources/subscribe", { uri = uri }) end
  self.uris[#self.uris + 1] = uri
  listen(self)
end

-- Text of a result for a model.
local function text_of(result)
  local parts = {}
  for _, block in ipairs(result.content or {}) do
    parts[#parts + 1] = block.type == "text" and block.text or ("[%s]"):format(block.type)
  end
  return table.concat(parts, "\n")
end

--- Calls a tool and returns the server's whole answer.
--- @param name string
--- @param arguments? table
--- @param on_progress? fun(progress: number, total?: number, message?: string)
--- @return table result  {content, structuredContent?, isError?}
function methods:call(name, arguments, on_progress)
  local params = { name = name, arguments = arguments and next(arguments) and arguments or json.object({}, {}) }
  if on_progress then
    self.next_token = (self.next_token or 0) + 1
    self.progress[self.next_token] = on_progress
    params._meta = { progressToken = self.next_token }
  end
  local fine, result = pcall(request, self, "tools/call", params, on_progress)
  if on_progress then self.progress[self.next_token] = nil end
  if not fine then error(result, 0) end
  return result
end

-- A structured result as a value; the member `result` alone stands for what it holds.
local function value_of(result)
  local value = result.structuredContent
  if value == nil then return text_of(result) end
  if type(value) == "table" and value.result ~= nil and next(value, next(value)) == nil then return value.result end
  return value
end

-- Tools whose schema asks for impossible headers are not called at all, as the newest revision wants it: names that are
-- no HTTP tokens or stand twice, values that are no plain ones, places that cannot be reached by name alone.
local function valid_headers(schema)
  local seen = {}
  local function visit(node, reachable)
    if type(node) ~= "table" then return true end
    local name = node["x-mcp-header"]
    if name ~= nil then
      if not reachable or type(name) ~= "string" or not name:find("^[%w!#$%%&'*+.^_`|~-]+$") then return false end
      if node.type ~= "string" and node.type ~= "integer" and node.type ~= "boolean" then return false end
      if seen[name:lower()] then return false end
      seen[name:lower()] = true
    end
    for key, child in pairs(node) do
      if key == "properties" and type(child) == "table" then
        for _, property in pairs(child) do
          if not visit(property, reachable ~= nil) then return false end
        end
      elseif key ~= "enum" and key ~= "const" and key ~= "default" and key ~= "examples" and not visit(child, nil) then
        return false
      end
    end
    return true
  end
  return visit(schema, false)
end

local function make_tool(c, entry)
  return tools_module.foreign{
    name = entry.name, title = entry.title, doc = entry.description or "", params = entry.inputSchema,
    annotations = entry.annotations, timeout = c.o.timeout,
    run = function(arguments)
      local result = c:call(entry.name, arguments)
      if result.isError then errors.raise("internal", text_of(result)) end
      return value_of(result)
    end,
  }
end

--- The server's tools: a list for agents, and by name.
--- @param c table
--- @return table tools
function methods.tool_table(c)
  if not c.known_tools then
    -- What is kept must be known to be old one day.
    if c.version == MODERN and not c.listening and tells_changes(c) then listen(c) end
    local list = {}
    for _, entry in ipairs(all_pages(c, "tools/list", "tools")) do
      if valid_headers(entry.inputSchema) then list[#list + 1] = make_tool(c, entry) end
    end
    local by_name = {}
    for _, tool in ipairs(list) do by_name[tool.name] = tool end
    c.known_tools = setmetatable(list, { __index = by_name, __tostring = function(tools)
      local lines = {}
      for i, tool in ipairs(tools) do lines[i] = tostring(tool) end
      return table.concat(lines, "\n")
    end })
  end
  return c.known_tools
end

--- Ends the connection and the server's process.
function methods:close() self.wire.close() end

-- Probes for the newest revision; whatever else comes back, the server is asked the older way.
local function negotiate(c)
  c.version, c.wire.version = MODERN, MODERN
  local function discover() return send(c, "server/discover", {}, math.min(c.o.timeout, 10)) end
  local text, code, _, data = discover()
  -- A server that says it knows this revision after all is taken at its word.
  local known = not text and code == -32022 and (json.decode(data or "") or {}).supported or {}
  for _, version in ipairs(known) do
    if version == MODERN and not text then text = discover() end
  end
  local result = text and json.decode(text)
  if type(result) == "table" and result.supportedVersions then
    for _, version in ipairs(result.supportedVersions) do
      if version == MODERN then
        c.server = (result._meta or {})[META .. "serverInfo"] or {}
        c.capabilities, c.instructions = result.capabilities or {}, result.instructions
        if (c.o.on_change or c.o.on_update) and tells_changes(c) then listen(c) end
        return
      end
    end
  end
  c.version, c.wire.version = NEWEST_LEGACY, nil
  local function initialize()
    return request(c, "initialize", { protocolVersion = NEWEST_LEGACY, capabilities = capabilities(c),
      clientInfo = client_info() })
  end
  local fine, init = pcall(initialize)
  -- Servers of the older HTTP transport take no messages at the address of their stream.
  local status = not fine and c.wire.refused or 0
  if status >= 400 and status < 500 and status ~= 401 and status ~= 403 then
    c.wire.close()
    c.wire = require("lm.mcp_sse").open(c.o.command, c.listener, { headers = c.o.headers, oauth = c.oauth })
    init = initialize()
  elseif not fine then
    error(init, 0)
  end
  c.version, c.server = init.protocolVersion, init.serverInfo or {}
  c.wire.version = c.version
  c.capabilities, c.instructions = init.capabilities or {}, init.instructions
  c.wire.notify("notifications/initialized", "{}")
  if c.wire.listen then c.wire.listen() end
end

local function words_of(command)
  if type(command) == "table" then return command end
  local words, hidden = {}, command:gsub('"([^"]*)"', function(inner) return (inner:gsub("%s", "\1")) end)
  for word in hidden:gmatch("%S+") do words[#words + 1] = (word:gsub("\1", " ")) end
  return words
end

--- Connects; see lm.mcp.connect.
--- @param o table
--- @return table connection
function M.connect(o)
  local c = setmetatable({ o = o, progress = {}, server = {}, uris = {} }, meta)
  local function listener(wire, method, params, id) on_message(c, wire, method, params, id) end
  if type(o.command) == "string" and o.command:find("^https?://") then
    c.listener, c.oauth = listener, require("lm.mcp_oauth").new(o.command, o.oauth)
    c.wire = wires.http(o.command, listener, { headers = o.headers, oauth = c.oauth, schema_of = function(name)
      for _, tool in ipairs(c.known_tools or {}) do
        if tool.name == name then return tool.params end
      end
    end })
  else
    c.wire = wires.process(words_of(o.command), listener)
  end
  local fine, e = pcall(negotiate, c)
  if not fine then
    c.wire.close()
    error(e, 0)
  end
  return c
end

return M
