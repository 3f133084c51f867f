--- The code style: the model writes Lua that calls the tools; what it prints comes back to it, until it calls
--- final_answer. The code runs in a sandbox that sees the tools and Lua's pure functions.

local errors = require("lm.errors")
local json = require("lm.json")
local loop = require("lm.agent_loop")
local sandbox = require("lm.sandbox")
local text = require("lm.text")
local tool_call = require("lm.tool_call")
local tools_module = require("lm.tool")

local M = {}

local MOST_PRINTED = 10000  -- characters of one call of print

-- An answer is a block of code and nothing else.
local BLOCK = 'root ::= "```lua\\n" %until ("\\n```")'

local function signature(tool)
  local names = tool.names or text.sorted_keys(tool.params.properties or {})
  local name = tool.name:gsub("[^%w_]", "_")
  return ("%s(%s) -- %s"):format(name, table.concat(names, ", "), text.lines(tool.doc)[1] or "")
end

-- A call of a tool as an example: small models copy what they see.
local function example(tool)
  local arguments = {}
  for i, name in ipairs(tool.names or text.sorted_keys(tool.params.properties or {})) do
    local kind = ((tool.params.properties or {})[name] or {}).type
    arguments[i] = (kind == "number" or kind == "integer") and tostring(i) or '"..."'
  end
  return ("%s(%s)"):format((tool.name:gsub("[^%w_]", "_")), table.concat(arguments, ", "))
end

local function instructions(tools)
  local lines = { "Solve the task by writing Lua code. These functions exist:", "" }
  for _, tool in ipairs(tools) do lines[#lines + 1] = signature(tool) end
  lines[#lines + 1] = "final_answer(value) -- ends the task with this answer"
  lines[#lines + 1] = ""
  lines[#lines + 1] = "Answer with one block of code. print shows values for the next step; final_answer ends the "
    .. "task, with what you know or what a function gave:"
  lines[#lines + 1] = ("```lua\nlocal result = %s\nfinal_answer(result)\n```"):format(
    tools[1] and example(tools[1]) or '"..."')
  return table.concat(lines, "\n")
end

-- Arguments by position, or one table by name.
local function arguments_of(tool, ...)
  local first = ...
  local names = tool.names or text.sorted_keys(tool.params.properties or {})
  if select("#", ...) == 1 and type(first) == "table" and (#names ~= 1 or first[names[1]] ~= nil) then return first end
  local arguments = {}
  for i, name in ipairs(names) do arguments[name] = (select(i, ...)) end
  return arguments
end

local function functions_of(tools, o, record)
  local functions = {}
  for _, tool in ipairs(tools) do
    functions[tool.name:gsub("[^%w_]", "_")] = function(...)
      local arguments = arguments_of(tool, ...)
      if o.approve and not o.approve({ tool = tool, name = tool.name, arguments = arguments }) then
        errors.raise("denied", tool.name .. ": the call was not approved")
      end
      local encoded = json.encode(next(arguments) and arguments or json.object({}, {}))
      local outcome = tool_call.run(tool, encoded)
      record(tool.name, encoded, outcome)
      if outcome.error then errors.raise(outcome.code or "internal", tool.name .. ": " .. outcome.error) end
      return outcome.value
    end
  end
  return functions
end

-- The code of an answer: its fenced blocks, else all of it.
local function code_of(content)
  local blocks = {}
  for block in content:gmatch("```%w*\n(.-)```") do blocks[#blocks + 1] = block end
  if #blocks == 0 then blocks[1] = content:match("```%w*\n(.*)$") or content end
  return table.concat(blocks, "\n")
end

-- What print shows: tables as JSON, since their addresses tell nobody anything.
local function shown(...)
  local parts = {}
  for i = 1, select("#", ...) do
    local value = (select(i, ...))
    parts[i] = type(value) == "table" and json.encode(value) or tostring(value)
  end
  return table.concat(parts, "\t")
end

local function observation(outcome, printed)
  local parts = { #printed > 0 and table.concat(printed) or nil }
  for _, value in ipairs(outcome.results) do
    parts[#parts + 1] = type(value) == "table" and json.encode(value) or tostring(value)
  end
  if not outcome.ok then parts[#parts + 1] = "Error: " .. tostring(outcome.error) end
  return table.concat(parts, "\n")
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
  local usage, steps, calls, final, last_code = { prompt_tokens = 0, completion_tokens = 0 }, {}, {}, nil, nil
  local functions = functions_of(tools, o, function(name, arguments, outcome)
    calls[#calls + 1] = { name = name, arguments = arguments, text = outcome.text }
  end)
  local printed
  function functions.final_answer(value) final = { value = value } end
  functions["print"] = function(...)
    printed[#printed + 1] = text.clip(shown(...), MOST_PRINTED) .. "\n"
  end
  local box, first = sandbox.new{ functions = functions }, #messages
  for n = 1, o.max_steps do
    local message, stats = ask(messages, {}, loop.flat({ tool_choice = "none", grammar = BLOCK }, o), o.on_event)
    loop.add_usage(usage, stats)
    messages[#messages + 1] = message
    calls, printed = {}, {}
    local code = code_of(message.content)
    local outcome = box:run(code)
    local seen = observation(outcome, printed)
    -- Who writes the same again has nothing to add: what it printed answers the task, as it is or in words.
    local again = code == last_code and not final
    last_code = code
    if again and outcome.ok and seen:find("^[^{%[]") then final, again = { value = text.trim(seen) }, false end
    steps[n] = { n = n, message = message, results = {}, calls = calls, observation = seen }
    if o.on_step and o.on_step(steps[n]) == false then break end
    if final then
      local value = final.value
      local content = type(value) == "table" and json.encode(value) or tostring(value)
      return { role = "assistant", content = content }, { steps = steps, usage = usage }
    end
    if again then
      -- Code that cannot be mended says nothing about the task.
      local asked = outcome.ok and messages or { unpack(messages, 1, first) }
      local output = outcome.ok and ("Output:\n%s\n"):format(seen) or ""
      asked[#asked + 1] = { role = "user", content = output .. loop.ANSWER_NOW }
      local answer, more = ask(asked, {}, loop.flat({ tool_choice = "none", regex = loop.PLAIN_WORDS }, o), o.on_event)
      loop.add_usage(usage, more)
      messages[#messages + 1] = answer
      return answer, { steps = steps, usage = usage }
    end
    messages[#messages + 1] = { role = "user", content = seen ~= "" and "Output:\n" .. seen
      or "Nothing was printed. Call final_answer with the answer." }
  end
  return { role = "assistant", content = "" }, { steps = steps, usage = usage, stopped = "max_steps" }
end

return M
