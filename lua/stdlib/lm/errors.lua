--- Error objects: `{code, message, hint, where, traceback}`, as the C++ side throws them.
--- `where` names the user's line, not the line inside the library that noticed the problem.

local sources = require("lm.sources")

local M = {}

--- The closed list of error codes; exit codes, HTTP statuses and JSON-RPC errors are derived from it.
M.codes = {
  "bad_option", "bad_shape", "not_found", "io", "bad_file", "unsupported", "out_of_memory", "interrupted",
  "timeout", "denied", "network", "internal",
}

--- The function below which the stack belongs to the shell itself; lm.evaluate sets it.
M.barrier = nil

local meta = { __name = "lm.Error" }

--- Writes an error like Lua does: place, then message.
function meta.__tostring(e)
  local text = e.where and e.where .. ": " .. e.message or e.message
  if e.help then text = text .. "\n  help: ?" .. e.help end
  return text
end

--- Tells whether a value is an error object of lmfast, from Lua or from C++.
--- @param e any
--- @return boolean
function M.is(e)
  return type(e) == "table" and type(rawget(e, "code")) == "string" and type(rawget(e, "message")) == "string"
end

--- Finds the innermost frame outside the standard library: the line the user wrote.
--- @param level? integer  stack level to start at
--- @return string? where  such as "(repl:7):3"
function M.user_place(level)
  for i = (level or 1) + 1, 200 do
    local info = debug.getinfo(i, "Slf")
    if not info or info.func == M.barrier then return nil end
    if info.what ~= "C" and info.currentline > 0 and not sources.is_stdlib(info.source) then
      return sources.display(info.source) .. ":" .. info.currentline
    end
  end
end

--- Makes an error object at the user's line.
--- @param code string  one of `errors.codes`
--- @param message string
--- @param extra? table  more fields: hint, help, problems, where
--- @return table e
function M.new(code, message, extra)
  local e = { code = code, message = message, where = M.user_place(2) }
  for key, value in pairs(extra or {}) do e[key] = value end
  return setmetatable(e, meta)
end

--- Raises an error object at the user's line.
--- @param code string  one of `errors.codes`
--- @param message string
--- @param extra? table  more fields: hint, help, problems, where
function M.raise(code, message, extra)
  local e = M.new(code, message, extra)
  error(e, 0)
end

-- Splits what Lua's own errors put in front: "(repl:7):3: text" or "dir/file.lua:12: text".
local function split_place(message)
  local chunk, line, rest = message:match("^(%([%w:%-]+%)):(%d+): (.*)$")
  if not chunk then chunk, line, rest = message:match("^([^\n:]+):(%d+): (.*)$") end
  return chunk, line, rest
end

local function from_string(message)
  local chunk, line, rest = split_place(message)
  if not chunk then return { code = "internal", message = message, where = M.user_place(3) } end
  local inside = sources.is_stdlib("@" .. chunk) or sources.is_stdlib("=" .. chunk)
  local e = { code = "internal", message = rest, where = chunk .. ":" .. line }
  if inside then
    e.inside, e.where = e.where, M.user_place(3) or e.where
  end
  return e
end

local function describe_frame(info)
  local kind = info.namewhat == "method" and "method" or "function"
  local name = info.name and ("in %s '%s'"):format(kind, info.name)
  if not name then
    name = info.what == "main" and "in main chunk" or ("in function <%s:%d>"):format(
      sources.display(info.source), info.linedefined)
  end
  if info.what == "C" then return "[C]: " .. name end
  return ("%s:%d: %s"):format(sources.display(info.source), info.currentline, name)
end

--- Writes the call stack; runs of library frames become one line, and the ones below the user's code are left out.
--- @param level? integer
--- @param full? boolean  do not fold
--- @return string text
--- @return integer frames  that are not folded
function M.traceback(level, full)
  local lines, folded, frames = { "traceback:" }, 0, 0
  for i = (level or 1) + 1, 60 do
    local info = debug.getinfo(i, "Snlf")
    if not info or info.func == M.barrier then break end
    if not full and (info.what == "C" or sources.is_stdlib(info.source)) then
      -- What stands above the user's innermost frame is how the error was raised; that tells nothing.
      if frames > 0 then folded = folded + 1 end
    else
      if folded > 0 then lines[#lines + 1] = ("  ... %d library frame%s"):format(folded, folded == 1 and "" or "s") end
      folded = 0
      lines[#lines + 1] = "  " .. describe_frame(info)
      frames = frames + 1
    end
  end
  return table.concat(lines, "\n"), frames
end

--- Turns anything that was raised into an error object with place and traceback; a handler for `xpcall`.
--- @param e any
--- @return table e
function M.wrap(e)
  if not M.is(e) then
    if type(e) == "string" then
      e = from_string(e)
    else
      local text = type(e) == "table" and rawget(e, "message") or require("lm.pretty").format(e)
      e = { code = "internal", message = "error value: " .. tostring(text), value = e, where = M.user_place(2) }
    end
    setmetatable(e, meta)
  end
  e.where = e.where or M.user_place(2)
  if not e.traceback then e.traceback, e.frames = M.traceback(2) end
  return e
end

--- Returns the process exit code for an error: 2 bad usage, 130 interrupted, else 1.
--- @param e table
--- @return integer
function M.exit_code(e)
  if e.code == "interrupted" then return 130 end
  return e.usage and 2 or 1
end

return M
