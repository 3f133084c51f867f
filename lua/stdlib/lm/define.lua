--- Registers public functions: `define(name, spec, impl)` returns the function users call.
---
--- The returned function validates its arguments by the schema, fills defaults and calls `impl(options)`
--- (`impl(self, options)` for a name with a colon, such as "Model:chat"). What is registered here feeds help,
--- completion, hints, generated docs and types. The doc text is the comment above the `define` call; it is read
--- only when somebody asks for it.
---
--- spec:
---   options      schema fields (see lm.schema); the caller passes one table, and impl gets it complete
---   positional   names of up to three options that may also be passed by position, before the table or first in it
---   args         instead of options: schema fields passed by position only; impl gets them one by one
---   variadic     with args: more values may follow and are passed on unchecked
---   check        function(o) returning nil or what is wrong across fields
---   hint         what to do instead, shown when the call has the wrong form
---   returns      type of the result, for docs ("lm.Model")
---   background   true: adds the option `background`, which runs the call as a job
---   restore      with background: function(result) that makes a job's copy of the result whole (its metatable)
---   prepare      function(o) that completes valid options where the call is made, before a job gets them
---   job          with background: function(options, key), what `job[key]` is beyond every job's fields
---   internal     true: not listed in docs

local errors = require("lm.errors")
local schema = require("lm.schema")
local sources = require("lm.sources")

local M = {}

local by_name = {}
local by_value = setmetatable({}, { __mode = "k" })

M.background_field = {
  name = "background", type = "boolean", default = false,
  doc = "run as a background job and return the job at once",
}

local function is_plain_table(value)
  return type(value) == "table" and getmetatable(value) == nil
end

local function position_takes_table(def, i)
  local field = schema.find(def.options, def.positional[i])
  for _, kind in ipairs(field and schema.type_list(field) or {}) do
    if kind == "table" or kind == "array" or kind == "any" then return true end
  end
  return false
end

-- f({}) passes an empty list where a list must be passed, and no options.
local function needs_list(def, i)
  local field = schema.find(def.options, def.positional[i])
  return field ~= nil and field.required and field.type == "array"
end

local function names_an_option(def, value)
  for _, field in ipairs(def.options) do
    if value[field.name] ~= nil then return true end
  end
  return false
end

-- Is the last value the options table? A list is a value where one is allowed; a table with names is options,
-- unless it stands where a table is expected and names no option at all.
local function is_options(def, value, i)
  if not is_plain_table(value) then return false end
  if i > #def.positional or not position_takes_table(def, i) then return true end
  if #value > 0 then return names_an_option(def, value) end
  if next(value) == nil and needs_list(def, i) then return false end
  return i == 1 or next(value) == nil or names_an_option(def, value)
end

local function usage_error(def, message)
  errors.raise("bad_option", def.name .. ": " .. message, { help = def.name, hint = def.hint })
end

-- `f{ "x", n = 2 }` means `f("x", { n = 2 })`: values without names in the table follow those before it.
local function take_unnamed(def, input, values, last)
  for i = 1, #def.positional - last do
    if input[i] == nil then return last end
    last = last + 1
    values[last], input[i] = input[i], nil
  end
  return last
end

local function collect(def, n, ...)
  local values, input = { ... }, {}
  local last = n
  if n > 0 and is_options(def, values[n], n) then
    for key, value in pairs(values[n]) do input[key] = value end
    last = n - 1
    values[n] = nil
    last = take_unnamed(def, input, values, last)
  end
  if last > #def.positional then
    local allowed = #def.positional == 0 and "one options table" or ("%d value%s and an options table"):format(
      #def.positional, #def.positional == 1 and "" or "s")
    usage_error(def, ("takes at most %s, got %d value%s, the last a %s"):format(allowed, last, last == 1 and "" or "s",
      schema.describe(values[last])))
  end
  local twice = {}
  for i = 1, last do
    local name = def.positional[i]
    if values[i] ~= nil and input[name] ~= nil then
      twice[#twice + 1] = { path = name, text = "given twice, by position and by name" }
    elseif values[i] ~= nil then
      input[name] = values[i]
    end
  end
  return input, twice
end

local function raise_problems(def, problems)
  local message = schema.message(def.name, problems, def.args and "arguments" or "options")
  errors.raise("bad_option", message, { problems = problems, help = def.name })
end

local function bind_options(def, n, ...)
  local input, problems = collect(def, n, ...)
  local options, found = schema.validate(def.options, input, #problems == 0 and def.check or nil)
  for _, problem in ipairs(found) do problems[#problems + 1] = problem end
  if #problems > 0 then raise_problems(def, problems) end
  return options
end

-- For `args`: values in order; the result goes to impl one by one.
local function bind_args(def, n, ...)
  local values, problems = { ... }, {}
  if n > #def.args and not def.variadic then
    usage_error(def, ("takes at most %d value%s, got %d"):format(#def.args, #def.args == 1 and "" or "s", n))
  end
  for i, field in ipairs(def.args) do
    if values[i] ~= nil then
      values[i] = schema.validate_value(field, values[i], field.name, problems, values)
    elseif field.required then
      problems[#problems + 1] = { path = field.name, text = ("required (%s) -- %s"):format(
        schema.expectation(field), field.doc) }
    else
      values[i] = field.default
    end
  end
  if #problems > 0 then raise_problems(def, problems) end
  return values, math.max(n, #def.args)
end

local function check_self(def, self)
  local kind = type(self)
  if kind ~= "userdata" and kind ~= "table" then
    local method = def.name:match(":(.*)$")
    usage_error(def, ("called without its object; write object:%s(...), with a colon"):format(method))
  end
end

local function start_job(def, self, options)
  options.background = nil
  return require("lm.jobs").spawn_defined(def, self, options)
end

-- Results go through locals: a tail call would drop this frame, and with it the way to the user's line.
local function wrapper_for(def, impl)
  if def.args and def.class then
    return function(self, ...)
      check_self(def, self)
      local values, n = bind_args(def, select("#", ...), ...)
      return M.pass(impl(self, unpack(values, 1, n)))
    end
  elseif def.args then
    return function(...)
      local values, n = bind_args(def, select("#", ...), ...)
      return M.pass(impl(unpack(values, 1, n)))
    end
  elseif def.class then
    return function(self, ...)
      check_self(def, self)
      local options = bind_options(def, select("#", ...), ...)
      if options.background and def.background then return M.pass(start_job(def, self, options)) end
      return M.pass(impl(self, options))
    end
  end
  return function(...)
    local options = bind_options(def, select("#", ...), ...)
    if def.prepare then def.prepare(options) end
    if options.background and def.background then return M.pass(start_job(def, nil, options)) end
    return M.pass(impl(options))
  end
end

--- Returns its arguments; calling it last keeps the caller's frame alive during the inner call.
--- @param ... any
--- @return any ...
function M.pass(...)
  return ...
end

local function new_definition(name, spec, impl)
  local info = debug.getinfo(3, "Sl")
  local def = {
    name = name, impl = impl, source = info.source, line = info.currentline,
    module = sources.module_of(info.source), class = name:match("^([%w_%.]+):"),
    options = spec.options or {}, args = spec.args, positional = spec.positional or {}, variadic = spec.variadic,
    check = spec.check, hint = spec.hint, returns = spec.returns, background = spec.background,
    restore = spec.restore, prepare = spec.prepare, job = spec.job, internal = spec.internal,
  }
  if def.background then
    def.options = { unpack(def.options) }
    def.options[#def.options + 1] = M.background_field
  end
  return def
end

local function register(def, impl)
  def.fn = wrapper_for(def, impl)
  by_name[def.name] = def
  by_value[def.fn] = def
  return def.fn
end

--- Registers a function and returns its callable form; see the head of this file.
--- The module itself can be called instead: `define("lm.load", {...}, function(o) ... end)`.
--- @param name string  full name, "lm.generate" or "Model:chat"
--- @param spec table
--- @param impl function
--- @return function
function M.define(name, spec, impl)
  local def = new_definition(name, spec, impl)
  return register(def, impl)
end

--- Returns the definition of a function, by its name or by its value.
--- @param key string|function
--- @return table? def
function M.get(key)
  return by_name[key] or by_value[key]
end

--- Forgets a definition, such as a tool that was taken away.
--- @param name string
function M.remove(name)
  local def = by_name[name]
  if not def then return end
  by_name[name], by_value[def.fn] = nil, nil
end

--- Lists all registered definitions, sorted by name.
--- @return table[]
function M.list()
  local list = {}
  for _, def in pairs(by_name) do list[#list + 1] = def end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

--- Reads the doc comment of a definition from its source.
--- @param def table
--- @return table doc  `{summary, text, params, returns}`; empty texts when there is no comment
function M.doc(def)
  if def.doc_cache then return def.doc_cache end
  local text = sources.text(def.source)
  local comment = text and sources.comment_above(text, def.line)
  local doc = require("lm.docstring").parse(comment or "")
  -- Typed code may be redefined under the same name, but a definition's own source never changes.
  def.doc_cache = doc
  return doc
end

--- Writes the signature: `lm.generate(prompt, {max_tokens=, ...})`.
--- @param def table
--- @return string
function M.signature(def)
  local parts = {}
  for i, field in ipairs(def.args or {}) do parts[i] = field.name .. (field.required and "" or "?") end
  if def.variadic then parts[#parts + 1] = "..." end
  if def.args then return ("%s(%s)"):format(def.name, table.concat(parts, ", ")) end
  for i, name in ipairs(def.positional) do parts[i] = name end
  local keys, positional = {}, {}
  for _, name in ipairs(def.positional) do positional[name] = true end
  for _, name in ipairs(schema.option_names(def.options)) do
    if not positional[name] then keys[#keys + 1] = name .. "=" end
  end
  if #keys > 0 then
    local shown = table.concat(keys, ", ", 1, math.min(#keys, 6)) .. (#keys > 6 and ", ..." or "")
    parts[#parts + 1] = "{" .. shown .. "}"
  end
  return ("%s(%s)"):format(def.name, table.concat(parts, ", "))
end

return setmetatable(M, {
  __call = function(_, name, spec, impl)
    local def = new_definition(name, spec, impl)
    return register(def, impl)
  end,
})
