--- The loop of an agent: answer, run calls, answer again. Without state of its own, so that conversations and agents
--- share it.

local errors = require("lm.errors")
local host = require("lm.host")
local json = require("lm.json")
local text = require("lm.text")
local tool_call = require("lm.tool_call")

local M = {}

--- Answers with what can be asked: a loaded model, or an object with a method `turn` such as lm.remote makes.
--- @param model any
--- @param o table  {context}
--- @return fun(messages: table[], tools: table[], o: table, on_event: function): table, table
function M.backend(model, o)
  if type(model) == "table" and model.turn then
    return function(messages, tools, options, on_event) return model:turn(messages, tools, options, on_event) end
  end
  local context = o.engine_context or require("lm.engine.generate").context(model, o.context or 0)
  return function(messages, tools, options, on_event)
    return require("lm.tool_chat").turn(model, context, messages, tools, options, on_event)
  end
end

--- What a model is told that must come to an end.
M.ANSWER_NOW = "Now answer in plain words."
--- A regular expression for that answer: what would go on calling begins with a bracket, a fence or a tag.
M.PLAIN_WORDS = "[^{`\\[<\\s][\\s\\S]*"

local function find(tools, name)
  for _, tool in ipairs(tools) do
    if tool.name == name then return tool end
  end
end

local function unknown_tool(tools, name)
  local names = {}
  for i, tool in ipairs(tools) do names[i] = tool.name end
  local near = text.nearest(name, names)
  return ("Error: there is no tool %s; %s"):format(text.quote(name),
    near and ("did you mean %s?"):format(near) or "there are " .. table.concat(names, ", "))
end

-- Runs one call, or tells why not.
local function perform(call, tools, o)
  local name, arguments = call["function"].name, call["function"].arguments
  if call.complete == false then return { text = "Error: the call broke off before its end", error = "broken off" } end
  local tool = find(tools, name)
  if not tool then return { text = unknown_tool(tools, name), error = "unknown tool" } end
  if o.approve then
    local allowed, why = o.approve({ tool = tool, name = name, arguments = json.decode(arguments) or {} })
    if not allowed then
      local message = "Error: the call was not approved" .. (why and ": " .. tostring(why) or "")
      return { text = message, error = message }
    end
  end
  local outcome = tool_call.run(tool, arguments, o.call_context)
  outcome.handoff = tool.handoff
  return outcome
end

local function call_key(call) return call["function"].name .. "\0" .. call["function"].arguments end

-- The same call twice in one answer is done once.
local function without_repeats(calls)
  local kept, seen = json.array(), {}
  for _, call in ipairs(calls) do
    if not seen[call_key(call)] then
      seen[call_key(call)] = true
      kept[#kept + 1] = call
    end
  end
  return kept
end

-- Whether all calls were made before with the same arguments and the same results are known.
local function all_known(calls, known)
  for _, call in ipairs(calls) do
    if not known[call_key(call)] then return false end
  end
  return true
end

--- Puts what a style has to tell the model into its instructions.
--- @param messages table[]
--- @param told string
function M.instruct(messages, told)
  if messages[1].role == "system" then
    messages[1].content = messages[1].content .. "\n\n" .. told
  else
    table.insert(messages, 1, { role = "system", content = told })
  end
end

--- Counts the tokens of one more answer.
--- @param usage table  {prompt_tokens, completion_tokens}
--- @param stats table  of the answer
function M.add_usage(usage, stats)
  usage.prompt_tokens = usage.prompt_tokens + (stats.prompt_tokens or 0)
  usage.completion_tokens = usage.completion_tokens + (stats.completion_tokens or 0)
end

local function over_budget(o, usage, start)
  local budget = o.budget or {}
  if budget.tokens and usage.prompt_tokens + usage.completion_tokens >= budget.tokens then return "tokens" end
  if budget.seconds and host.now() - start >= budget.seconds then return "seconds" end
  if budget.cost and o.cost and o.cost(usage) >= budget.cost then return "cost" end
end

--- Goes on with a conversation until an answer calls no tool. `messages` grows by all that is said.
--- @param ask function  as from `backend`
--- @param messages table[]
--- @param tools table[]|fun(): table[]
--- @param o table  sampling options; max_steps, approve, on_step, on_event, journal, budget
--- @return table answer  the last message
--- @return table report  {steps, usage, stopped}; stopped says why no answer came: "max_steps", "budget: tokens" ...
function M.run(ask, messages, tools, o)
  local usage, steps, known, start = { prompt_tokens = 0, completion_tokens = 0 }, {}, {}, host.now()
  local answer, stopped, final = nil, nil, false
  for n = 1, o.max_steps do
    local options = o
    local list = type(tools) == "function" and tools() or tools
    local asked = messages
    if final or n == o.max_steps then  -- it must come to an end now
      options = M.flat({ tool_choice = "none" }, o)
      if n > 1 then
        list, asked = {}, { unpack(messages) }
        asked[#asked + 1] = { role = "user", content = M.ANSWER_NOW }
        options.regex = M.PLAIN_WORDS
      end
    elseif n > 1 and o.tool_choice and o.tool_choice ~= "none" then
      options = M.flat({ tool_choice = "auto" }, o)  -- what was asked for has been done
    end
    local stats
    local step = o.journal and o.journal:answer(n)
    if step then
      answer, stats = step.message, step.stats
    else
      answer, stats = ask(asked, list, options, o.on_event)
      if answer.tool_calls then answer.tool_calls = without_repeats(answer.tool_calls) end
      if o.journal then o.journal:keep_answer(n, answer, stats) end
    end
    M.add_usage(usage, stats)
    messages[#messages + 1] = answer
    local record = { n = n, message = answer, results = {} }
    steps[#steps + 1] = record
    if not answer.tool_calls then
      if o.on_step then o.on_step(record) end
      return answer, { steps = steps, usage = usage }
    end
    if final then
      stopped = "it asks for what it was told already"
      break
    end
    local repeated = all_known(answer.tool_calls, known)
    for i, call in ipairs(answer.tool_calls) do
      local outcome = o.journal and o.journal:result(n, i)
      if not outcome then
        if o.journal then o.journal:begin_result(n, i, call) end
        outcome = perform(call, list, o)
        if o.journal then o.journal:keep_result(n, i, outcome) end
      end
      known[call_key(call)] = true
      record.results[i] = outcome
      -- A bare number says too little to small models.
      local bare = type(outcome.value) == "number" or type(outcome.value) == "boolean"
      messages[#messages + 1] = { role = "tool", name = call["function"].name, tool_call_id = call.id,
        content = bare and json.encode{ result = outcome.value } or outcome.text }
      if outcome.handoff then record.handoff = outcome.handoff end
    end
    if o.on_step and o.on_step(record) == false then
      stopped = "on_step"
      break
    end
    if record.handoff then return answer, { steps = steps, usage = usage, handoff = record.handoff } end
    local over = over_budget(o, usage, start)
    if over then
      stopped = "budget: " .. over
      break
    end
    -- A model that asks for what it has been told goes round in circles.
    final = repeated
  end
  return answer, { steps = steps, usage = usage, stopped = stopped or "max_steps" }
end

--- Options with some replaced.
--- @param changes table
--- @param o table
--- @return table
function M.flat(changes, o)
  local out = {}
  for key, value in pairs(o) do out[key] = value end
  for key, value in pairs(changes) do out[key] = value end
  return out
end

--- Checks that budgets are what they should be.
--- @param budget table
--- @return string? problem
function M.check_budget(budget)
  for key, value in pairs(budget) do
    if key ~= "tokens" and key ~= "seconds" and key ~= "cost" then
      return ("has a field %s; expected tokens, seconds, cost"):format(text.quote(tostring(key)))
    end
    if type(value) ~= "number" or value <= 0 then return key .. " is not a number above 0" end
  end
end

--- Raises what a run without an answer means.
--- @param name string
--- @param report table
function M.raise_stopped(name, report)
  errors.raise("timeout", ("%s: no answer after %d steps (%s)"):format(name, #report.steps, report.stopped))
end

return M
