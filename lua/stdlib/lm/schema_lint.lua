--- Checks option schemas themselves; tests run it over every registered function.

local schema = require("lm.schema")

local M = {}

local known_keys = {
  name = true, doc = true, type = true, required = true, default = true, default_text = true, min = true, max = true,
  above = true, enum = true, pattern = true, fields = true, items = true, values = true, class = true, kind = true,
  deprecated = true, check = true, example = true,
}

local known_types = {}
for _, name in ipairs(schema.types) do known_types[name] = true end

local lint_field

local function lint_default(field, path, found)
  if field.default == nil then return end
  if field.required then found[#found + 1] = path .. ": required and default exclude each other" end
  local problems = {}
  schema.validate_value(field, field.default, path, problems, {})
  for _, problem in ipairs(problems) do
    found[#found + 1] = ("%s: the default is not valid: %s"):format(path, problem.text)
  end
end

local function lint_list(fields, path, found)
  local seen = {}
  for i, field in ipairs(fields) do
    local here = (path == "" and "" or path .. ".") .. tostring(field.name or "#" .. i)
    if type(field.name) ~= "string" or not field.name:find("^[%a_][%w_]*$") then
      found[#found + 1] = here .. ": a name must be an identifier"
    elseif seen[field.name] then
      found[#found + 1] = here .. ": declared twice"
    end
    seen[field.name or i] = true
    lint_field(field, here, found, true)
  end
end

function lint_field(field, path, found, named)
  for key in pairs(field) do
    if not known_keys[key] then found[#found + 1] = ("%s: unknown key %q in the schema"):format(path, key) end
  end
  if named and not field.deprecated and (type(field.doc) ~= "string" or field.doc == "") then
    found[#found + 1] = path .. ": has no doc"
  end
  for _, name in ipairs(schema.type_list(field)) do
    if not known_types[name] then
      found[#found + 1] = ("%s: unknown type %q"):format(path, name)
      return
    end
  end
  if field.fields then lint_list(field.fields, path, found) end
  if field.items then lint_field(field.items, path .. "[]", found) end
  if field.values then lint_field(field.values, path .. ".*", found) end
  lint_default(field, path, found)
end

--- Lists what is wrong with a schema: missing docs, unknown types, defaults that are not valid.
--- @param fields table[]
--- @return string[] found  empty when the schema is good
function M.lint(fields)
  local found = {}
  lint_list(fields, "", found)
  return found
end

return M
