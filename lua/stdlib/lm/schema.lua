--- Option schemas: data that describes the options of a function, and the validator that reads it.
---
--- A field is a table:
---   name, doc             the option's name; its meaning with units
---   type                  string number integer boolean table array function userdata any, or several: "string|table"
---   required, default     a default is copied, never shared; `default_text` describes one that is computed elsewhere
---   min, max, above       bounds of a number (above: min is excluded); of a string's bytes or an array's length
---   enum                  allowed strings                 pattern   a Lua pattern a string must match
---   fields                options of a nested table       items     the field every array element must satisfy
---   values                the field every value of a table with free keys must satisfy
---   class                 name of a userdata type (its metatable's __name)
---   kind                  what a string names ("model", "file", ...); completion uses it
---   deprecated            name of the option that replaces this one
---   check                 function(value, options) returning nil or what is wrong
--- The validator never changes its input and reports every problem it finds at once.

local host = require("lm.host")
local json = require("lm.json")
local text = require("lm.text")

local M = {}

M.types = { "string", "number", "integer", "boolean", "table", "array", "function", "userdata", "any" }

local articles = { array = "an ", integer = "an ", any = "any value" }

--- Lists the types a field accepts.
--- @param field table
--- @return string[]
function M.type_list(field)
  local list = {}
  for name in (field.type or "any"):gmatch("[^|%s]+") do list[#list + 1] = name end
  return list
end

-- From here on an upper bound protects the machine and tells a reader nothing.
local UNREACHABLE = 1e9

local function bounds(field, kind)
  if kind == "string" and field.min == 1 and not field.max then return " that is not empty" end
  local unit = kind == "string" and " bytes" or kind == "array" and " items" or ""
  local max = field.max and field.max < UNREACHABLE and field.max or nil
  if unit ~= "" and not (field.min or max) then return "" end
  if field.min and max then
    return (unit == "" and " in [%s, %s]" or " of %s to %s" .. unit):format(text.number(field.min), text.number(max))
  end
  if field.above then
    local upper = max and (" and at most " .. text.number(max)) or ""
    return " above " .. text.number(field.above) .. upper
  end
  if field.min then return (" of at least %s" .. unit):format(text.number(field.min)) end
  if max then return (" of at most %s" .. unit):format(text.number(max)) end
  return ""
end

local function quoted(list)
  local words = {}
  for i, word in ipairs(list) do words[i] = type(word) == "string" and text.quote(word) or tostring(word) end
  return table.concat(words, ", ")
end

local function expectation_of(field, kind)
  if kind == "string" and field.enum then return "one of " .. quoted(field.enum) end
  if kind == "userdata" and field.class then return "a " .. field.class end
  if kind == "any" then return "any value" end
  if kind == "string" and field.pattern then return "a string matching " .. text.quote(field.pattern) end
  return (articles[kind] or "a ") .. kind .. bounds(field, kind)
end

--- Says in words what a field accepts: `an integer in [1, 512]`, `one of "a", "b"`.
--- @param field table
--- @return string
function M.expectation(field)
  local parts = {}
  for i, kind in ipairs(M.type_list(field)) do parts[i] = expectation_of(field, kind) end
  return table.concat(parts, " or ")
end

local function describe(value)
  local kind = type(value)
  if kind == "string" then return "string " .. text.quote(text.clip(value, 60)) end
  if kind == "number" then
    local shown = ("%.14g"):format(value)
    return "number " .. (value ~= value and "nan" or shown)
  end
  if kind == "boolean" then return "boolean " .. tostring(value) end
  if kind == "userdata" then
    local meta = getmetatable(value)
    return type(meta) == "table" and type(meta.__name) == "string" and meta.__name or "userdata"
  end
  if kind == "table" and #value > 0 then return ("table (array of %d)"):format(#value) end
  return kind
end

M.describe = describe

local function is_array(value)
  local count = 0
  for key in pairs(value) do
    if type(key) ~= "number" then return false end
    count = count + 1
  end
  return count == #value
end

local function in_bounds(field, n)
  if n ~= n then return false end
  return not ((field.min and n < field.min) or (field.max and n > field.max) or (field.above and n <= field.above))
end

local function is_enum_member(field, value)
  for _, allowed in ipairs(field.enum) do
    if allowed == value then return true end
  end
  return false
end

-- One test per type: does the value have this type, and is it within the field's limits?
local accepts = {}

function accepts.any() return true end
accepts["function"] = function(_, value)
  local meta = type(value) == "table" and getmetatable(value)
  return type(value) == "function" or (type(meta) == "table" and meta.__call ~= nil)
end
function accepts.boolean(_, value) return type(value) == "boolean" end
function accepts.table(_, value) return type(value) == "table" end
function accepts.number(field, value) return type(value) == "number" and in_bounds(field, value) end

function accepts.integer(field, value)
  local whole = type(value) == "number" and value == math.floor(value) and math.abs(value) <= 2 ^ 53
  return whole and in_bounds(field, value)
end

function accepts.string(field, value)
  if type(value) ~= "string" then return false end
  if field.enum then return is_enum_member(field, value) end
  return in_bounds(field, #value) and (not field.pattern or value:find(field.pattern) ~= nil)
end

function accepts.array(field, value)
  return type(value) == "table" and is_array(value) and in_bounds(field, #value)
end

function accepts.userdata(field, value)
  if type(value) ~= "userdata" then return false end
  local meta = getmetatable(value)
  local name = type(meta) == "table" and meta.__name
  return not field.class or not name or name == field.class
end

local validate_fields

local function report(problems, path, message)
  problems[#problems + 1] = { path = path, text = message }
end

local function join(path, name)
  if type(name) == "number" then return ("%s[%d]"):format(path, name) end
  return path == "" and name or path .. "." .. name
end

local function run_check(check, value, options, path, problems)
  local found = check(value, options)
  if type(found) == "string" then found = { found } end
  for _, message in ipairs(found or {}) do report(problems, path, message) end
end

local function wrong_value(field, value)
  local message = ("expected %s, got %s"):format(M.expectation(field), describe(value))
  if type(value) == "number" and field.max and field.max >= UNREACHABLE and value > field.max then
    return ("expected at most %s, got %s"):format(text.number(field.max), describe(value))
  end
  if field.enum and type(value) == "string" then
    message = ("expected %s, got %s"):format(M.expectation(field), text.quote(text.clip(value, 60)))
    local near = text.nearest(value, field.enum)
    if near then message = message .. (", did you mean %s?"):format(text.quote(near)) end
  end
  return message
end

local function validate_items(field, value, path, problems)
  local out = setmetatable({}, getmetatable(value))
  for i, item in ipairs(value) do
    out[i] = M.validate_value(field.items, item, join(path, i), problems)
  end
  return out
end

local function validate_values(field, value, path, problems)
  local out = {}
  for key, item in pairs(value) do
    if type(key) == "string" then
      out[key] = M.validate_value(field.values, item, join(path, key), problems)
    else
      report(problems, path, "expected only named entries, got the key " .. describe(key))
    end
  end
  return out
end

--- Checks one value against a field and adds what is wrong to `problems`.
--- @param field table
--- @param value any
--- @param path string
--- @param problems table
--- @param options? table  all options, handed to the field's `check`
--- @return any value  with nested defaults filled in
function M.validate_value(field, value, path, problems, options)
  local matched
  for _, kind in ipairs(M.type_list(field)) do
    matched = matched or (accepts[kind](field, value) and kind)
  end
  if not matched then
    report(problems, path, wrong_value(field, value))
    return nil
  end
  local before = #problems
  if matched == "table" and field.fields then
    value = validate_fields(field.fields, value, path, problems)
  elseif matched == "table" and field.values then
    value = validate_values(field, value, path, problems)
  elseif field.items and (matched == "array" or (matched == "table" and is_array(value))) then
    value = validate_items(field, value, path, problems)
  end
  if field.check and #problems == before then run_check(field.check, value, options, path, problems) end
  return value
end

local function copy(value)
  if type(value) ~= "table" or getmetatable(value) then return value end
  local out = {}
  for key, item in pairs(value) do out[key] = copy(item) end
  return out
end

local function option_names(fields)
  local names = {}
  for _, field in ipairs(fields) do
    if not field.deprecated then names[#names + 1] = field.name end
  end
  return names
end

M.option_names = option_names

local function unknown_option(fields, key)
  if type(key) ~= "string" then
    return "unexpected value without a name; options are named: " .. (option_names(fields)[1] or "name") .. " = ..."
  end
  local names = option_names(fields)
  local near = text.nearest(key, names)
  if near then return ("unknown option, did you mean %s?"):format(text.quote(near)) end
  if #names == 0 then return "unknown option; there are none" end
  if #names <= 8 then return "unknown option; options are: " .. table.concat(names, ", ") end
  return ("unknown option; it has %d others"):format(#names)
end

local warned = {}

-- A deprecated name still works; it is reported once per process.
local function rename_deprecated(fields, input, path, problems)
  local given = {}
  for key, value in pairs(input) do
    if value ~= json.null then given[key] = value end
  end
  for _, field in ipairs(fields) do
    local value = field.deprecated and given[field.name]
    if value ~= nil and value ~= false or (field.deprecated and value == false) then
      given[field.name] = nil
      if given[field.deprecated] ~= nil then
        report(problems, join(path, field.name), ("is the old name of %s, which is given too"):format(
          text.quote(field.deprecated)))
      else
        given[field.deprecated] = value
      end
      local id = join(path, field.name)
      if not warned[id] then
        warned[id] = true
        host.write_err(("warning: option %s is now called %s\n"):format(text.quote(id), text.quote(field.deprecated)))
      end
    end
  end
  return given
end

local function required_text(field)
  local about = field.doc and " -- " .. field.doc or ""
  return ("required (%s)%s"):format(M.expectation(field), about)
end

function validate_fields(fields, input, path, problems)
  local given, out, known = rename_deprecated(fields, input, path, problems), {}, {}
  for _, field in ipairs(fields) do
    known[field.name] = true
    local value, here = given[field.name], join(path, field.name)
    if value ~= nil then
      out[field.name] = M.validate_value(field, value, here, problems, given)
    elseif field.required then
      report(problems, here, required_text(field))
    elseif field.default ~= nil then
      out[field.name] = copy(field.default)
    end
  end
  for key in pairs(given) do
    if not known[key] then report(problems, join(path, key), unknown_option(fields, key)) end
  end
  return out
end

local function by_path(a, b)
  if a.path ~= b.path then return a.path < b.path end
  return a.text < b.text
end

--- Validates an options table: fills defaults, checks everything, changes nothing in the input.
--- @param fields table[]  the schema
--- @param input table
--- @param check? fun(o: table): string|string[]|nil  a rule across fields; runs when all fields are right
--- @return table options  complete when there are no problems
--- @return table[] problems  `{path, text}`, sorted by path
function M.validate(fields, input, check)
  local problems = {}
  local out = validate_fields(fields, input, "", problems)
  if check and #problems == 0 then run_check(check, out, out, "", problems) end
  table.sort(problems, by_path)
  return out, problems
end

--- Writes problems as a message: a headline, then one indented line each.
--- @param name string  the function's name
--- @param problems table[]
--- @param noun? string  "options" unless given
--- @return string
function M.message(name, problems, noun)
  local plural = #problems == 1 and "" or "s"
  local lines = { ("%s: %d problem%s in the %s"):format(name, #problems, plural, noun or "options") }
  for _, problem in ipairs(problems) do
    lines[#lines + 1] = "  " .. (problem.path ~= "" and problem.path .. ": " or "") .. problem.text
  end
  return table.concat(lines, "\n")
end

--- Finds a field by its path, such as "lora.rank".
--- @param fields table[]
--- @param path string
--- @return table? field
function M.find(fields, path)
  local head, rest = path:match("^([^%.]+)%.?(.*)$")
  for _, field in ipairs(fields) do
    if field.name == head then
      if rest == "" then return field end
      return field.fields and M.find(field.fields, rest) or nil
    end
  end
end

return M
