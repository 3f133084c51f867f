--- Answers the requests that an MCP server hands to Lua: calls of tools, resources, prompts, completion.

local engine = require("lm.engine.mcp")
local errors = require("lm.errors")
local json = require("lm.json")
local mcp_context = require("lm.mcp_context")
local mcp_tasks = require("lm.mcp_tasks")
local offer = require("lm.mcp_offer")
local tool_call = require("lm.tool_call")
local tools = require("lm.tool")

local M = {}

local INVALID_PARAMS, RESOURCE_NOT_FOUND = -32602, -32002

local content_meta = { __name = "lm.McpContent" }

--- Marks a list of content blocks, so that a tool's result goes out as it is.
--- @param blocks table[]  {type = "text", text =}, {type = "image", data =, mimeType =} ...
--- @return table
function M.content(blocks)
  return setmetatable(json.array(blocks), content_meta)
end

local refuse = mcp_context.refuse

local function text_block(s) return { type = "text", text = s } end

local function tool_result(tool, outcome)
  if outcome.error then return { content = json.array{ text_block(outcome.error) }, isError = true } end
  if getmetatable(outcome.value) == content_meta then return { content = json.array{ unpack(outcome.value) } } end
  local result = { content = json.array{ text_block(outcome.text) } }
  local schema, wrapped = offer.result_schema(tool)
  if schema then
    local value = outcome.value == nil and json.null or outcome.value
    result.structuredContent = wrapped and { result = value } or value
  end
  return result
end

local handlers = {}

handlers["tools/call"] = function(server, context, params)
  local tool = server.by_name[params.name]
  if not tool then refuse(INVALID_PARAMS, ("Unknown tool: %s"):format(params.name)) end
  if tool.task then context:as_task(tool.task == "required") end
  local arguments = params.arguments == nil and "{}" or json.encode(params.arguments)
  if type(params.arguments) == "table" and next(params.arguments) == nil then arguments = "{}" end
  return tool_result(tool, tool_call.run(tool, arguments, context))
end

handlers["resources/read"] = function(_, context, params)
  local resource, variables = offer.find_resource(params.uri)
  if not resource then
    refuse(context.info.modern and INVALID_PARAMS or RESOURCE_NOT_FOUND, "Resource not found", { uri = params.uri })
  end
  local body, binary = resource.text, resource.data
  if resource.read then
    local value, is_binary = resource.read(params.uri, variables)
    if type(value) == "table" then value = json.encode(value) end
    if is_binary then binary = value else body = tostring(value) end
  end
  local entry = { uri = params.uri, mimeType = resource.mime }
  if binary then entry.blob = engine.base64(binary) else entry.text = body end
  local result = { contents = json.array{ entry } }
  if context.info.modern then result.ttlMs, result.cacheScope = 0, "private" end
  return result
end

local function prompt_messages(value)
  if type(value) == "string" then return json.array{ { role = "user", content = text_block(value) } } end
  local messages = json.array()
  for i, message in ipairs(value) do
    local content = message.content
    messages[i] = { role = message.role, content = type(content) == "string" and text_block(content) or content }
  end
  return messages
end

handlers["prompts/get"] = function(_, context, params)
  local prompt = offer.find_prompt(params.name)
  if not prompt then refuse(INVALID_PARAMS, ("Unknown prompt: %s"):format(params.name)) end
  local arguments = params.arguments or {}
  for _, a in ipairs(prompt.arguments or {}) do
    if a.required and arguments[a.name] == nil then
      refuse(INVALID_PARAMS, ("the argument %s is missing"):format(a.name))
    end
  end
  return { description = prompt.doc, messages = prompt_messages(prompt.run(arguments, context)) }
end

handlers["completion/complete"] = function(_, _, params)
  local ref, argument = params.ref, params.argument
  if type(ref) ~= "table" or type(argument) ~= "table" or type(argument.name) ~= "string" then
    refuse(INVALID_PARAMS, "expected ref and argument {name, value}")
  end
  local complete
  if ref.type == "ref/prompt" then
    local prompt = offer.find_prompt(ref.name)
    if not prompt then refuse(INVALID_PARAMS, ("Unknown prompt: %s"):format(tostring(ref.name))) end
    for _, a in ipairs(prompt.arguments or {}) do
      if a.name == argument.name then complete = a.complete end
    end
  else
    local template = offer.find_template(ref.uri or "")
    complete = template and template.complete and template.complete[argument.name]
  end
  local values = json.array()
  if type(complete) == "function" then
    complete = complete(argument.value or "", (params.context or {}).arguments or {})
  end
  for _, value in ipairs(complete or {}) do
    if value:sub(1, #(argument.value or "")) == (argument.value or "") then values[#values + 1] = value end
  end
  local total = #values
  for i = total, 101, -1 do values[i] = nil end
  return { completion = { values = values, total = total, hasMore = total > #values } }
end

-- What a handler returned or raised, as result and nil, or nil and {code, message, data}.
local function outcome_of(context, ok, result)
  if ok then return result end
  if result.input_required then return mcp_context.input_required(context, result.input_required) end
  if result.rpc_code then return nil, { code = result.rpc_code, message = result.message, data = result.data } end
  return nil, { code = -32603, message = tostring(result.message) }
end

local function answer(server, call)
  local info = engine.call_info(call)
  local params = json.decode(info.params)
  local function fail(e) engine.fail(call, e.code, e.message, e.data and json.encode(e.data)) end
  local fine, context = pcall(mcp_context.new, server, call, info, params)
  if not fine then
    return fail({ code = context.rpc_code or -32603, message = context.message or tostring(context) })
  end
  mcp_tasks.run(context, function()
    return outcome_of(context, xpcall(handlers[info.method], function(e)
      return context.passes(e) and e or errors.wrap(e)
    end, server, context, params))
  end, function(result, e)
    if result then engine.respond(call, json.encode(result)) else fail(e) end
  end)
end

local server_methods = {}
local server_meta = { __index = server_methods, __name = "lm.McpServing" }

function server_meta.__tostring(server)
  return ("MCP server %s  %d tools  %s"):format(server.name, #server.entries, server.where or "")
end

-- Tells the engine what is offered now; clients hear of it when it is something else than before.
function server_methods.refresh(server)
  server.by_name, server.entries = offer.tools(server.only)
  local scopes = {}
  for name, tool in pairs(server.by_name) do
    if tool.scopes and #tool.scopes > 0 then scopes[name] = json.array{ unpack(tool.scopes) } end
  end
  engine.set_scopes(server.handle, json.encode(json.object(scopes, {})))
  engine.set_list(server.handle, "tools", json.encode(server.entries))
  for kind, entries in pairs(offer.lists()) do engine.set_list(server.handle, kind, json.encode(entries)) end
end

--- Tells the subscribers of a resource that it has changed.
--- @param uri string
function server_methods.resource_updated(server, uri)
  engine.resource_updated(server.handle, uri)
end

--- Ends the server on its port.
function server_methods.stop(server)
  if server.http then engine.stop_http(server.http) end
  server.http, server.where = nil, "stopped"
end

--- Answers until the process is told to end; for scripts.
function server_methods.wait(_) engine.wait() end

--- Makes a server; a transport is to be added.
--- @param o table  {name, title, version, instructions, tools}
--- @return table server
function M.new(o)
  local server = setmetatable({ name = o.name, only = o.tools, task_ttl = o.task_ttl or 3600, by_name = {},
    entries = {} }, server_meta)
  server.handle = engine.server({ name = o.name, title = o.title, version = require("lm.host").version,
    instructions = o.instructions }, function(call) answer(server, call) end, mcp_tasks.news)
  local function refresh() server:refresh() end
  table.insert(tools.on_change, refresh)
  table.insert(offer.on_change, refresh)
  server:refresh()
  return server
end

return M
