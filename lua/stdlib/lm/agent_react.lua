--- The ReAct style (Yao et al. 2023): thoughts, actions and observations in plain text, for models that were taught no
--- form of calls. A grammar keeps each step in form: a thought, then a call that fits its tool's schema or the answer.

local json = require("lm.json")
local loop = require("lm.agent_loop")
local tool_call = require("lm.tool_call")
local tools_module = require("lm.tool")

local M = {}

local function instructions(tools)
  local lines = { "Answer the question with the help of these tools:", "" }
  for _, tool in ipairs(tools) do
    lines[#lines + 1] = ("%s: %s Arguments: %s"):format(tool.name, tool.doc, tool.params_json)
  end
  lines[#lines + 1] = [[

Write one step at a time, in this form:
Thought: what to do next
Action: the name of a tool
Action Input: its arguments as JSON
After each step you are told the Observation. When you know the answer, write:
Thought: I know the answer
Final Answer: the answer]]
  return table.concat(lines, "\n")
end

local function grammar(tools)
  local ways = {}
  for i, tool in ipairs(tools) do
    ways[i] = ('"Action: %s\\nAction Input: " %%json %s'):format(tool.name, tool.params_json)
  end
  ways[#ways + 1] = '"Final Answer: " [^\\n] %without ("\\nObservation:")'
  return ('root ::= "Thought: " [^\\n]{1,300} "\\n" ( %s )'):format(table.concat(ways, " | "))
end

-- One step as a call or an answer.
local function read(content)
  local name, input = content:match("\nAction: ([^\n]+)\nAction Input: (.*)$")
  if name then return { name = name, input = input } end
  return { answer = content:match("\nFinal Answer: (.*)$") or content }
end

--- Runs an agent in this style; see `agent_loop.run`.
--- @param agent table
--- @param ask function
--- @param messages table[]
--- @param o table
--- @return table answer
--- @return table report
function M.run(agent, ask, messages, o)
  local tools = tools_module.resolve(agent.tools)
  loop.instruct(messages, instructions(tools))
  local usage, steps, rules = { prompt_tokens = 0, completion_tokens = 0 }, {}, grammar(tools)
  for n = 1, o.max_steps do
    local options = loop.flat({ grammar = rules, tool_choice = "none", max_steps = false }, o)
    local message, stats = ask(messages, {}, options, o.on_event)
    loop.add_usage(usage, stats)
    messages[#messages + 1] = message
    local step = read(message.content)
    local record = { n = n, message = message, results = {} }
    steps[n] = record
    if step.answer then
      if o.on_step then o.on_step(record) end
      return { role = "assistant", content = step.answer }, { steps = steps, usage = usage }
    end
    message.tool_calls = json.array{ { id = "", ["function"] = { name = step.name, arguments = step.input } } }
    local outcome = { text = "there is no such tool" }
    for _, tool in ipairs(tools) do
      if tool.name == step.name then
        local allowed = not o.approve
          or o.approve({ tool = tool, name = tool.name, arguments = json.decode(step.input) })
        outcome = allowed and tool_call.run(tool, step.input) or { text = "the call was not approved" }
      end
    end
    record.results[1] = outcome
    if o.on_step and o.on_step(record) == false then break end
    message.tool_calls = nil
    messages[#messages + 1] = { role = "user", content = "Observation: " .. outcome.text }
  end
  return { role = "assistant", content = "" }, { steps = steps, usage = usage, stopped = "max_steps" }
end

return M
