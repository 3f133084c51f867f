--- Agents: a model that works on a task with tools until it is done.

local define = require("lm.define")
local errors = require("lm.errors")
local host = require("lm.host")
local json = require("lm.json")
local loop = require("lm.agent_loop")
local sampling = require("lm.sampling")
local text = require("lm.text")
local tools_module = require("lm.tool")

local M = {}

local methods = {}
local meta = { __index = methods, __name = "lm.Agent" }

function meta.__tostring(agent)
  local names = {}
  for i, tool in ipairs(tools_module.resolve(agent.tools)) do names[i] = tool.name end
  return ("Agent %s  tools: %s"):format(agent.name, #names > 0 and table.concat(names, ", ") or "none")
end

local MOST_HANDOFFS = 10

local result_meta = { __name = "lm.AgentResult" }
function result_meta.__tostring(result) return result.text end
function result_meta.__concat(a, b) return tostring(a) .. tostring(b) end

-- Agents as tools: hand-offs end this agent's work, managed agents give their answer back.
local function handoff_tool(agent)
  return tools_module.foreign{
    name = "transfer_to_" .. agent.name:gsub("[^%w_-]", "_"),
    doc = ("Hands the conversation over to %s. %s"):format(agent.name, agent.description or ""),
    params = { type = "object", properties = json.object({}, {}), additionalProperties = false },
    run = function() return agent.name end, handoff = agent,
  }
end

--- Makes the agent a tool that others may call: it works on a task and gives its answer back.
--- ```lua norun
--- helper:as_tool{ doc = "Looks things up." }
--- ```
methods.as_tool = define("Agent:as_tool", {
  options = {
    { name = "name", type = "string", min = 1, doc = "the tool's name", default_text = "the agent's" },
    { name = "doc", type = "string", doc = "what it is good for", default_text = "the agent's description" },
  },
  returns = "lm.Tool",
}, function(self, o)
  return tools_module.foreign{
    name = o.name or self.name, doc = o.doc or self.description or ("Asks the agent %s."):format(self.name),
    params = { type = "object", required = json.array{ "task" }, additionalProperties = false,
      properties = { task = { type = "string", description = "what to do, with all that must be known" } } },
    run = function(arguments) return self:run(arguments.task).text end,
  }
end)

local function tools_of(agent)
  local list = tools_module.resolve(agent.tools)
  for _, other in ipairs(agent.handoffs or {}) do list[#list + 1] = handoff_tool(other) end
  return list
end

local function start_messages(agent, task)
  local messages = {}
  local instructions = agent.instructions
  if type(instructions) == "function" then instructions = instructions(task) end
  if not instructions and #agent.tools > 0 then
    instructions = "Use the functions where they help. When one has given its result, tell the user in plain words."
  end
  if instructions then messages[1] = { role = "system", content = instructions } end
  if agent.memory then
    for _, message in ipairs(agent.memory:recall(task)) do messages[#messages + 1] = message end
  end
  messages[#messages + 1] = { role = "user", content = task }
  return messages
end

-- Small models add members without end where a schema lets them.
local function closed(schema)
  if type(schema) ~= "table" or schema.type ~= "object" or not schema.properties then return schema end
  if schema.additionalProperties ~= nil or schema.allOf or schema.anyOf or schema.oneOf then return schema end
  return loop.flat({ additionalProperties = false }, schema)
end

-- The answer as a value that the schema allows: read from the answer, or asked for once more under the constraint.
local function typed(agent, ask, messages, answer, o)
  local schema = type(agent.output) == "table" and json.encode(closed(agent.output)) or agent.output
  local direct = answer.content ~= "" and json.decode(answer.content) ~= nil
  if direct and json.validate(answer.content, schema) == true then
    return json.decode(answer.content), answer.content
  end
  messages[#messages + 1] = { role = "user", content = "Give your final answer as JSON." }
  for _ = 0, agent.retries do
    local final = ask(messages, {}, loop.flat({ schema = schema, tool_choice = "none" }, o))
    local value = json.decode(final.content)
    if value ~= nil and json.validate(final.content, schema) == true then
      messages[#messages + 1] = final
      return value, final.content
    end
  end
  errors.raise("timeout", "Agent:run: the final answer never came to an end; expected it within max_tokens")
end

-- Asks for another answer when a check refuses one; its words are told to the model.
local function checked(agent, ask, messages, answer, report, o)
  for _ = 1, agent.retries do
    if not agent.check then return answer, report end
    local fine, why = agent.check(answer.content)
    if fine then return answer, report end
    messages[#messages + 1] = { role = "user",
      content = ("This answer is not acceptable: %s. Try again."):format(tostring(why or "it failed a check")) }
    answer, report = loop.run(ask, messages, function() return tools_of(agent) end, o)
  end
  return answer, report
end

local function run_options(agent, o)
  local options = loop.flat({}, agent.options)
  for _, key in ipairs({ "max_steps", "on_step", "approve", "budget" }) do
    options[key] = o[key] == nil and agent[key] or o[key]
  end
  options.on_event, options.journal = o.on_event, o.journal
  return options
end

local function show_step(record)
  if not host.is_tty() or not require("lm.live").wanted() then return end
  for i, call in ipairs(record.message.tool_calls or {}) do
    host.write(("  %s(%s) -> %s\n"):format(call["function"].name, text.clip(call["function"].arguments, 60),
      text.clip(text.lines(record.results[i].text)[1] or "", 60)))
  end
end

local styles = {
  native = function(agent, ask, messages, o)
    return loop.run(ask, messages, function() return tools_of(agent) end, o)
  end,
  react = function(agent, ask, messages, o) return require("lm.agent_react").run(agent, ask, messages, o) end,
  code = function(agent, ask, messages, o) return require("lm.agent_code").run(agent, ask, messages, o) end,
}

local function work(agent, task, o)
  local options = run_options(agent, o)
  local given = options.on_step
  options.on_step = function(record)
    show_step(record)
    if given then return given(record) end
  end
  local ask = loop.backend(agent.model, { context = agent.context })
  local messages = o.messages or start_messages(agent, task)
  local handed = 0
  local current = agent
  local answer, report = styles[current.style](current, ask, messages, options)
  while report.handoff do
    handed = handed + 1
    if handed > MOST_HANDOFFS then
      errors.raise("timeout", ("Agent:run: handed over %d times without an answer"):format(handed - 1))
    end
    current = report.handoff
    if current.instructions and messages[1].role == "system" then messages[1].content = current.instructions end
    ask = loop.backend(current.model, { context = current.context })
    answer, report = styles[current.style](current, ask, messages, options)
  end
  if report.stopped and (answer.content or "") == "" then loop.raise_stopped("Agent:run", report) end
  answer, report = checked(current, ask, messages, answer, report, options)
  local result = { text = answer.content, messages = messages, steps = report.steps, usage = report.usage,
    stopped = report.stopped, agent = current.name }
  if current.output then result.value, result.text = typed(current, ask, messages, answer, options) end
  if agent.memory then agent.memory:remember(task, result.text) end
  return setmetatable(result, result_meta)
end

--- Works on a task and returns the answer.
---
--- The result shows as its text; `value` is the answer as a table when the agent has an `output` schema; `steps` tells
--- what was called and what came back. With `journal`, a file, every answer and every result of a tool is written down
--- before the next step; the same call again goes on where it stopped, and no tool is called twice.
--- ```lua norun
--- a:run "What is 123 * 456?"
--- ```
methods.run = define("Agent:run", {
  positional = { "task" },
  options = {
    { name = "task", type = "string", required = true, doc = "what to do" },
    { name = "max_steps", type = "integer", min = 1, doc = "answers at most", default_text = "the agent's" },
    { name = "journal", type = "string", min = 1, kind = "file", doc = "where to write down what was done" },
    { name = "on_step", type = "function", doc = "called after each step with {n, message, results}; false stops" },
    { name = "on_event", type = "function", doc = "called with each piece: {kind, text, name, index}" },
    { name = "approve", type = "function", doc = "approve{tool, name, arguments} -> allowed, why not" },
    { name = "budget", type = "table", check = loop.check_budget, doc = "{tokens =, seconds =}" },
  },
  returns = "lm.AgentResult",
}, function(self, o)
  o.journal = o.journal and require("lm.agent_journal").open(o.journal, self.name, o.task)
  local result = work(self, o.task, o)
  return result
end)

--- Starts a conversation with the agent.
--- ```lua norun
--- c = a:chat()
--- c:say "Hello"
--- ```
methods.chat = define("Agent:chat", { options = {}, returns = "lm.AgentChat" }, function(self)
  local chat = { agent = self, messages = {} }
  function chat.say(c, content)
    local messages = c.messages
    if #messages == 0 then
      for _, message in ipairs(start_messages(self, content)) do messages[#messages + 1] = message end
    else
      messages[#messages + 1] = { role = "user", content = content }
    end
    return work(self, content, { messages = messages }).text
  end
  return chat
end)

--- Makes an agent.
---
--- `tools` are functions with a comment, names of tools, or tools; they are looked at anew before every step, so that a
--- function defined anew at the prompt takes part at once. `style` says how the model works: `native` calls as it was
--- taught, `react` writes thoughts and actions, `code` writes Lua that calls the tools.
--- ```lua norun
--- a = lm.agent{ tools = { add }, instructions = "Use the tools." }
--- a:run "What is 2 + 3?"
--- ```
M.agent = define("lm.agent", {
  options = sampling.with(
    { name = "model", type = "userdata|string|table", class = "lm.Model", kind = "model",
      doc = "a loaded model, a name to load, or what lm.remote made", default_text = "the current model" },
    { name = "name", type = "string", default = "agent", min = 1, doc = "for hand-offs and journals" },
    { name = "description", type = "string", doc = "what it is good for; other agents read this" },
    { name = "instructions", type = "string|function", doc = "the system prompt, or a function of the task" },
    { name = "tools", type = "array", default = {}, doc = "functions, names or tools" },
    { name = "style", type = "string", enum = { "native", "react", "code" }, default = "native",
      doc = "how it calls tools" },
    { name = "max_steps", type = "integer", default = 10, min = 1, max = 1000, doc = "answers at most" },
    { name = "tool_choice", type = "string", default = "auto",
      doc = '"auto", "none", "required" or a tool: for the first step' },
    { name = "parallel_tool_calls", type = "boolean", default = true, doc = "several calls in one answer" },
    { name = "constrained", type = "boolean", default = true,
      doc = "hold the model to calls that are well formed and fit the tools' schemas" },
    { name = "output", type = "string|table", doc = "a JSON Schema of the final answer" },
    { name = "check", type = "function", doc = "check(text) -> whether the answer is acceptable, why not" },
    { name = "retries", type = "integer", default = 2, min = 0, doc = "further tries when `check` refuses an answer" },
    { name = "memory", type = "integer|string|table", min = 1, enum = { "summary" },
      doc = "how many earlier tasks and answers it remembers; \"summary\": the last ones, and what the model says in "
        .. "short of those before; or an object with recall(task) -> messages and remember(task, answer)" },
    { name = "handoffs", type = "array", doc = "agents that this one may hand the conversation over to" },
    { name = "on_step", type = "function", doc = "called after each step with {n, message, results}; false stops" },
    { name = "approve", type = "function", doc = "approve{tool, name, arguments} -> allowed, why not" },
    { name = "budget", type = "table", check = loop.check_budget, doc = "{tokens =, seconds =} at most" },
    { name = "context", type = "integer", min = 1, doc = "tokens that the conversation may take",
      default_text = "what the model was made for" }),
  returns = "lm.Agent",
}, function(o)
  local agent = { options = sampling.complete(o) }
  for _, key in ipairs({ "name", "description", "instructions", "tools", "style", "max_steps", "output", "check",
    "retries", "memory", "handoffs", "on_step", "approve", "budget", "context" }) do
    agent[key] = o[key]
  end
  if type(o.memory) == "number" then agent.memory = require("lm.agent_memory").window(o.memory) end
  if o.memory == "summary" then
    agent.memory = require("lm.agent_memory").summary(function(messages, tools, more)
      local ask = loop.backend(agent.model, { context = agent.context })
      return (ask(messages, tools, loop.flat(more, loop.flat({ tool_choice = "none" }, agent.options))))
    end)
  end
  for _, key in ipairs({ "tool_choice", "parallel_tool_calls", "constrained" }) do agent.options[key] = o[key] end
  agent.model = type(o.model) == "table" and o.model or require("lm.model").of(o.model)
  tools_module.resolve(agent.tools)  -- mistakes show now
  for i, other in ipairs(o.handoffs or {}) do
    if getmetatable(other) ~= meta then
      errors.raise("bad_option", ("lm.agent: handoffs[%d] is no agent; expected what lm.agent makes"):format(i))
    end
  end
  return setmetatable(agent, meta)
end)

return M
