-- luacheck: no max line length
-- Berkeley Function Calling Leaderboard v4, the parts that need no network: single-turn categories with AST grading.
-- Usage: lmfast scripts/bench/bfcl.lua --data FOLDER --model NAME-OR-PATH [--limit N] [--temperature T]
--          [--categories simple_python,multiple,parallel,irrelevance] [--constrained true|false]
--          [--tool-choice auto|required] [--instructions plain|best] [--max-tokens N]
-- plain: the question alone; best: with the words below before it.
-- FOLDER holds CATEGORY.jsonl.gz and answers/CATEGORY.jsonl.gz (ShishirPatil/gorilla, bfcl_eval/data). Prints one JSON
-- line for each category; grading as in bfcl_eval/eval_checker/ast_eval.
local json = require("lm.json")
local lm = require("lmfast")

local o = { categories = "simple_python,multiple,parallel,irrelevance", limit = "50", constrained = "true",
  temperature = "0", ["tool-choice"] = "auto", ["max-tokens"] = "300", model = "smollm2", instructions = "plain" }
for i = 1, #arg, 2 do o[arg[i]:gsub("^%-%-", "")] = arg[i + 1] end

-- Small models call whatever is there and never call twice, unless they are told.
local INSTRUCTIONS = 'Call functions only when they do what the user asks for; when none fits, answer in plain words. '
  .. 'Write several calls as a JSON list: [{"name": ..., "arguments": {...}}, {"name": ..., "arguments": {...}}].'

local function rows_of(path, limit)
  local rows, pipe = {}, assert(io.popen(("zcat '%s'"):format(path)))
  for line in pipe:lines() do
    if #rows >= limit then break end
    rows[#rows + 1] = json.decode(line)
  end
  pipe:close()
  return rows
end

local types = { dict = "object", float = "number", tuple = "array", HashMap = "object", ArrayList = "array",
  Array = "array", String = "string", char = "string", long = "integer", double = "number", byte = "integer",
  short = "integer", Boolean = "boolean" }

-- The benchmark's types as JSON Schema's.
local function schema_of(node)
  if type(node) ~= "table" then return node end
  local out = json.is_array and json.is_array(node) and json.array() or {}
  for key, value in pairs(node) do
    if key == "type" and type(value) == "string" then
      if value ~= "any" then out.type = types[value] or value end
    elseif key == "required" or key == "enum" then
      out[key] = #value > 0 and json.array(value) or nil
    elseif key ~= "default" and key ~= "optional" then
      out[key] = schema_of(value)
    end
  end
  return out
end

local function tool_name(name) return (name:gsub("%.", "_")) end

local function normal(s) return (s:gsub("[ ,%./%-_%*%^]", ""):lower():gsub("'", '"')) end

local matches

local function matches_one(value, wanted, kind)
  if type(wanted) == "string" then
    return type(value) == "string" and normal(value) == normal(wanted)
  elseif type(wanted) == "number" then
    return type(value) == "number" and value == wanted and (kind ~= "integer" or value % 1 == 0)
  elseif type(wanted) == "table" and type(value) == "table" then
    if #wanted > 0 or next(wanted) == nil then
      if #value ~= #wanted then return false end
      for i = 1, #wanted do
        if not matches_one(value[i], wanted[i]) then return false end
      end
      return true
    end
    for key, options in pairs(wanted) do
      if value[key] == nil then
        if not matches(nil, options) then return false end
      elseif not matches(value[key], options) then
        return false
      end
    end
    for key in pairs(value) do
      if wanted[key] == nil then return false end
    end
    return true
  end
  return value == wanted
end

-- Whether a value is one of those that the answer allows; "" among them: it may be absent.
function matches(value, options, kind)
  for _, wanted in ipairs(options) do
    if value == nil and wanted == "" then return true end
    if value ~= nil and matches_one(value, wanted, kind) then return true end
  end
  return false
end

local function matches_call(call, wanted, functions)
  local name, arguments = next(wanted)
  if call.name ~= tool_name(name) then return false end
  local properties = {}
  for _, f in ipairs(functions) do
    if f.name == name then properties = f.parameters.properties end
  end
  for key, value in pairs(call.arguments) do
    if not arguments[key] or not matches(value, arguments[key], types[(properties[key] or {}).type] or
      (properties[key] or {}).type) then return false end
  end
  for key, options in pairs(arguments) do
    if call.arguments[key] == nil and not matches(nil, options) then return false end
  end
  return true
end

local function correct(calls, truth, functions)
  if not truth then return #calls == 0 end
  if #calls ~= #truth then return false end
  local used = {}
  for _, wanted in ipairs(truth) do
    local found
    for i, call in ipairs(calls) do
      if not used[i] and matches_call(call, wanted, functions) then found = i break end
    end
    if not found then return false end
    used[found] = true
  end
  return true
end

local model = lm.load(o.model)
local context = require("lm.engine.generate").context(model, 0)
local options = require("lm.sampling").complete({})
options.temperature, options.max_tokens, options.seed = tonumber(o.temperature), tonumber(o["max-tokens"]), 1
options.constrained, options.tool_choice = o.constrained == "true", o["tool-choice"]

for category in o.categories:gmatch("[^,]+") do
  local rows, answers = rows_of(("%s/%s.jsonl.gz"):format(o.data, category), tonumber(o.limit)), {}
  if category ~= "irrelevance" then
    for _, row in ipairs(rows_of(("%s/answers/%s.jsonl.gz"):format(o.data, category), 1e9)) do
      answers[row.id] = row.ground_truth
    end
  end
  local n, right, malformed, refused, n_calls = 0, 0, 0, 0, 0
  for _, row in ipairs(rows) do
    local tools, schemas = {}, {}
    for i, f in ipairs(row["function"]) do
      tools[i] = require("lm.tool").foreign{ name = tool_name(f.name), doc = f.description,
        params = schema_of(f.parameters), run = function() end }
      schemas[tool_name(f.name)] = tools[i].params_json
    end
    options.parallel_tool_calls = category:find("parallel", 1, true) ~= nil
    local messages = row.question[1]
    if o.instructions == "best" and messages[1].role ~= "system" then
      messages = { { role = "system", content = INSTRUCTIONS }, unpack(messages) }
    end
    local fine, message = pcall(require("lm.tool_chat").turn, model, context, messages, tools, options)
    local calls = {}
    if not fine then
      refused = refused + 1
      message = {}
    end
    for _, call in ipairs(message.tool_calls or {}) do
      local arguments = json.decode(call["function"].arguments)
      local schema = schemas[call["function"].name]
      n_calls = n_calls + 1
      local cut = not call.complete  -- by max_tokens
      if not cut and (type(arguments) ~= "table" or not schema
        or json.validate(call["function"].arguments, schema) ~= true) then
        malformed = malformed + 1
      end
      calls[#calls + 1] = { name = call["function"].name, arguments = type(arguments) == "table" and arguments or {} }
    end
    n = n + 1
    if correct(calls, answers[row.id], row["function"]) then right = right + 1 end
  end
  local record = { model = model:info().name, category = category, rows = n, accuracy = right / n, calls = n_calls,
    malformed = malformed, refused = refused, constrained = options.constrained, temperature = options.temperature,
    tool_choice = options.tool_choice, instructions = o.instructions }
  print(json.encode(json.object(record, { "model", "category", "rows", "accuracy" })))
end
