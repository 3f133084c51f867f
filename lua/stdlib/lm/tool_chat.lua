--- One answer of a model that knows tools: told of them in the way it was taught, held to calls that are well formed,
--- read piece by piece.

local engine = require("lm.engine.tools")
local errors = require("lm.errors")
local generate = require("lm.generate")
local handles = require("lm.engine.model")
local json = require("lm.json")
local tool_call = require("lm.tool_call")
local tools_module = require("lm.tool")

local M = {}

local formats = setmetatable({}, { __mode = "k" })
local constraints = setmetatable({}, { __mode = "k" })
local MAX_CONSTRAINTS = 16

--- How a model writes calls.
--- @param model userdata
--- @return userdata format
function M.format(model)
  local format = formats[model]
  if not format then
    format = engine.format(model)
    formats[model] = format
  end
  return format
end

-- "auto", "none", "required" or a tool's name, as the engine wants it.
local function choice_of(choice, tools)
  if choice == nil or choice == "auto" then return { choice = "automatic" } end
  if choice == "none" or choice == "required" then return { choice = choice } end
  for _, tool in ipairs(tools) do
    if tool.name == choice then return { choice = "named", name = choice } end
  end
  errors.raise("bad_option", ('tool_choice is %q; expected "auto", "none", "required" or the name of a tool'):format(
    tostring(choice)))
end

local function constraint_for(model, definitions, choice)
  local key = table.concat({ definitions, choice.choice, choice.name or "", tostring(choice.parallel),
    tostring(choice.in_reasoning) }, "\0")
  local kept = constraints[model] or { n = 0 }
  constraints[model] = kept
  if kept[key] then return kept[key] end
  if kept.n >= MAX_CONSTRAINTS then
    kept = { n = 0 }
    constraints[model] = kept
  end
  local made = engine.constraint(M.format(model), model, definitions, choice)
  kept[key], kept.n = made, kept.n + 1
  return made
end

-- Collects events into a message.
local function collector(format, on_event)
  local message, calls = { role = "assistant", content = "", reasoning = "" }, {}
  local function take(events)
    for _, e in ipairs(events) do
      if e.kind == "content" or e.kind == "reasoning" then
        message[e.kind] = message[e.kind] .. e.text
      elseif e.kind == "begin" then
        local id = e.id ~= "" and e.id or engine.new_id(format)
        calls[e.index] = { id = id, name = e.name, arguments = "", complete = false }
      elseif e.kind == "arguments" then
        calls[e.index].arguments = calls[e.index].arguments .. e.text
      else
        calls[e.index].complete = e.complete
      end
      if on_event then on_event(e) end
    end
  end
  local function finish()
    local list = json.array()
    for i, call in ipairs(calls) do
      list[i] = { id = call.id, type = "function", complete = call.complete,
        ["function"] = { name = call.name, arguments = call.arguments } }
    end
    message.tool_calls = #list > 0 and list or nil
    if message.reasoning == "" then message.reasoning = nil end
    return message
  end
  return take, finish
end

-- What a template may see of the messages: nothing that only we know.
local function plain(messages)
  local list = json.array()
  for i, m in ipairs(messages) do
    list[i] = { role = m.role, content = m.content, name = m.name, tool_call_id = m.tool_call_id,
      tool_calls = tool_call.listed(m.tool_calls), reasoning_content = m.reasoning }
  end
  return list
end

--- Answers a conversation.
--- @param model userdata
--- @param context userdata  of the engine
--- @param messages table[]
--- @param tools table[]  as from `lm.tool.resolve`
--- @param o table  complete sampling options; tool_choice, parallel_tool_calls, constrained (default true)
--- @param on_event? fun(event: table)
--- @return table message  {role, content, reasoning?, tool_calls?}
--- @return table stats
function M.turn(model, context, messages, tools, o, on_event)
  local format = M.format(model)
  local choice = choice_of(o.tool_choice, tools)
  local told = #tools > 0
  local definitions = told and tools_module.definitions(tools) or nil
  local prompt, in_reasoning = engine.prompt(format, model, json.encode(plain(messages)), definitions)
  local ids = handles.tokenize(model, prompt, false, true)
  local options = {}
  for key, value in pairs(o) do options[key] = value end
  choice.parallel, choice.in_reasoning = o.parallel_tool_calls ~= false, in_reasoning
  local held = o.constrained ~= false and told and not (o.schema or o.regex or o.grammar or o.choices or o.constraint)
  if held then options.constraint = constraint_for(model, definitions, choice) end
  options.show_tokens = engine.format_info(format).shown
  local parser = engine.parser(format, definitions,
    { unmarked = held and "allowed" or told and "any" or "none", in_reasoning = in_reasoning })
  local take, finish = collector(format, on_event)
  local _, stats = generate.pieces(model, context, ids, options, function(piece) take(engine.push(parser, piece)) end)
  take(engine.push(parser, nil))
  return finish(), stats
end

return M
