--- The grey text after the cursor: what the call being typed still takes.

local complete = require("lm.complete")
local define = require("lm.define")
local docstring = require("lm.docstring")
local lex = require("lm.lex")
local schema = require("lm.schema")

local M = {}

local MAX_OPTIONS = 6

local function option_hint(call, fields)
  local parts = {}
  for _, required in ipairs({ true, false }) do
    for _, field in ipairs(fields) do
      local fits = (field.required or false) == required and not field.deprecated and not call.given[field.name]
      if fits and #parts < MAX_OPTIONS then parts[#parts + 1] = field.name .. "=" end
    end
  end
  if #parts == 0 then return nil end
  return table.concat(parts, ", ") .. (#parts == MAX_OPTIONS and ", ..." or "")
end

local function argument_hint(names, position)
  if position > #names then return nil end
  return table.concat(names, ", ", position)
end

local function positional_names(def)
  local names = {}
  for _, field in ipairs(def.args or {}) do names[#names + 1] = field.name .. (field.required and "" or "?") end
  if def.variadic then names[#names + 1] = "..." end
  if def.args then return names end
  for _, name in ipairs(def.positional) do names[#names + 1] = name end
  if #def.options > #names then names[#names + 1] = "{...}" end
  return names
end

-- While a value is being typed: what it may be.
local function value_hint(fields, key)
  local field = fields and schema.find(fields, key)
  return field and " " .. schema.expectation(field) or nil
end

local function hint_for(call, last)
  local def = complete.definition_of(call.name)
  if not def then
    local value = complete.resolve(call.name)
    if type(value) ~= "function" or call.bracket ~= "(" then return nil end
    local names = docstring.parameters(value)
    if call.name:find(":") then table.remove(names, 1) end
    local hint = argument_hint(names, call.position)
    return hint and hint .. ")"
  end
  if call.bracket == "(" then
    local hint = argument_hint(positional_names(def), call.position)
    return hint and hint .. ")"
  end
  local fields = def.options
  for _, name in ipairs(call.path) do
    local field = fields and schema.find(fields, name)
    fields = field and field.fields
  end
  if not fields then return nil end
  if last.text == "=" then return value_hint(fields, call.key) end
  local hint = option_hint(call, fields)
  return hint and hint .. "}"
end

--- Returns the hint for the text before the cursor, or nil.
--- Shown only after an opening bracket, a comma or "=": never in the middle of a word.
--- @param input string
--- @param cursor integer  bytes before the cursor
--- @return string? hint
function M.hint(input, cursor)
  if cursor < #input or input:find("^%s*[:%?%$]") then return nil end
  local tokens = lex.tokens(input:sub(1, cursor))
  local last = tokens[#tokens]
  if not last or last.kind ~= "symbol" then return nil end
  if not (last.text == "(" or last.text == "{" or last.text == "," or last.text == "=") then return nil end
  local call = lex.enclosing_call(tokens)
  return call and hint_for(call, last) or nil
end

--- Returns the signature of a function, as shown by completion lists.
--- @param f function
--- @return string?
function M.signature(f)
  local def = define.get(f)
  return def and define.signature(def)
end

return M
