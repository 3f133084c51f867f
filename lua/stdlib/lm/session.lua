--- What a typed line means: the seam that the C++ prompt calls (see docs/design/shell.md).

local commands = require("lm.commands")
local env = require("lm.env")
local errors = require("lm.errors")
local evaluate = require("lm.evaluate")
local host = require("lm.host")
local live = require("lm.live")
local pretty = require("lm.pretty")
local report = require("lm.report")
local text = require("lm.text")

local M = {}

local SLOW = 0.5
local inputs = 0

_G.lm = require("lm")

-- Pasted transcripts: keeps what follows the prompts and drops the outputs between them.
local function without_prompts(input)
  if not input:find("^%s*lmfast> ") then return input end
  local kept = {}
  for _, line in ipairs(text.lines(input)) do
    local code = line:match("^%s*lmfast> ?(.*)$") or line:match("^%s*%.%.> ?(.*)$")
    if code then kept[#kept + 1] = code end
  end
  return table.concat(kept, "\n")
end

--- Tells whether the input is whole; false while it should continue on another line.
--- @param input string
--- @return boolean
function M.is_complete(input)
  input = without_prompts(input)
  if commands.parse(input) then return true end
  return evaluate.is_complete(input)
end

local function elapsed_mark(seconds)
  local mark = "[" .. text.seconds(seconds) .. "]"
  return mark, host.colors() and "\27[2m" .. mark .. "\27[0m" or mark
end

-- The time stands at the right edge of the last line when there is room, else on a line of its own.
local function with_elapsed(shown, seconds)
  if seconds <= SLOW then return shown end
  local mark, painted = elapsed_mark(seconds)
  local columns = host.columns()
  local last = shown:match("([^\n]*)\n?$")
  local used = text.width(last)
  if shown ~= "" and used + 2 + #mark <= columns then
    return shown:gsub("\n$", "") .. (" "):rep(columns - used - #mark) .. painted .. "\n"
  end
  return shown .. (" "):rep(math.max(0, columns - #mark)) .. painted .. "\n"
end

local function shown_results(results)
  local out, o = {}, { width = host.columns() }
  for i = 1, results.n do
    -- A single nil means "nothing to say"; among several results it keeps the others in place.
    if results[i] ~= nil or results.n > 1 then out[#out + 1] = pretty.format(results[i], o) .. "\n" end
  end
  return table.concat(out)
end

local function print_results(results, elapsed)
  if results.n > 0 and results[1] ~= nil then env.remember(inputs, results[1]) end
  if live.take(results[1]) then return end  -- it was written while it was produced, with its time
  local shown = results.print and shown_results(results) or ""
  shown = with_elapsed(shown, elapsed)
  if shown ~= "" then host.write(shown) end
end

local function show_error(e)
  -- Syntax errors and interrupts are not worth losing the last real error for.
  if e.code ~= "interrupted" then env.remember_error(e) end
  report.show(e)
  return false
end

--- Evaluates Lua code as one input and prints its results or its error.
--- @param code string
--- @return boolean ok
function M.eval(code)
  inputs = inputs + 1
  live.enable(live.is_call(code))
  local results, e, elapsed = evaluate.run(code, inputs)
  live.stop()
  local tools = package.loaded["lm.tool"]
  if tools then tools.refresh() end
  if not results then return show_error(e) end
  -- Printing runs __tostring of the user's objects, which may raise too.
  local printed, print_error = evaluate.call(print_results, results, elapsed)
  if not printed then return show_error(print_error) end
  return true
end

-- Words people type that are no Lua; a variable of that name wins.
local function bare_word(input)
  local word = input:match("^%s*(%a+)%s*%(?%s*%)?%s*;?%s*$")
  if not word or env.get(word) ~= nil then return nil end
  return commands.bare_words[word]
end

local function run_command(command)
  local results, e = evaluate.call(commands.run, command)
  if not results then return show_error(e) end
  return results[1] ~= false
end

--- Runs one input: Lua, `?help`, `:command` or `$ shell`; prints results or the error.
--- @param input string
--- @return boolean ok  true when nothing failed
function M.run(input)
  input = without_prompts(input)
  if not input:find("%S") then return true end
  local command = commands.parse(input)
  if command then return run_command(command) end
  local word = bare_word(input)
  if word then
    host.write(word .. "\n")
    return true
  end
  return M.eval(input)
end

--- Candidates for the word that ends at the cursor; see lm.complete.
--- @param input string
--- @param cursor integer  bytes before the cursor
--- @param full? boolean  also fill `doc`
--- @return table  `{from, items = {{text, label, doc}}}`
function M.complete(input, cursor, full)
  local ok, found = pcall(require("lm.complete").complete, input, cursor, full)
  if ok then return found end
  return { from = cursor, items = {} }
end

--- The signature of the call being typed, shown grey after the cursor.
--- @param input string
--- @param cursor integer
--- @return string? hint
function M.hint(input, cursor)
  local ok, hint = pcall(require("lm.hint").hint, input, cursor)
  return ok and hint or nil
end

-- The loader of scripts skips a first line that starts with "#", but keeps its newline for the line numbers.
local function without_shebang(source)
  return (source:gsub("^#[^\n]*", "", 1))
end

local function exit_after(e)
  if e.code ~= "interrupted" then env.remember_error(e) end
  report.show_full(e)
  return errors.exit_code(e)
end

--- Runs a script with the JIT compiler on; `arg` and `...` hold its arguments.
--- @param source string
--- @param chunkname string  "@path" for a file, "=(command line)" for `-e`
--- @param args? string[]
--- @return integer exit_code  0, 1 error, 2 bad usage, 130 interrupted
function M.script(source, chunkname, args)
  args = args or {}
  if not chunkname:find("^[@=]") then chunkname = "=" .. chunkname end
  source = without_shebang(source)
  require("lm.sources").keep((chunkname:gsub("^[@=]", "")), source)
  local f, message = loadstring(source, chunkname)
  if not f then
    local where, rest = message:match("^(.-:%d+): (.*)$")
    local hint = require("lm.friendly").compile(message:gsub("^.-:(%d+:)", ":%1"), source)
    return exit_after(errors.wrap({ code = "bad_option", message = rest or message, where = where, hint = hint,
      traceback = "" }))
  end
  local previous = rawget(_G, "arg")
  _G.arg = args
  local results, e = evaluate.call(f, unpack(args, 1, #args))
  _G.arg = previous
  if not results then return exit_after(e) end
  return 0
end

-- What the banner says about the machine and the model that lm.chat would use; nothing is loaded for it.
local function machine_parts()
  local parts = {}
  local ok, machine = pcall(require, "lm.engine.machine")
  if not ok then return parts end
  local info = machine.info()
  parts[1] = ("CPU %d %s %s"):format(info.cores, info.cores == 1 and "core" or "cores", info.features)
  local first = require("lm.catalogue")[1]
  if require("lm.models").entry_path(first) then
    parts[2] = ("model %s (%s, %s)"):format(first.name, first.quantization, text.bytes(first.bytes))
  end
  return parts
end

--- The lines shown at start: version, device, model, where help is.
--- @return string
function M.banner()
  local parts = { "lmfast " .. host.version }
  for _, part in ipairs(machine_parts()) do parts[#parts + 1] = part end
  parts[#parts + 1] = "? for help"
  local line = table.concat(parts, "  \194\183  ")
  if text.width(line) <= host.columns() then return line end
  return table.concat(parts, "\n")
end

--- Says what still runs and would be lost, or nil when leaving is safe.
--- @return string? message
function M.leave()
  local running = require("lm.jobs").running()
  for _, describe in ipairs(M.leave_hooks) do
    local what = describe()
    if what then running[#running + 1] = what end
  end
  if #running == 0 then return nil end
  return ("still running: %s"):format(text.join_words(running))
end

--- Functions that name what runs besides jobs (servers add themselves here); each returns a text or nil.
M.leave_hooks = {}

--- Forgets all variables and results; the numbering goes on.
function M.reset()
  env.reset()
end

return M
