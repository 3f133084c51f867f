--- The shell's commands as Lua functions: what `:time`, `:who`, `:reload` and the others call.

local define = require("lm.define")
local env = require("lm.env")
local errors = require("lm.errors")
local host = require("lm.host")
local pretty = require("lm.pretty")
local text = require("lm.text")

local M = {}

local timing_meta = { __name = "lm.Timing" }

function timing_meta.__tostring(t)
  return ("%s, %s of Lua memory"):format(text.seconds(t.seconds), text.bytes(t.allocated))
end

local function measured(started, before, ...)
  local seconds = host.now() - started
  local allocated = math.max(0, collectgarbage("count") - before) * 1024
  return setmetatable({ seconds = seconds, allocated = allocated }, timing_meta), { n = select("#", ...), ... }
end

--- Calls a function and measures it.
--- @param f function
--- @param ... any
--- @return table timing  `{seconds, allocated}`
--- @return table results  with n
function M.measure(f, ...)
  collectgarbage()
  return measured(host.now(), collectgarbage("count"), f(...))
end

--- Measures how long a function takes and how much Lua memory it leaves.
--- ```lua
--- lm.time(function() return m:generate("Hi", { max_tokens = 8 }) end)
--- ```
M.time = define("lm.time", {
  args = {
    { name = "fn", type = "function", required = true, doc = "what to measure; further values are its arguments" },
  },
  variadic = true, returns = "lm.Timing",
}, function(fn, ...)
  local timing, results = M.measure(fn, ...)
  return timing, unpack(results, 1, results.n)
end)

local function kind_of(value)
  local meta = (type(value) == "userdata" or type(value) == "table") and getmetatable(value)
  return type(meta) == "table" and type(meta.__name) == "string" and meta.__name or type(value)
end

--- Lists your variables with type and value.
M.who = define("lm.who", { returns = "table[]" }, function()
  local rows = {}
  for _, name in ipairs(env.variables()) do
    local value = env.get(name)
    local shown = type(value) == "string" and text.quote(value) or pretty.format(value, { width = 60 })
    rows[#rows + 1] = { name = name, type = kind_of(value), value = text.clip(text.lines(shown)[1] or "", 60) }
  end
  return pretty.as_records(rows, { "name", "type", "value" }, "no variables yet")
end)

--- Forgets all variables and results of the session.
M.reset = define("lm.reset", {}, function()
  env.reset()
end)

--- Loads a Lua module again and puts its new values into the table that others already hold.
--- ```lua norun
--- lm.reload "my_tools"
--- ```
M.reload = define("lm.reload", {
  args = { { name = "module", type = "string", min = 1, required = true, doc = "name as given to require" } },
  returns = "string",
}, function(module)
  local old = package.loaded[module]
  package.loaded[module] = nil
  local ok, new = xpcall(require, errors.wrap, module)
  if not ok then
    package.loaded[module] = old
    error(new, 0)
  end
  if type(old) ~= "table" or type(new) ~= "table" then return "loaded " .. module end
  for key in next, old do
    if rawget(new, key) == nil then rawset(old, key, nil) end
  end
  for key, value in next, new do rawset(old, key, value) end
  setmetatable(old, getmetatable(new))
  package.loaded[module] = old
  return "reloaded " .. module
end)

local function text_to_edit(what)
  if not what then return "" end
  local sources = require("lm.sources")
  local typed = what:find("^%d+$") and sources.text(("(repl:%s)"):format(what))
  if typed then return typed end
  return require("lm.help").source_of(what) or errors.raise("not_found", ("lm.edit: there is no source for %s"):format(
    text.quote(what)), { hint = "a function typed here, a library function, or the number of an input" })
end

--- Opens code in your editor and runs it when the editor is left.
M.edit = define("lm.edit", {
  args = {
    { name = "what", type = "string", doc = "a function's name or the number of an input; nothing: an empty text" },
  },
}, function(what)
  local before = text_to_edit(what)
  local edited, message = host.edit(before)
  if not edited then errors.raise("io", "lm.edit: " .. tostring(message)) end
  if not edited:find("%S") or edited == before then return end
  host.write(edited:gsub("\n?$", "\n"))
  return require("lm.session").eval(edited)
end)

--- Runs a Lua file in this session: its globals and top-level locals become your variables.
M.source = define("lm.source", {
  args = { { name = "path", type = "string", min = 1, required = true, kind = "file", doc = "file to run" } },
}, function(path)
  local file, message = io.open(path, "rb")
  if not file then errors.raise("io", "lm.source: " .. message) end
  local code = file:read("*a")
  file:close()
  return require("lm.session").eval((code:gsub("^#[^\n]*", "", 1)))
end)

--- Sets how much is logged and returns the previous level.
M.log = define("lm.log", {
  args = { { name = "level", type = "string", enum = { "debug", "info", "warn", "error" }, required = true,
    doc = "the least important level that is shown" } },
  returns = "string",
}, function(level)
  return host.log_level(level)
end)

--- Shows the memory of the process and of the engine's objects.
M.mem = define("lm.mem", { returns = "table[]" }, function()
  local mem = host.mem()
  local rows = {
    { what = "process", count = 1, memory = text.bytes(mem.rss) },
    { what = "Lua", count = 1, memory = text.bytes(mem.lua) },
  }
  for _, handle in ipairs(mem.handles or {}) do
    rows[#rows + 1] = { what = handle.type, count = handle.count, memory = text.bytes(handle.bytes) }
  end
  return pretty.as_records(rows, { "what", "count", "memory" })
end)

--- Leaves the shell after the current input.
M.quit = define("lm.quit", {
  args = { { name = "code", type = "integer", default = 0, min = 0, max = 255, doc = "exit code" } },
}, function(code)
  host.quit(code)
end)

--- Makes any value readable: sorted keys, records as a table.
M.pretty = define("lm.pretty", {
  args = {
    { name = "value", type = "any", doc = "what to show" },
    { name = "width", type = "integer", min = 20, doc = "columns of a line", default_text = "width of the terminal" },
  },
  returns = "string",
}, function(value, width)
  return pretty.format(value, { width = width or host.columns() })
end)

--- Writes a list of records as an aligned table.
--- ```lua
--- print(lm.table({{name="a", size=1}, {name="b", size=20}}))
--- ```
M.table = define("lm.table", {
  args = {
    { name = "rows", type = "array", items = { type = "table" }, required = true, doc = "records with the same keys" },
    { name = "columns", type = "array", items = { type = "string" }, doc = "names and order of the columns" },
  },
  returns = "string",
}, function(rows, columns)
  return pretty.records(rows, columns, host.columns())
end)

--- Checks this machine and installation.
--- @return any report
function M.doctor()
  local report = require("lm").doctor()
  return report
end

--- Runs a shell command.
--- @param command string
--- @return integer exit_code
function M.run_shell(command)
  if command == "" then errors.raise("bad_option", "$: needs a command", { hint = "$ ls" }) end
  local code = host.shell(command)
  if code ~= 0 then host.write_err(("exit code %d\n"):format(code)) end
  return code
end

return M
