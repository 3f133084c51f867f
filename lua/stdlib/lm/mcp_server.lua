--- Answers the requests that an MCP server hands to Lua: calls of tools, resources, prompts, completion.

local engine = require("lm.engine.mcp")
local errors = require("lm.errors")
local json = require("lm.json")
local offer = require("lm.mcp_offer")
local tool_call = require("lm.tool_call")
local tools = require("lm.tool")

local M = {}

local INVALID_PARAMS, RESOURCE_NOT_FOUND, MISSING_CAPABILITY = -32602, -32002, -32021

local content_meta = { __name = "lm.McpContent" }

--- Marks a list of content blocks, so that a tool's result goes out as it is.
--- @param blocks table[]  {type = "text", text =}, {type = "image", data =, mimeType =} ...
--- @return table
function M.content(blocks)
  return setmetatable(json.array(blocks), content_meta)
end

local function refuse(code, message, data)
  error({ rpc_code = code, message = message, data = data }, 0)
end

-- What clients sent in earlier rounds of a call that needs their input, behind a word that cannot be guessed: it
-- stands for the state, so that nobody can change it. Newest revision only.
local rounds, round_order = {}, {}
local MOST_ROUNDS = 1000

local function keep_round(state)
  local word = require("lm.engine.tools").new_id() .. require("lm.engine.tools").new_id():sub(6)
  rounds[word] = state
  round_order[#round_order + 1] = word
  if #round_order > MOST_ROUNDS then rounds[table.remove(round_order, 1)] = nil end
  return word
end

-- The subject of a call: answers to earlier rounds belong to the same request only.
local function subject(info, params)
  return info.method .. "\0" .. (params.name or params.uri or "") .. "\0" .. json.encode(params.arguments or {})
end

local function earlier_answers(info, params)
  local answers = {}
  if params.requestState ~= nil then
    local state = rounds[params.requestState]
    if not state or state.subject ~= subject(info, params) then
      refuse(INVALID_PARAMS, "the requestState is not one that this server gave for this request")
    end
    for key, value in pairs(state.answers) do answers[key] = value end
  end
  if params.inputResponses ~= nil then
    if type(params.inputResponses) ~= "table" then refuse(INVALID_PARAMS, "inputResponses is no object") end
    for key, value in pairs(params.inputResponses) do answers[key] = value end
  end
  return answers
end

local context_methods = {}
local context_meta = { __index = context_methods }

local capability_of = { ["sampling/createMessage"] = "sampling", ["elicitation/create"] = "elicitation",
  ["roots/list"] = "roots" }

local function check_capability(context, method)
  local capability = capability_of[method]
  if not capability or context.capabilities[capability] ~= nil then return end
  if context.info.modern then
    refuse(MISSING_CAPABILITY, ("this needs a client with the capability %s"):format(capability),
      { requiredCapabilities = { [capability] = json.object({}, {}) } })
  end
  errors.raise("unsupported", ("the client cannot do %s"):format(method))
end

-- Whether an answer is one to this question; what is none is asked for again.
local function answers_to(question, answer)
  if type(answer) ~= "table" then return false end
  if question.method == "roots/list" then return type(answer.roots) == "table" end
  if question.method == "sampling/createMessage" then return answer.content ~= nil and answer.role ~= nil end
  if answer.action ~= "accept" then return answer.action == "decline" or answer.action == "cancel" end
  local schema = question.params.requestedSchema
  if not schema then return true end
  local content = answer.content or json.object({}, {})
  return json.validate(json.encode(next(content) and content or json.object({}, {})), json.encode(schema)) == true
end

--- Asks the client several things. In the newest revision the call ends here and comes again with the answers, so what
--- a tool does before should do no harm twice.
--- @param questions table  by keys of one's own: {method =, params =}
--- @return table results  by the same keys
function context_methods:ask_all(questions)
  for _, question in pairs(questions) do check_capability(self, question.method) end
  local results, missing = {}, {}
  for key, question in pairs(questions) do
    question.params = question.params or json.object({}, {})
    if not self.info.modern then
      local result, _, message = engine.ask(self.call, question.method, json.encode(question.params))
      if not result then errors.raise("denied", message) end
      results[key] = json.decode(result)
    elseif answers_to(question, self.answers[key]) then
      results[key] = self.answers[key]
    else
      missing[key] = question
    end
  end
  if next(missing) then error({ input_required = missing }, 0) end
  return results
end

--- Asks the client one thing: "elicitation/create", "sampling/createMessage" or "roots/list".
--- @param method string
--- @param params? table
--- @param key? string  what the question is called, where the tool asks several
--- @return table result
function context_methods:ask(method, params, key)
  self.asked = self.asked + 1
  key = key or "input_" .. self.asked
  return self:ask_all({ [key] = { method = method, params = params } })[key]
end

--- Tells the client something for its log.
--- @param level string
--- @param data any
--- @param logger? string
function context_methods:log(level, data, logger)
  engine.log(self.call, level, logger or "", json.encode(data))
end

local function context_of(call, info, params)
  local context = setmetatable({
    call = call, info = info, asked = 0, answers = earlier_answers(info, params),
    capabilities = json.decode(info.capabilities) or {},
  }, context_meta)
  context.is_cancelled = function() return engine.cancelled(call) end
  context.on_progress = function(fraction, message) engine.progress(call, fraction, 1, message or "") end
  context.passes = function(e) return type(e) == "table" and (e.input_required or e.rpc_code) end
  context.mcp = context
  return context
end

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

local function input_required(context, info, params, asked)
  return { resultType = "input_required", inputRequests = asked,
    requestState = keep_round({ subject = subject(info, params), answers = context.answers }) }
end

local function answer(server, call)
  local info = engine.call_info(call)
  local params = json.decode(info.params)
  local fine, context = pcall(context_of, call, info, params)
  if not fine then
    engine.fail(call, context.rpc_code or -32603, context.message or tostring(context))
    return
  end
  local ok, result = xpcall(handlers[info.method], function(e)
    return context.passes(e) and e or errors.wrap(e)
  end, server, context, params)
  if ok then
    engine.respond(call, json.encode(result))
  elseif result.input_required then
    engine.respond(call, json.encode(input_required(context, info, params, result.input_required)))
  elseif result.rpc_code then
    engine.fail(call, result.rpc_code, result.message, result.data and json.encode(result.data))
  else
    engine.fail(call, -32603, tostring(result.message))
  end
end

local server_methods = {}
local server_meta = { __index = server_methods, __name = "lm.McpServing" }

function server_meta.__tostring(server)
  return ("MCP server %s  %d tools  %s"):format(server.name, #server.entries, server.where or "")
end

-- Tells the engine what is offered now; clients hear of it when it is something else than before.
function server_methods.refresh(server)
  server.by_name, server.entries = offer.tools(server.only)
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
  local server = setmetatable({ name = o.name, only = o.tools, by_name = {}, entries = {} }, server_meta)
  server.handle = engine.server({ name = o.name, title = o.title, version = require("lm.host").version,
    instructions = o.instructions }, function(call) answer(server, call) end)
  local function refresh() server:refresh() end
  table.insert(tools.on_change, refresh)
  table.insert(offer.on_change, refresh)
  server:refresh()
  return server
end

return M
