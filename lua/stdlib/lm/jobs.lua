--- Background jobs: work that runs in a Lua state of its own on another thread while the prompt stays live.

local define = require("lm.define")
local errors = require("lm.errors")
local host = require("lm.host")
local lex = require("lm.lex")
local pretty = require("lm.pretty")
local sources = require("lm.sources")
local text = require("lm.text")

local M = {}

local active = { queued = true, running = true, stopping = true }
local methods = {}
local job_meta = { __name = "lm.Job" }

-- Completion does not run __index functions; it reads the names from here.
job_meta.__complete = {
  id = "number", name = "string", state = "string", progress = "number", eta_s = "number", message = "string",
  error = "string", elapsed_s = "number",
}

-- Options of jobs that run a defined function, by id: what such a job shows of its own is found through them.
local options_of = {}

function job_meta.__index(job, key)
  if methods[key] then return methods[key] end
  local id = rawget(job, "id")
  local info = host.job_info(id)
  if not info or info[key] ~= nil then return info and info[key] end
  local def = options_of[id] and define.get(info.name)
  return def and def.job and def.job(options_of[id], key)
end

function job_meta.__eq(a, b)
  return rawget(a, "id") == rawget(b, "id")
end

local function clock(seconds)
  if seconds >= 3600 then return ("%d:%02d:%02d"):format(seconds / 3600, seconds % 3600 / 60, seconds % 60) end
  return ("%02d:%02d"):format(seconds / 60, seconds % 60)
end

local function describe(info)
  local parts = { info.name, info.state }
  if info.progress and active[info.state] then parts[#parts + 1] = ("%d%%"):format(info.progress * 100) end
  if info.message and info.message ~= "" then parts[#parts + 1] = info.message end
  if info.eta_s and active[info.state] then parts[#parts + 1] = "eta " .. clock(info.eta_s) end
  if info.error then parts[#parts + 1] = text.lines(tostring(info.error))[1] end
  return table.concat(parts, "  ")
end

function job_meta.__tostring(job)
  local info = host.job_info(rawget(job, "id"))
  return info and ("Job %d  %s"):format(info.id, describe(info)) or ("Job %d  (gone)"):format(rawget(job, "id"))
end

local function object(id)
  return setmetatable({ id = id }, job_meta)
end

--- Asks the job to stop at the next safe point; a training run writes a checkpoint first.
methods.stop = define("Job:stop", { args = {}, returns = "lm.Job" }, function(self)
  host.job_stop(rawget(self, "id"))
  return self
end)

--- Waits until the job has ended and returns its state; Ctrl-C ends the waiting, not the job.
methods.wait = define("Job:wait", {
  args = {
    { name = "timeout_s", type = "number", min = 0, doc = "seconds to wait at most", default_text = "no limit" },
  },
  returns = "string",
}, function(self, timeout_s)
  local deadline = timeout_s and host.now() + timeout_s
  while true do
    local left = deadline and deadline - host.now() or math.huge
    -- Short waits keep the prompt's other work and Ctrl-C alive.
    local state = host.job_wait(rawget(self, "id"), math.max(0, math.min(left, 0.1)))
    if not active[state] or left <= 0 then return state end
    host.pump()
  end
end)

--- Returns what the job returned; waits for its end, and raises the job's error when it failed.
methods.result = define("Job:result", { args = {}, returns = "any" }, function(self)
  methods.wait(self)
  local id = rawget(self, "id")
  local def = define.get((host.job_info(id) or {}).name)
  local restore = def and def.restore or define.pass
  return define.pass(restore(M.checked_result(id, host.job_result(id))))
end)

-- host.job_result returns nil, error for a job that failed or was interrupted.
function M.checked_result(id, ...)
  local info = host.job_info(id) or {}
  if info.state == "done" then return ... end
  local e = select(2, ...)
  if errors.is(e) then error(e, 0) end
  local code = info.state == "interrupted" and "interrupted" or "internal"
  errors.raise(code, ("job %d (%s) %s: %s"):format(id, info.name or "?", info.state or "is gone",
    tostring(e or info.error or "no result")))
end

for name, method in pairs(methods) do job_meta.__complete[name] = method end

--- Lists the jobs of this session, newest last; each row is the job itself.
--- ```lua
--- job = lm.start("return 1 + ...", 2)
--- lm.jobs()[1]:stop()
--- ```
M.jobs = define("lm.jobs", { args = {}, returns = "lm.Job[]" }, function()
  local jobs = M.list()
  return jobs
end)

--- Lists the jobs as records.
--- @return table[] jobs
function M.list()
  local rows = {}
  for _, info in ipairs(host.job_list()) do rows[#rows + 1] = object(info.id) end
  return pretty.as_records(rows, { "id", "name", "state", "progress", "eta_s", "message" }, "no jobs")
end

--- Returns the job with an id.
M.job = define("lm.job", {
  args = { { name = "id", type = "integer", min = 1, required = true, doc = "number shown by lm.jobs()" } },
  returns = "lm.Job",
}, function(id)
  if not host.job_info(id) then
    errors.raise("not_found", ("lm.job: there is no job %d"):format(id), { hint = "lm.jobs() lists them" })
  end
  return object(id)
end)

-- Positions of `function ... end` expressions in a token list, as pairs of tokens.
local function function_spans(tokens)
  local openers = { ["function"] = true, ["if"] = true, ["do"] = true, ["repeat"] = true }
  local stack, spans = {}, {}
  for _, token in ipairs(tokens) do
    if token.kind == "keyword" and openers[token.text] then
      stack[#stack + 1] = token
    elseif token.kind == "keyword" and (token.text == "end" or token.text == "until") then
      local opener = table.remove(stack)
      if opener and opener.text == "function" then spans[#spans + 1] = { opener, token } end
    end
  end
  return spans
end

-- "function name(a) ... end" as the expression "function(a) ... end".
local function as_expression(source, span)
  local code = source:sub(span[1].from, span[2].to)
  return "function" .. code:match("^function[^%(]*(.*)$")
end

--- Finds the source text of a function as an expression, or nil.
--- Several functions may stand on the same lines; the one with the same bytecode is taken.
--- @param f function
--- @return string? expression
function M.source_text(f)
  local info = debug.getinfo(f, "S")
  local whole = info.what ~= "C" and sources.text(info.source)
  if not whole then return nil end
  local slice = sources.slice(whole, info.linedefined, info.lastlinedefined)
  local found = {}
  for _, span in ipairs(function_spans(lex.tokens(slice))) do
    local expression = as_expression(slice, span)
    local make = loadstring("return " .. expression)
    local copy = make and make()
    if copy and string.dump(copy, true) == string.dump(f, true) then return expression end
    if make then found[#found + 1] = expression end
  end
  return #found == 1 and found[1] or nil
end

local function refuse_functions(value, path, seen)
  if type(value) == "function" or type(value) == "thread" then
    errors.raise("bad_option", ("lm.start: %s is a %s; a job gets copies of values, and these cannot be copied"):format(
      path, type(value)), { help = "lm.start" })
  elseif type(value) == "table" and not seen[value] then
    seen[value] = true
    for key, item in pairs(value) do refuse_functions(item, path .. "." .. tostring(key), seen) end
  end
end

local function portable_source(fn)
  local upvalues = {}
  for i = 1, debug.getinfo(fn, "u").nups do upvalues[i] = "`" .. tostring(debug.getupvalue(fn, i)) .. "`" end
  if #upvalues > 0 then
    errors.raise("bad_option",
      ("lm.start: the function uses %s from outside, which a job cannot see"):format(text.join_words(upvalues)),
      { hint = "pass values as arguments: lm.start(function(x) ... end, x)", help = "lm.start" })
  end
  local expression = M.source_text(fn)
  if not expression then
    errors.raise("bad_option", "lm.start: the source text of the function is not known",
      { hint = "pass the code as a string: lm.start(\"return 1 + ...\", 2)", help = "lm.start" })
  end
  return ("return (%s)(...)"):format(expression)
end

--- Runs a function or source text in the background and returns the job.
---
--- The job has a Lua state of its own: it sees its arguments (copies; models are shared) and the library, but not
--- your variables. A function must not use locals from outside.
--- ```lua
--- job = lm.start(function(n) local s = 0 for i = 1, n do s = s + i end return s end, 1e6)
--- job:result()
--- ```
M.start = define("lm.start", {
  args = {
    { name = "work", type = "function|string", required = true, doc = "function or Lua source; gets the arguments" },
  },
  variadic = true, returns = "lm.Job",
}, function(work, ...)
  local args = { ... }
  for i = 1, select("#", ...) do refuse_functions(args[i], "argument " .. i, {}) end
  local source = work
  if type(work) == "function" then
    source = portable_source(work)
  else
    local ok, message = loadstring(work, "=job")
    if not ok then
      errors.raise("bad_option", "lm.start: the source does not compile: " .. message, { help = "lm.start" })
    end
  end
  return object(host.job_spawn({ name = "job", source = source, args = args }))
end)

--- Starts a defined function as a job; `define` calls this for `background = true`.
--- @param def table
--- @param self any  the object of a method
--- @param options table  complete and valid
--- @return table job
function M.spawn_defined(def, self, options)
  if not def.module then
    errors.raise("unsupported", def.name .. ": only functions of library modules can run in the background",
      { hint = "lm.start runs your own functions" })
  end
  local args = { def.module, def.name, self or false, options }
  local id = host.job_spawn({ name = def.name, module = "lm.jobs", fn = "run_defined", args = args })
  if def.job then options_of[id] = options end
  return object(id)
end

--- Runs a defined function inside a job's own Lua state.
--- @param module string
--- @param name string
--- @param self any  false for a function
--- @param options table
--- @return any ...
function M.run_defined(module, name, self, options)
  require(module)
  local def = define.get(name)
  if self then return define.pass(def.impl(self, options)) end
  return define.pass(def.impl(options))
end

--- Names the jobs that still run.
--- @return string[] names
function M.running()
  local names = {}
  for _, info in ipairs(host.job_list()) do
    if active[info.state] then names[#names + 1] = ("job %d (%s)"):format(info.id, info.name) end
  end
  return names
end

--- Writes the compact line about running jobs that stands above the prompt; empty when nothing runs.
M.status_line = define("lm.status_line", {
  args = { { name = "columns", type = "integer", min = 10, doc = "room", default_text = "width of the terminal" } },
  returns = "string",
}, function(columns)
  local parts = {}
  for _, info in ipairs(host.job_list()) do
    if active[info.state] then parts[#parts + 1] = ("[%d] %s"):format(info.id, describe(info)) end
  end
  return text.clip(table.concat(parts, "   "), columns or host.columns())
end)

return M
