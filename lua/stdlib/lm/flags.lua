--- Command-line flags from option schemas: `--epochs 3 --lora.rank 16 --flag --no-flag --name=value`.

local json = require("lm.json")
local schema = require("lm.schema")
local text = require("lm.text")

local M = {}

-- Every option that a flag can set, with its path: lora -> lora.rank, lora.alpha.
local function flatten(fields, prefix, out)
  for _, field in ipairs(fields) do
    local path = prefix .. field.name
    -- "string|table": a value by itself, or its parts.
    if not field.deprecated and not (field.fields and field.type == "table") then
      out[#out + 1] = { path = path, field = field }
    end
    if field.fields then flatten(field.fields, path .. ".", out) end
  end
  return out
end

local function has_type(field, wanted)
  for _, kind in ipairs(schema.type_list(field)) do
    if kind == wanted then return true end
  end
  return false
end

local converters = {}

function converters.number(value) return tonumber(value) end
converters.integer = converters.number
function converters.string(value) return value end
function converters.any(value) return value end

function converters.boolean(value)
  local words = { ["true"] = true, yes = true, on = true, ["false"] = false, no = false, off = false }
  return words[value]
end

-- Structured values are written as JSON; a list of strings may also be "a,b,c".
function converters.table(value)
  local decoded = json.decode(value)
  return type(decoded) == "table" and decoded or nil
end

function converters.array(value, field)
  local decoded = json.decode(value)
  if type(decoded) == "table" then return decoded end
  local items, out = field.items or { type = "string" }, {}
  for part in value:gmatch("[^,]+") do out[#out + 1] = M.convert(items, text.trim(part)) end
  return out
end

local order = { "boolean", "integer", "number", "array", "table", "any", "string" }

--- Converts a flag's text by the type its option has. What fits no type stays text and fails the validation.
--- @param field table
--- @param value string
--- @return any
function M.convert(field, value)
  for _, kind in ipairs(order) do
    if has_type(field, kind) then
      local converted = converters[kind](value, field)
      if converted ~= nil then return converted end
    end
  end
  return value
end

local function set_path(options, path, value)
  local names = {}
  for name in path:gmatch("[^%.]+") do names[#names + 1] = name end
  for i = 1, #names - 1 do
    if type(options[names[i]]) ~= "table" then options[names[i]] = {} end
    options = options[names[i]]
  end
  options[names[#names]] = value
end

local function find_flag(flags, name)
  for _, flag in ipairs(flags) do
    if flag.path == name or flag.path == name:gsub("%-", "_") then return flag end
  end
end

local function unknown_flag(flags, name)
  local names = {}
  for i, flag in ipairs(flags) do names[i] = flag.path end
  local near = text.nearest(name, names)
  return "unknown option" .. (near and (", did you mean --%s?"):format(near) or "")
end

-- Reads one flag at argv[i]; returns the index of the next.
local function read_flag(state, argv, i)
  local name, value = argv[i]:match("^%-%-([^=]+)=?(.*)$")
  local has_value = argv[i]:find("=", 1, true) ~= nil
  local flag = find_flag(state.flags, name)
  local negated = not flag and name:match("^no%-(.+)$")
  if negated then flag = find_flag(state.flags, negated) end
  if not flag or (negated and not has_type(flag.field, "boolean")) then
    state.problems[#state.problems + 1] = { path = "--" .. name, text = unknown_flag(state.flags, name) }
    local next_is_value = not has_value and argv[i + 1] and not argv[i + 1]:find("^%-%-")
    return i + (next_is_value and 2 or 1)
  end
  if negated then
    set_path(state.options, flag.path, false)
    return i + 1
  end
  if not has_value and has_type(flag.field, "boolean") then
    set_path(state.options, flag.path, true)
    return i + 1
  end
  if not has_value then
    value, i = argv[i + 1], i + 1
    if value == nil then
      state.problems[#state.problems + 1] = { path = "--" .. flag.path,
        text = "needs a value: " .. schema.expectation(flag.field) }
      return i + 1
    end
  end
  set_path(state.options, flag.path, M.convert(flag.field, value))
  return i + 1
end

local function read_positional(state, positional, value)
  state.n = state.n + 1
  local name = positional[state.n]
  local field = name and schema.find(state.fields, name)
  if field then
    state.options[name] = M.convert(field, value)
  else
    state.problems[#state.problems + 1] = { path = text.quote(value), text = "unexpected argument" }
  end
end

--- Reads command-line arguments into options and validates them.
--- @param fields table[]
--- @param argv string[]
--- @param o? {positional: string[]?, check: function?}
--- @return table options
--- @return table[] problems  `{path, text}`; paths of options are written as flags
function M.parse(fields, argv, o)
  local state = { fields = fields, flags = flatten(fields, "", {}), options = {}, problems = {}, n = 0 }
  local i, only_values = 1, false
  while i <= #argv do
    local word = argv[i]
    if word == "--" and not only_values then
      only_values, i = true, i + 1
    elseif word:find("^%-%-.") and not only_values then
      i = read_flag(state, argv, i)
    else
      read_positional(state, o and o.positional or {}, word)
      i = i + 1
    end
  end
  local options, found = schema.validate(fields, state.options, o and o.check)
  for _, problem in ipairs(found) do
    local path = problem.path ~= "" and "--" .. problem.path or ""
    state.problems[#state.problems + 1] = { path = path, text = problem.text }
  end
  table.sort(state.problems, function(a, b) return a.path < b.path end)
  return options, state.problems
end

local function value_word(field)
  if field.enum then return table.concat(field.enum, "|") end
  return (schema.type_list(field)[1]:upper())
end

local function default_words(field)
  if field.required then return " (required)" end
  if field.default_text then return (" (default: %s)"):format(field.default_text) end
  if field.default == nil then return "" end
  local shown = type(field.default) == "table" and json.encode(field.default) or tostring(field.default)
  return (" (default: %s)"):format(shown)
end

local function range_words(field)
  local words = schema.expectation(field):match(" in %[.*$") or schema.expectation(field):match(" above .*$")
    or schema.expectation(field):match(" of at .*$")
  return words and "," .. words or ""
end

--- Writes the list of flags with type, range, default and doc.
--- @param fields table[]
--- @param width? integer
--- @return string
function M.help(fields, width)
  local lines = {}
  for _, flag in ipairs(flatten(fields, "", {})) do
    local field = flag.field
    local is_switch = has_type(field, "boolean")
    local head = is_switch and ("  --[no-]%s"):format(flag.path) or ("  --%s %s"):format(flag.path, value_word(field))
    lines[#lines + 1] = head .. default_words(field)
    local about = (field.doc or "") .. range_words(field)
    lines[#lines + 1] = "      " .. text.wrap(about, (width or 80) - 6, "      ")
  end
  return table.concat(lines, "\n")
end

return M
