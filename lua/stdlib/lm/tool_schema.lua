--- JSON Schemas from LuaCATS comments: what `@param a integer 1..10 how many` says, as a model and a client read it.

local docstring = require("lm.docstring")
local errors = require("lm.errors")
local json = require("lm.json")
local text = require("lm.text")

local M = {}

local simple = {
  string = { type = "string" }, number = { type = "number" }, integer = { type = "integer" },
  boolean = { type = "boolean" }, table = { type = "object" }, object = { type = "object" },
  any = {}, ["nil"] = { type = "null" }, null = { type = "null" },
}

local key_order = { "type", "description", "properties", "required", "items", "enum", "minimum", "maximum", "default" }

local function ordered(schema)
  return json.object(schema, key_order)
end

-- Splits at a character outside of brackets and quotes.
local function split(s, separator)
  local parts, depth, start, quote = {}, 0, 1, nil
  for i = 1, #s do
    local c = s:sub(i, i)
    if quote then
      if c == quote then quote = nil end
    elseif c == '"' or c == "'" then
      quote = c
    elseif c:find("[<({%[]") then
      depth = depth + 1
    elseif c:find("[>)}%]]") then
      depth = depth - 1
    elseif c == separator and depth == 0 then
      parts[#parts + 1] = text.trim(s:sub(start, i - 1))
      start = i + 1
    end
  end
  parts[#parts + 1] = text.trim(s:sub(start))
  return parts
end

local of_type

-- "a"|"b" is an enum; other unions are anyOf, null among them where `?` or nil says so.
local function of_union(parts)
  local constants, others = json.array(), json.array()
  for _, part in ipairs(parts) do
    local constant = part:match('^"(.*)"$') or part:match("^'(.*)'$")
    if constant then
      constants[#constants + 1] = constant
    else
      others[#others + 1] = of_type(part)
    end
  end
  if #constants > 0 then others[#others + 1] = ordered{ type = "string", enum = constants } end
  if #others == 1 then return others[1] end
  return { anyOf = others }
end

-- {name: type, other?: type}
local function of_members(body)
  local names, properties, required = {}, {}, json.array()
  for _, member in ipairs(split(body, ",")) do
    local name, optional, kind = member:match("^([%w_]+)(%??)%s*:%s*(.+)$")
    if not name then return nil end
    names[#names + 1], properties[name] = name, of_type(kind)
    if optional == "" then required[#required + 1] = name end
  end
  return ordered{ type = "object", properties = json.object(properties, names),
    required = #required > 0 and required or nil, additionalProperties = false }
end

--- Translates one LuaCATS type; nil for types that mean nothing outside of Lua.
--- @param kind string  `integer`, `string[]`, `"a"|"b"`, `table<string, number>`, `{x: number, y?: number}`
--- @return table? schema
function M.of_type(kind)
  kind = text.trim(kind)
  local alternatives = split(kind, "|")
  if #alternatives > 1 then return of_union(alternatives) end
  local inner = kind:match("^%((.+)%)$")
  if inner then return M.of_type(inner) end
  local optional = kind:match("^(.+)%?$")
  if optional then return M.of_type(optional) end
  if kind:find('^"') or kind:find("^'") then return of_union({ kind }) end
  local element = kind:match("^(.+)%[%]$")
  if element then return ordered{ type = "array", items = M.of_type(element) } end
  local value = kind:match("^table<%s*[%w_]+%s*,%s*(.+)>$")
  if value then return { type = "object", additionalProperties = M.of_type(value) } end
  local members = kind:match("^{(.+)}$")
  if members then return of_members(members) end
  local known = simple[kind]
  if not known then return nil end
  local copy = {}
  for key, v in pairs(known) do copy[key] = v end
  return ordered(copy)
end
of_type = M.of_type

-- `1..10 rest` and `(default 5) rest` at the beginning of a parameter's doc.
local function add_doc(schema, doc)
  local low, high, rest = doc:match("^(%-?%d*%.?%d*)%.%.(%-?%d*%.?%d*)%s*(.*)$")
  if low and (tonumber(low) or tonumber(high)) and (schema.type == "integer" or schema.type == "number") then
    schema.minimum, schema.maximum, doc = tonumber(low), tonumber(high), rest
  end
  if doc ~= "" then schema.description = doc end
  return schema
end

--- Describes the parameters of a documented function.
--- @param name string  for messages
--- @param params table[]  as from `docstring.parse`
--- @return table schema  of an object
function M.of_params(name, params)
  local names, properties, required = {}, {}, json.array()
  for _, param in ipairs(params) do
    local schema = M.of_type(param.type)
    if not schema then
      errors.raise("bad_option", ("lm.tool: parameter %s of %s has the type %q; expected one that JSON knows"):format(
        param.name, name, param.type),
        { hint = "string, number, integer, boolean, table, any, T[], table<string, T>, {a: T}, \"x\"|\"y\"" })
    end
    names[#names + 1], properties[param.name] = param.name, add_doc(schema, param.doc)
    if not param.optional then required[#required + 1] = param.name end
  end
  return ordered{ type = "object", properties = json.object(properties, names),
    required = #required > 0 and required or nil, additionalProperties = false }
end

--- Describes a function: what its comment says, and parameters without comment as anything.
--- @param f function
--- @param name string
--- @return table described  {doc, params (schema), returns (schema or nil), names}
function M.of_function(f, name)
  local doc = docstring.of(f) or { text = "", params = {}, returns = {} }
  local documented, params = {}, {}
  for _, param in ipairs(doc.params) do documented[param.name] = param end
  local names = docstring.parameters(f)
  for i, parameter in ipairs(names) do
    if parameter == "..." then
      errors.raise("bad_option", ("lm.tool: %s takes any number of values (...); expected named ones"):format(name))
    end
    params[i] = documented[parameter] or { name = parameter, type = "any", doc = "" }
  end
  local first = doc.returns[1]
  return { doc = doc.text, params = M.of_params(name, params), names = names,
    returns = first and first.type ~= "" and M.of_type(first.type) or nil }
end

return M
