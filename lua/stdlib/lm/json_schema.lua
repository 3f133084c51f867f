--- JSON Schema (draft 2020-12) from option schemas, for HTTP endpoints, MCP and agent tools.

local json = require("lm.json")
local schema = require("lm.schema")

local M = {}

local limits = {
  string = { min = "minLength", max = "maxLength" },
  array = { min = "minItems", max = "maxItems" },
  number = { min = "minimum", max = "maximum", above = "exclusiveMinimum" },
  integer = { min = "minimum", max = "maximum", above = "exclusiveMinimum" },
}

local json_types = {
  string = "string", number = "number", integer = "integer", boolean = "boolean", table = "object", array = "array",
}

local function of_kind(field, kind)
  local out = { type = json_types[kind] }
  for key, name in pairs(limits[kind] or {}) do out[name] = field[key] end
  if kind == "string" and field.enum then out.enum = json.array({ unpack(field.enum) }) end
  if kind == "array" and field.items then out.items = M.of_field(field.items) end
  if kind == "table" and field.fields then
    for key, value in pairs(M.of_fields(field.fields)) do out[key] = value end
  elseif kind == "table" and field.values then
    out.additionalProperties = M.of_field(field.values)
  end
  return out
end

--- Describes one field. Functions and userdata cannot travel as JSON; a field of only these gives nil.
--- @param field table
--- @return table? json_schema
function M.of_field(field)
  local choices = {}
  for _, kind in ipairs(schema.type_list(field)) do
    if kind == "any" then return { description = field.doc } end
    if json_types[kind] then choices[#choices + 1] = of_kind(field, kind) end
  end
  if #choices == 0 then return nil end
  local out = #choices == 1 and choices[1] or { anyOf = json.array(choices) }
  out.description, out.default = field.doc, field.default
  return out
end

--- Describes an options table as an object without further properties.
--- @param fields table[]
--- @return table json_schema
function M.of_fields(fields)
  local properties, required = {}, json.array()
  for _, field in ipairs(fields) do
    local described = not field.deprecated and M.of_field(field)
    if described then
      properties[field.name] = described
      if field.required then required[#required + 1] = field.name end
    end
  end
  local out = { type = "object", properties = properties, additionalProperties = false }
  if #required > 0 then out.required = required end
  return out
end

return M
