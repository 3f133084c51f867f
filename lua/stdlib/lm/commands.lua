--- The commands outside Lua: `:name args` and `$ shell`. One row each; the same row feeds `:help` and completion.
--- Every command is also a Lua function (`lm.time`, `lm.who`, ...), in lm.shell.

local errors = require("lm.errors")
local host = require("lm.host")
local text = require("lm.text")

local M = {}

local function shell() return require("lm.shell") end

local function say(value)
  if value ~= nil then host.write(require("lm.pretty").format(value, { width = host.columns() }) .. "\n") end
end

-- `:time expr` and others take code; it is evaluated like a typed line, without being numbered.
local function value_of(code)
  local evaluate = require("lm.evaluate")
  local f, e, is_expression = evaluate.compile(code, "(command)")
  require("lm.sources").keep("(command)", code)
  if not f then error(e, 0) end
  return f, is_expression
end

local function run_time(code)
  if code == "" then errors.raise("bad_option", ":time: needs code to run", { hint = ":time lm.load \"smol\"" }) end
  local f, is_expression = value_of(code)
  local timing, results = shell().measure(f)
  for i = is_expression and 2 or 1, results.n do say(results[i]) end
  say(timing)
end

local function run_tb()
  local e = require("lm.env").get("_err")
  if not e then
    say("no error yet")
  elseif (e.traceback or "") == "" then
    say("no traceback: the code did not compile")
  else
    say(e.traceback)
  end
end

local function run_log(level)
  local levels = { debug = true, info = true, warn = true, error = true }
  if not levels[level] then
    errors.raise("bad_option", (":log: expected one of debug, info, warn, error, got %s"):format(text.quote(level)))
  end
  say(("log level %s (was %s)"):format(level, host.log_level(level)))
end

--- The table of commands: name, usage, one line, function(arguments).
M.list = {
  { name = "help", usage = ":help [command]", doc = "list the commands, or explain one",
    run = function(name) say(M.help(name)) end },
  { name = "time", usage = ":time code", doc = "run code and print its time and memory", run = run_time },
  { name = "jobs", usage = ":jobs", doc = "list background jobs", run = function() say(require("lm.jobs").list()) end },
  { name = "who", usage = ":who", doc = "list your variables", run = function() say(shell().who()) end },
  { name = "reset", usage = ":reset", doc = "forget all variables and results", run = function() shell().reset() end },
  { name = "reload", usage = ":reload module", doc = "load a Lua module again, keeping its table",
    run = function(name) say(shell().reload(name)) end },
  { name = "edit", usage = ":edit [name|n]", doc = "edit code in $EDITOR, then run it",
    run = function(what) return shell().edit(what ~= "" and what or nil) end },
  { name = "source", usage = ":source file.lua", doc = "run a file in this session",
    run = function(path) return shell().source(path) end },
  { name = "log", usage = ":log debug|info|warn|error", doc = "set how much is logged", run = run_log },
  { name = "mem", usage = ":mem", doc = "show memory by kind of object", run = function() say(shell().mem()) end },
  { name = "doctor", usage = ":doctor", doc = "check this machine and installation",
    run = function() say(shell().doctor()) end },
  { name = "tb", usage = ":tb", doc = "show the traceback of the last error", run = run_tb },
  { name = "quit", usage = ":quit", doc = "leave the shell (Ctrl-D does the same)",
    run = function() shell().quit() end },
}

--- What is answered when these words are typed alone.
M.bare_words = {
  help = "? alone shows an overview, ?name explains a function, :help lists the commands",
}

--- Finds a command by name.
--- @param name string
--- @return table? row
function M.find(name)
  for _, row in ipairs(M.list) do
    if row.name == name then return row end
  end
end

--- Lists the command names.
--- @return string[]
function M.names()
  local names = {}
  for i, row in ipairs(M.list) do names[i] = row.name end
  return names
end

local function unknown(name)
  local near = text.nearest(name, M.names())
  local message = ("unknown command :%s"):format(name)
  if near then message = message .. (", did you mean :%s?"):format(near) end
  errors.raise("not_found", message, { hint = ":help lists the commands" })
end

--- Writes the list of commands, or the line of one.
--- @param name? string
--- @return string
function M.help(name)
  name = (name or ""):gsub("^:", "")
  if name ~= "" then
    local row = M.find(name) or unknown(name)
    return ("%s\n  %s"):format(row.usage, row.doc)
  end
  local lines = {}
  for _, row in ipairs(M.list) do lines[#lines + 1] = text.pad(row.usage, 28) .. row.doc end
  lines[#lines + 1] = text.pad("$ command", 28) .. "run a shell command"
  lines[#lines + 1] = text.pad("?name  name?  ??name", 28) .. "explain a name; show its source"
  return table.concat(lines, "\n")
end

--- Recognizes input that is not Lua.
--- @param input string
--- @return table? command  `{kind = "help"|"shell"|"command", ...}`
function M.parse(input)
  local line = text.trim(input)
  -- `::label::` is Lua; a single colon cannot start a statement.
  local name, rest = line:match("^:([%a_]+)%s*(.*)$")
  if name then return { kind = "command", name = name, args = rest } end
  if line:find("^%$") then return { kind = "shell", args = text.trim(line:sub(2)) } end
  local marks, topic = line:match("^(%?%??)%s*(.-)%s*$")
  if marks then return { kind = "help", topic = topic, source = marks == "??" } end
  topic, marks = line:match("^([%a_][%w_%.:]*)(%?%??)$")
  if topic then return { kind = "help", topic = topic, source = marks == "??" } end
end

--- Runs what `parse` recognized.
--- @param command table
--- @return boolean? ok
function M.run(command)
  if command.kind == "help" then
    say(require("lm.help").answer(command.topic, command.source))
    return true
  elseif command.kind == "shell" then
    return shell().run_shell(command.args) == 0
  end
  local row = M.find(command.name) or unknown(command.name)
  return row.run(command.args) ~= false
end

return M
