--- Requests that may go on as tasks (the tasks extension of MCP 2026-07-28): each runs as a coroutine, which sleeps
--- while its client is to answer, so that others go on.

local engine = require("lm.engine.mcp")
local errors = require("lm.errors")
local host = require("lm.host")
local json = require("lm.json")
local tool_call = require("lm.tool_call")

local M = { EXTENSION = "io.modelcontextprotocol/tasks" }

local POLL_MS = 500

-- What waits: by task id for the client's answers, by number for the clock.
local waiting, alarms, next_alarm = {}, {}, 0

--- Whether this request may become a task.
--- @param context table
--- @return boolean
function M.can(context)
  local extensions = context.capabilities.extensions
  return context.info.modern and context.thread ~= nil and coroutine.running() == context.thread
    and type(extensions) == "table" and extensions[M.EXTENSION] ~= nil
end

-- Goes on with a coroutine until it sleeps or has ended.
local function go_on(context)
  local alive, result, e = tool_call.resume(context.thread)
  if not alive then
    M.finish(context, nil, { code = -32603, message = tostring(errors.wrap(result).message) })
  elseif coroutine.status(context.thread) == "dead" then
    M.finish(context, result, e)
  end
end

--- Answers the request, or ends its task.
--- @param context table
--- @param result? table
--- @param e? table  {code, message, data}
function M.finish(context, result, e)
  if not context.task then return context.respond(result, e) end
  if result then
    engine.task_set(context.server.handle, context.task, "completed", json.encode(result))
  else
    engine.task_set(context.server.handle, context.task, "failed", e.code, e.message, e.data and json.encode(e.data))
  end
end

--- Runs a request.
--- @param context table
--- @param work fun(): table?, table?  its result, or nil and {code, message, data}
--- @param respond fun(result?: table, e?: table)
function M.run(context, work, respond)
  context.respond = respond
  context.thread = coroutine.create(work)
  go_on(context)
end

local alarm = engine.alarm(function(name)
  local context = alarms[name]
  alarms[name] = nil
  go_on(context)
end)

--- Lets others go on for a while.
--- @param context table
--- @param seconds number
function M.sleep(context, seconds)
  local deadline = host.now() + seconds
  if coroutine.running() ~= context.thread then
    while host.now() < deadline do host.pump() end
    return
  end
  -- In short steps: a task that is given up should end soon.
  repeat
    next_alarm = next_alarm + 1
    alarms[tostring(next_alarm)] = context
    engine.ring(alarm, math.max(0, math.min(0.1, deadline - host.now())), tostring(next_alarm))
    coroutine.yield()
    if context.is_cancelled() then errors.raise("interrupted", "the call was cancelled") end
  until host.now() >= deadline
end

--- Answers the request with a task that goes on.
--- @param context table
function M.begin(context)
  local text = engine.task_create(context.server.handle, context.call, context.server.task_ttl * 1000, POLL_MS)
  local task = json.decode(text)
  task.resultType = "task"
  context.respond(task)
  context.task = task.taskId
  -- The client has its answer before the work begins.
  M.sleep(context, 0)
end

--- Called when a client has answered or given up a task.
--- @param id string
function M.news(id)
  local context = waiting[id]
  waiting[id] = nil
  if context then go_on(context) end
end

-- Waits until the task's client has said something.
local function wait_for_news(context)
  if coroutine.running() ~= context.thread then return host.pump() end
  waiting[context.task] = context
  coroutine.yield()
end

--- Asks the client of a task.
--- @param context table
--- @param questions table  by keys
--- @param fits fun(question: table, answer: any): boolean
--- @return table results
function M.ask(context, questions, fits)
  local results, open, names = {}, {}, {}
  local function put(key, question)
    context.keys = (context.keys or 0) + 1  -- no key comes twice in a task's life
    local name = ("%s_%d"):format(key, context.keys)
    names[name], open[name] = key, { method = question.method, params = question.params or json.object({}, {}) }
  end
  for key, question in pairs(questions) do put(key, question) end
  local task, server = context.task, context.server.handle
  while next(open) do
    engine.task_set(server, task, "input_required", json.encode(open))
    local left = 0
    for _ in pairs(open) do left = left + 1 end
    open = {}
    while left > 0 do
      if context.is_cancelled() then errors.raise("interrupted", "the task was given up") end
      for name, answer in pairs(json.decode(engine.task_answers(server, task))) do
        local key = names[name]
        left = left - 1
        if fits(questions[key], answer) then results[key] = answer else put(key, questions[key]) end
      end
      if left > 0 then wait_for_news(context) end
    end
  end
  return results
end

return M
