-- A small session for tests of the prompt's C++ side: plain Lua in, plain values out.
local host = require("lm.host")

local M = {}

local function compile(text)
  local chunk = loadstring("return " .. text, "=input")
  if chunk then return chunk end
  return loadstring(text, "=input")
end

local function handler(e)
  if type(e) == "table" and e.code == "interrupted" then host.interrupt_clear() end
  return e
end

local function outcome(ok, ...)
  if not ok then
    local e = ...
    host.write_err((type(e) == "table" and e.code == "interrupted") and "interrupted\n" or "error: " .. tostring(e) ..
      "\n")
    return false
  end
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    if value ~= nil then host.write(tostring(value) .. "\n") end
  end
  return true
end

function M.is_complete(text)
  local chunk, message = compile(text)
  return chunk ~= nil or not message:find("near '<eof>'$")
end

function M.run(text)
  local chunk, message = compile(text)
  if not chunk then
    host.write_err("error: " .. message .. "\n")
    return false
  end
  jit.off(chunk, true)
  return outcome(xpcall(chunk, handler))
end

local words = { "alpha", "alphabet", "alpine", "beta", "print" }

function M.complete(text, cursor, full)
  local word = text:sub(1, cursor):match("[%w_]*$")
  local items = {}
  for _, name in ipairs(words) do
    if name:sub(1, #word) == word then
      items[#items + 1] = { text = name, label = name, doc = full and "doc of " .. name or nil }
    end
  end
  return { from = cursor - #word, items = items }
end

function M.hint(text)
  return text:match("print%($") and "value, ..." or nil
end

function M.script(source, name, args)
  _G.arg = args
  local chunk, message = loadstring(source, name)
  if not chunk then
    host.write_err("error: " .. message .. "\n")
    return 1
  end
  local ok, e = xpcall(chunk, handler, unpack(args))
  if not ok then
    host.write_err("error: " .. tostring(e) .. "\n")
    return type(e) == "table" and e.code == "interrupted" and 130 or 1
  end
  return 0
end

function M.banner() return "ready" end

function M.leave()
  for _, job in ipairs(host.job_list()) do
    if job.state == "running" then return "still running: " .. job.name end
  end
end

return M
