--- What a request of an MCP client lets a tool do: ask the client, log, go on as a task.

local engine = require("lm.engine.mcp")
local errors = require("lm.errors")
local json = require("lm.json")
local mcp_tasks = require("lm.mcp_tasks")

local M = {}

local INVALID_PARAMS, MISSING_CAPABILITY = -32602, -32021

--- Raises what goes out as an error of the protocol.
--- @param code integer
--- @param message string
--- @param data? table
function M.refuse(code, message, data)
  error({ rpc_code = code, message = message, data = data }, 0)
end
local refuse = M.refuse

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

-- The subject of a call: answers to earlier rounds belong to the same request of the same client only.
local function subject(info, params)
  return table.concat({ info.principal, info.method, params.name or params.uri or "",
    json.encode(params.arguments or {}) }, "\0")
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

--- Asks the client several things. In the newest revision, outside of tasks, the call ends here and comes again with
--- the answers, so what a tool does before should do no harm twice.
--- @param questions table  by keys of one's own: {method =, params =}
--- @return table results  by the same keys
function context_methods:ask_all(questions)
  for _, question in pairs(questions) do check_capability(self, question.method) end
  if self.task then return mcp_tasks.ask(self, questions, answers_to) end
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

--- Ends the request now and goes on as a task, which the client asks for until it has ended; questions to the client
--- then wait for their answers. Newest revision only, and clients that know tasks.
--- @param required? boolean  refuse clients that do not know tasks, instead of going on with the request
--- @return boolean is_task
function context_methods:as_task(required)
  if self.task then return true end
  if mcp_tasks.can(self) then
    mcp_tasks.begin(self)
    return true
  end
  if required then
    refuse(MISSING_CAPABILITY, "this tool needs a client that knows the tasks extension",
      { requiredCapabilities = { extensions = { [mcp_tasks.EXTENSION] = json.object({}, {}) } } })
  end
  return false
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

-- Who asks, as a token said.
local function principal_of(info)
  local claims = info.claims ~= "" and json.decode(info.claims)
  if not claims then return nil end
  return { subject = claims.sub, client = claims.client_id or claims.azp,
    scopes = require("lm.mcp_tokens").scopes_of(claims), claims = claims }
end

--- Makes the context of a request.
--- @param server table
--- @param call userdata
--- @param info table
--- @param params table
--- @return table context
function M.new(server, call, info, params)
  local context = setmetatable({
    server = server, call = call, info = info, params = params, asked = 0, answers = earlier_answers(info, params),
    capabilities = json.decode(info.capabilities) or {}, principal = principal_of(info),
  }, context_meta)
  context.is_cancelled = function()
    if context.task then return engine.task_over(server.handle, context.task) end
    return engine.cancelled(call)
  end
  context.on_progress = function(fraction, message)
    if context.task then return engine.task_set(server.handle, context.task, "working", message or "") end
    engine.progress(call, fraction, 1, message or "")
  end
  context.sleep = function(seconds) mcp_tasks.sleep(context, seconds) end
  context.passes = function(e) return type(e) == "table" and (e.input_required or e.rpc_code) end
  context.mcp = context
  return context
end

--- The answer to a request whose client is to be asked first.
--- @param context table
--- @param questions table
--- @return table result
function M.input_required(context, questions)
  return { resultType = "input_required", inputRequests = questions,
    requestState = keep_round({ subject = subject(context.info, context.params), answers = context.answers }) }
end

return M
