--- Tools: functions that models and clients may call. A comment above a function is all that one needs.

local define = require("lm.define")
local env = require("lm.env")
local errors = require("lm.errors")
local host = require("lm.host")
local json = require("lm.json")
local text = require("lm.text")

local M = {}

local tool_methods = {}
local tool_meta = { __index = tool_methods, __name = "lm.Tool" }

-- By name, and the names in the order of definition.
local registered, order = {}, {}

--- Functions called without arguments after the set of tools or one of them has changed.
M.on_change = {}

local function changed()
  for _, listener in ipairs(M.on_change) do listener() end
end

function tool_meta.__tostring(tool)
  local names = {}
  for _, name in ipairs(text.sorted_keys(tool.params.properties or {})) do names[#names + 1] = name end
  return ("%s(%s)  %s"):format(tool.name, table.concat(names, ", "), (text.lines(tool.doc)[1] or ""))
end

-- The name that a function has among the user's variables.
local function name_of(f)
  for _, scope in ipairs({ env.table, _G }) do
    for name, value in next, scope do
      if value == f and type(name) == "string" then return name end
    end
  end
end

local function check_name(name)
  if #name <= 64 and name:find("^[%w_.-]+$") then return name end
  errors.raise("bad_option", ("lm.tool: the name is %s; expected up to 64 letters, digits, _, . and -"):format(
    text.quote(name)))
end

-- `params` may be a JSON Schema or a list of option fields (see lm.schema).
local function schema_of(params)
  if #params > 0 then return require("lm.json_schema").of_fields(params) end
  if params.type or params.properties or next(params) == nil then
    params.type = params.type or "object"
    return params
  end
  errors.raise("bad_option", "lm.tool: params is neither a JSON Schema nor a list of fields",
    { hint = 'params = { type = "object", properties = { city = { type = "string" } } }' })
end

-- What the function and its comment say, unless options say otherwise.
local function describe(tool, run)
  tool.run = run
  local explicit = tool.explicit
  local said = explicit.params and {} or require("lm.tool_schema").of_function(run, tool.name)
  tool.doc = explicit.doc or said.doc or (require("lm.docstring").of(run) or {}).text or ""
  tool.params = explicit.params and schema_of(explicit.params) or said.params
  tool.returns = explicit.returns or said.returns
  tool.params_json, tool.returns_json = json.encode(tool.params), tool.returns and json.encode(tool.returns)
  -- Positional when the parameters are those of the schema, else one table.
  tool.names = require("lm.docstring").parameters(run)
  for _, name in ipairs(tool.names) do
    if not (tool.params.properties or {})[name] then tool.names = nil break end
  end
  if tool.worker and debug.getinfo(run, "u").nups > 0 then
    errors.raise("bad_option", ("lm.tool: %s uses local variables from outside, which a worker cannot see"):format(
      tool.name), { hint = "make them globals of the function's own, or leave worker = true out" })
  end
  json.validate("{}", tool.params_json)  -- raises for schemas that are wrong
end

local function add(tool)
  if not registered[tool.name] then order[#order + 1] = tool.name end
  registered[tool.name] = tool
  changed()
  return tool
end

local function from_function(o)
  local variable = name_of(o.run)
  local name = o.name or variable
  if not name then
    errors.raise("bad_option", "lm.tool: the function has no name; expected a global function or the option name",
      { hint = 'lm.tool{ name = "add", run = function(a, b) ... end }' })
  end
  local tool = setmetatable({
    name = check_name(name), title = o.title, variable = variable, worker = o.worker, permissions = o.permissions,
    timeout = o.timeout, max_output = o.max_output, task = o.task, scopes = o.scopes,
    explicit = { doc = o.doc, params = o.params, returns = o.returns },
  }, tool_meta)
  describe(tool, o.run)
  return tool
end

local limits = {
  { name = "timeout", type = "number", above = 0, default = 30, doc = "seconds that a call may take" },
  { name = "max_output", type = "integer", min = 1, default = 50000, doc = "bytes of a result that are passed on" },
  { name = "worker", type = "boolean", default = false,
    doc = "run in a Lua state of its own on another thread; the function sees none of the session's variables" },
  { name = "task", type = "string", enum = { "optional", "required" },
    doc = "over MCP, answer at once with a task that the client asks for later: with clients that know tasks, or only",
    default_text = "answer when the function has returned" },
  { name = "permissions", type = "array", items = { type = "string" }, default = {},
    doc = "what the tool needs, for whoever approves calls: \"files\", \"network\" ..." },
  { name = "scopes", type = "array", items = { type = "string" }, default = {},
    doc = "over MCP with oauth: what a token must allow for a call" },
}

local options = {
  { name = "run", type = "function|string", required = true,
    doc = "the function, or the name of a built-in tool (see lm.builtin_tools)" },
  { name = "name", type = "string", min = 1, doc = "the tool's name", default_text = "the function's own name" },
  { name = "title", type = "string", doc = "a name for people" },
  { name = "doc", type = "string", doc = "what the tool does", default_text = "the comment above the function" },
  { name = "params", type = "table",
    doc = "the arguments: a JSON Schema of an object, or a list of fields as in lm.schema",
    default_text = "the comment's @param lines" },
  { name = "returns", type = "table", doc = "JSON Schema of the result", default_text = "the comment's @return line" },
  { name = "config", type = "table", doc = "settings of a built-in tool" },
}
for _, field in ipairs(limits) do options[#options + 1] = field end

--- Makes a function a tool that models, agents and MCP clients may call.
---
--- Its comment becomes the description, `@param` lines the arguments' JSON Schema: types are `string number integer
--- boolean table any`, `T[]`, `table<string, T>`, `{a: T, b?: T}` and `"x"|"y"`; a question mark makes a parameter
--- optional; `1..10` at the beginning of its text bounds a number. Defining the function anew at the prompt changes the
--- tool at once, for all who use it.
--- ```lua
--- --- Adds two numbers.   @param a number   @param b number
--- function add(a, b) return a + b end
--- lm.tool(add)
--- ```
M.tool = define("lm.tool", {
  positional = { "run" }, options = options, returns = "lm.Tool",
  hint = "lm.tool(f), or lm.tool{ name =, doc =, params =, run = f }",
}, function(o)
  if type(o.run) == "string" then return add(M.built_in(o.run, o)) end
  return add(from_function(o))
end)

--- Makes one of the built-in tools without registering it.
--- @param name string
--- @param o? table  options of lm.tool
--- @return table tool
function M.built_in(name, o)
  local made = require("lm.builtin_tools").make(name, (o or {}).config or {})
  for _, field in ipairs(limits) do
    if o and o[field.name] ~= nil and made[field.name] == nil then made[field.name] = o[field.name] end
    if made[field.name] == nil then made[field.name] = field.default end
  end
  made.explicit = { doc = made.doc, params = made.params, returns = made.returns }
  local tool = setmetatable(made, tool_meta)
  describe(tool, made.run)
  return tool
end

--- Makes a tool that another program provides.
--- @param t table  {name, doc, params, run(arguments), title?, timeout?, max_output?}
--- @return table tool
function M.foreign(t)
  t.explicit = { doc = t.doc or "", params = t.params or { type = "object" }, returns = t.returns }
  t.timeout, t.max_output, t.permissions = t.timeout or 300, t.max_output or 50000, t.permissions or {}
  local run = t.run
  describe(setmetatable(t, tool_meta), function(arguments) return run(arguments) end)
  t.names = nil
  return t
end

local list_meta = {}
function list_meta.__tostring(list)
  local lines = {}
  for i, tool in ipairs(list) do lines[i] = tostring(tool) end
  return #lines > 0 and table.concat(lines, "\n") or "no tools; lm.tool(f) makes one"
end

--- Lists the tools in the order they were defined.
--- ```lua
--- lm.tools()
--- ```
M.tools = define("lm.tools", { args = {}, returns = "lm.Tool[]" }, function()
  M.refresh()
  local list = {}
  for i, name in ipairs(order) do list[i] = registered[name] end
  return setmetatable(list, list_meta)
end)

--- Finds a tool by name.
--- @param name string
--- @return table? tool
function M.find(name)
  return registered[name]
end

--- Forgets a tool.
tool_methods.remove = define("Tool:remove", { args = {} }, function(self)
  if registered[self.name] ~= self then return end
  registered[self.name] = nil
  for i, name in ipairs(order) do
    if name == self.name then table.remove(order, i) break end
  end
  changed()
end)

--- Looks whether functions that are tools were defined anew; the prompt calls it after every input.
function M.refresh()
  local any = false
  for _, name in ipairs(order) do
    local tool = registered[name]
    local now = tool.variable and (rawget(env.table, tool.variable) or rawget(_G, tool.variable))
    if type(now) == "function" and now ~= tool.run then
      local fine, e = pcall(describe, tool, now)
      if not fine then host.write_err(("tool %s: %s\n"):format(name, tostring(e))) end
      any = true
    end
  end
  if any then changed() end
end

--- Turns a list of functions, names and tools into tools. Functions are made tools without registering them.
--- @param list table
--- @return table[] tools
function M.resolve(list)
  M.refresh()
  local tools, seen = {}, {}
  for i, entry in ipairs(list) do
    local tool = entry
    if type(entry) == "function" then
      tool = nil
      for _, name in ipairs(order) do
        if registered[name].run == entry then tool = registered[name] end
      end
      tool = tool or from_function({ run = entry, timeout = 30, max_output = 50000, permissions = {} })
    elseif type(entry) == "string" then
      tool = registered[entry] or M.built_in(entry)
    end
    if getmetatable(tool) ~= tool_meta then
      errors.raise("bad_option", ("tools: entry %d is a %s; expected a function, a tool or a tool's name"):format(i,
        type(entry)), { help = "lm.tool" })
    end
    if seen[tool.name] then
      errors.raise("bad_option", ("tools: %s stands twice in the list"):format(text.quote(tool.name)))
    end
    seen[tool.name], tools[i] = true, tool
  end
  return tools
end

--- Describes tools as the OpenAI API does.
--- @param tools table[]
--- @return string json
function M.definitions(tools)
  local list = json.array()
  for i, tool in ipairs(tools) do
    list[i] = json.object({ type = "function", ["function"] = json.object(
      { name = tool.name, description = tool.doc, parameters = tool.params },
      { "name", "description", "parameters" }) }, { "type", "function" })
  end
  return json.encode(list)
end

--- Calls the tool with arguments by name, checked against its schema, and returns what the function returns.
--- ```lua norun
--- lm.tool(add):call{ a = 1, b = 2 }
--- ```
tool_methods.call = define("Tool:call", {
  args = { { name = "arguments", type = "table", default = {}, doc = "the arguments by name" } }, returns = "any",
}, function(self, arguments)
  local outcome = require("lm.tool_call").run(self, json.encode(next(arguments) and arguments or json.object({}, {})))
  if outcome.error then errors.raise(outcome.code, outcome.error) end
  return outcome.value
end)

function tool_meta.__call(tool, arguments) return tool:call(arguments) end

--- Explains a tool, for `?name`.
--- @param tool table
--- @return string
function M.explain(tool)
  local lines = { tool.name .. "  (a tool)", "", tool.doc, "", "arguments" }
  local needed = {}
  for _, name in ipairs(tool.params.required or {}) do needed[name] = true end
  for _, name in ipairs(text.sorted_keys(tool.params.properties or {})) do
    local p = tool.params.properties[name]
    lines[#lines + 1] = ("  %s%s  %s  %s"):format(name, needed[name] and "" or "?", tostring(p.type or "any"),
      p.description or "")
  end
  if tool.calls then
    lines[#lines + 1] = ("\ncalled %d times, %.3f s on average"):format(tool.calls, tool.seconds / tool.calls)
  end
  return table.concat(lines, "\n")
end

return M
