--- Runs one call of a tool: arguments checked, time and output limited, the result as text and value.

local errors = require("lm.errors")
local host = require("lm.host")
local json = require("lm.json")
local text = require("lm.text")

local M = {}

--- Calls as templates and APIs list them: without what only we know.
--- @param calls? table[]
--- @return table[]?
function M.listed(calls)
  if not calls then return nil end
  local list = json.array()
  for i, call in ipairs(calls) do
    list[i] = { id = call.id, type = "function", ["function"] = call["function"] }
  end
  return list
end

-- The contexts of the calls that run, innermost last; and what coroutines left when they yielded, by thread.
local running, asleep = {}, setmetatable({}, { __mode = "k" })

local function problems_text(problems, what)
  local lines = {}
  for i, problem in ipairs(problems) do
    if i > 8 then break end
    lines[i] = ("%s: %s"):format(problem.path == "" and what or problem.path:sub(2), problem.message)
  end
  return table.concat(lines, "; ")
end

local function failed(code, message, start)
  return { error = message, code = code, text = "Error: " .. message, seconds = start and host.now() - start or 0 }
end

-- Instructions between two looks at the clock.
local LOOK = 10000

-- Without the compiler: compiled loops would never come to the hook.
local function limited(f, seconds, context)
  jit.off(f, true)
  local deadline, is_cancelled = host.now() + seconds, context.is_cancelled
  return function(...)
    debug.sethook(function()
      if host.now() > deadline + (context.slept or 0) then
        errors.raise("timeout", ("it took longer than %g s"):format(seconds))
      end
      if is_cancelled and is_cancelled() then errors.raise("interrupted", "the call was cancelled") end
    end, "", LOOK)
    local results = { pcall(f, ...) }
    -- An interrupt that came meanwhile has a hook of its own.
    if not host.interrupt_pending() then debug.sethook() end
    return unpack(results, 1, 2)
  end
end

local function call_here(tool, arguments, context)
  local f = limited(tool.run, tool.timeout, context)
  if tool.names then
    local values = {}
    for i, name in ipairs(tool.names) do values[i] = arguments[name] end
    return f(unpack(values, 1, #tool.names))
  end
  return f(arguments)
end

--- Runs a function in a job; see `call_in_worker`.
--- @param code string  as string.dump made it
--- @param arguments table
--- @param names string[]|false
--- @return any
function M.in_worker(code, arguments, names)
  local f = loadstring(code, "=tool")
  if not names then return f(arguments) end
  local values = {}
  for i, name in ipairs(names) do values[i] = arguments[name] end
  return f(unpack(values, 1, #names))
end

--- Goes on with a coroutine that calls tools. What it leaves behind when it yields, its contexts and its limit of time,
--- comes back the next time; the time between does not count.
--- @param thread thread
--- @return boolean ok
--- @return any ...  as coroutine.resume
function M.resume(thread)
  local base, left = #running, asleep[thread]
  local hook, mask, count = debug.gethook()
  if left then
    for i, context in ipairs(left.contexts) do
      context.slept = (context.slept or 0) + host.now() - left.since
      running[base + i] = context
    end
    debug.sethook(left.hook, left.mask, left.count)
  end
  local results = { coroutine.resume(thread) }
  local sleeping = { contexts = { unpack(running, base + 1) }, since = host.now() }
  sleeping.hook, sleeping.mask, sleeping.count = debug.gethook()
  for i = #running, base + 1, -1 do running[i] = nil end
  asleep[thread] = coroutine.status(thread) ~= "dead" and sleeping or nil
  if not host.interrupt_pending() then debug.sethook(hook, mask, count) end
  return unpack(results, 1, 3)
end

-- In a job: a state and a thread of its own.
local function call_in_worker(tool, arguments, context)
  local id = host.job_spawn{ name = "tool " .. tool.name, module = "lm.tool_call", fn = "in_worker",
    args = { string.dump(tool.run), arguments, tool.names or false } }
  local deadline = host.now() + tool.timeout
  while context.sleep and host.job_info(id).state == "running" and host.now() < deadline do context.sleep(0.01) end
  local state = host.job_wait(id, math.max(0, deadline - host.now()))
  if state == "done" then return true, (host.job_result(id)) end
  host.job_stop(id)
  if state == "failed" then return false, host.job_info(id).error end
  return false, errors.new("timeout", ("it took longer than %g s"):format(tool.timeout))
end

-- Null in arguments that are not required means that they are absent.
local function without_nulls(arguments)
  local out = {}
  for name, value in pairs(arguments) do
    if value ~= json.null then out[name] = value end
  end
  return out
end

local function as_text(value)
  if value == nil then return "null" end
  if type(value) == "string" then return value end
  if type(value) == "table" then
    local meta = getmetatable(value)
    local fine, encoded = pcall(json.encode, value)
    if fine and not (meta and meta.__tostring) then return encoded end
  end
  return tostring(value)
end

local function shortened(s, max)
  if #s <= max then return s end
  local cut = s:sub(1, max):gsub("[\192-\247][\128-\191]*$", "")
  return ("%s\n... (%s more)"):format(cut, text.bytes(#s - #cut))
end

local function check_result(tool, value)
  if not tool.returns_json then return nil end
  local fine, encoded = pcall(json.encode, value == nil and json.null or value)
  if not fine then return "the result cannot be written as JSON" end
  local valid = json.validate(encoded, tool.returns_json)
  if valid ~= true then return "the result does not fit: " .. problems_text(valid, "result") end
end

local function count(tool, seconds)
  tool.calls, tool.seconds = (tool.calls or 0) + 1, (tool.seconds or 0) + seconds
end

--- Calls a tool.
--- @param tool table
--- @param arguments_json string
--- @param context? table  {is_cancelled = fun(): boolean, on_progress = fun(fraction, message), ...}
--- @return table outcome  {text, value, seconds}, and {error, code} when it failed
function M.run(tool, arguments_json, context)
  context = context or {}
  local arguments, message = json.decode(arguments_json)
  if type(arguments) ~= "table" then
    return failed("bad_option", ("the arguments are no JSON object: %s"):format(message or arguments_json:sub(1, 80)))
  end
  local valid = json.validate(arguments_json, tool.params_json)
  if valid ~= true then
    return failed("bad_option", "the arguments do not fit: " .. problems_text(valid, "arguments"))
  end
  local start = host.now()
  running[#running + 1] = context
  -- A tool that is defined anew during the call goes on as it was.
  local fine, ok, value
  if tool.worker then
    fine, ok, value = pcall(call_in_worker, tool, without_nulls(arguments), context)
  else
    fine, ok, value = pcall(call_here, tool, without_nulls(arguments), context)
  end
  running[#running] = nil
  count(tool, host.now() - start)
  if not fine or not ok then
    local raised = ok
    if fine then raised = value end
    if context.passes and context.passes(raised) then error(raised, 0) end
    local e = errors.wrap(raised)
    if e.code == "interrupted" and not context.is_cancelled then error(e, 0) end
    return failed(e.code, tostring(e.message), start)
  end
  local problem = check_result(tool, value)
  if problem then return failed("internal", problem, start) end
  return { value = value, text = shortened(as_text(value), tool.max_output), seconds = host.now() - start }
end

--- Reports progress of the tool that is running; outside of one it does nothing.
--- @param fraction number  0..1
--- @param message? string
function M.progress(fraction, message)
  local context = running[#running]
  if context and context.on_progress then context.on_progress(fraction, message) end
end

--- The context of the tool that is running.
--- @return table? context
function M.context()
  return running[#running]
end

return M
