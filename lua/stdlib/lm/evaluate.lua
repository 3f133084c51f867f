--- Compiles and runs what is typed: expression first, then statements; keeps top-level locals.
---
--- Typed code runs with the JIT compiler off: compiled loops do not test for Ctrl-C. Library code stays compiled.

local env = require("lm.env")
local errors = require("lm.errors")
local friendly = require("lm.friendly")
local host = require("lm.host")
local lex = require("lm.lex")
local sources = require("lm.sources")

local M = {}

-- Called at the end of a typed chunk; level 2 is that chunk, its live locals are the top-level ones.
function env.save_function()
  for i = 1, 250 do
    local name, value = debug.getlocal(2, i)
    if not name then return end
    if name:find("^[%a_]") then env.set(name, value) end
  end
end

-- "return nil, x" instead of "return x": a call in tail position would lose the chunk's frame, and with it the line
-- that error messages point at.
local function compile_expression(text, name)
  local f, message = loadstring("return nil, " .. text, "=" .. name)
  return f, message
end

local function compile_chunk(text, name)
  local f, message = loadstring(text, "=" .. name)
  if not f then return nil, message end
  -- The call stands on a line of its own, so that line numbers stay; a chunk that ends in return has no such line.
  local saving = loadstring(("%s\n%s()"):format(text, env.save_name), "=" .. name)
  return saving or f
end

-- A last `;` silences the result; comments after it do not count.
local function without_semicolon(text)
  local last
  for _, token in ipairs(lex.tokens(text)) do
    if token.kind ~= "comment" then last = token end
  end
  if last and last.text == ";" then return text:sub(1, last.from - 1) .. text:sub(last.to + 1), true end
  return text, false
end

local function incomplete_message(message)
  -- A quoted string never continues on the next line, so waiting for more would be a trap.
  return message ~= nil and message:find("near '<eof>'$") ~= nil and not message:find("unfinished string near", 1, true)
end

--- Tells whether a text is a whole input; false while more lines are needed.
--- @param text string
--- @return boolean
function M.is_complete(text)
  if not text:find("%S") then return true end
  local only_docs = true
  for line in (text .. "\n"):gmatch("(.-)\n") do
    if line:find("%S") and not line:find("^%s*%-%-%-") then only_docs = false end
  end
  if only_docs then return false end
  local expression, expression_message = compile_expression(without_semicolon(text), "input")
  if expression then return true end
  local chunk, chunk_message = loadstring(text, "=input")
  return chunk ~= nil or not (incomplete_message(expression_message) or incomplete_message(chunk_message))
end

local function compile_error(message, text)
  local where, rest = message:match("^(%([%w:%-]+%):%d+): (.*)$")
  return errors.wrap({
    code = "bad_option", message = rest or message, where = where, hint = friendly.compile(message, text),
    traceback = "", syntax = true,
  })
end

--- Compiles an input.
--- @param text string
--- @param name string  chunk name, such as "(repl:3)"
--- @return function? f
--- @return table|boolean  an error object; or whether the results are to be printed
--- @return boolean? is_expression
function M.compile(text, name)
  local body, silent = without_semicolon(text)
  -- "= x" is how the plain Lua prompt prints a value.
  local f = compile_expression((body:gsub("^%s*=%s*", "", 1)), name)
  local is_expression = f ~= nil
  if not f then
    local message
    f, message = compile_chunk(text, name)
    if not f then return nil, compile_error(message, text) end
  end
  setfenv(f, env.table)
  jit.off(f, true)
  return f, not silent, is_expression
end

-- The one place where an interrupt ends: the hook stays armed until the top level clears it here, inside the
-- handler, where hooks do not run. Code that catches all errors thus cannot swallow Ctrl-C.
local function handler(e)
  local wrapped = errors.wrap(e)
  if wrapped.code == "interrupted" then host.interrupt_clear() end
  return wrapped
end

local function finish(started, ok, ...)
  local elapsed = host.now() - started
  if host.interrupt_pending() then host.interrupt_clear() end
  if ok then return { n = select("#", ...), ... }, nil, elapsed end
  return nil, (...), elapsed
end

--- Calls a function at the top level.
--- @param f function
--- @param ... any
--- @return table? results  with n
--- @return table? error
--- @return number elapsed  seconds
function M.call(f, ...)
  return finish(host.now(), xpcall(f, handler, ...))
end

errors.barrier = M.call

--- Compiles and runs an input under its number.
--- @param text string
--- @param n integer
--- @return table? results  with n and `print`
--- @return table? error
--- @return number elapsed  seconds
function M.run(text, n)
  local name = ("(repl:%d)"):format(n)
  sources.keep(name, text)
  local f, shown, is_expression = M.compile(text, name)
  if not f then return nil, shown, 0 end
  local results, e, elapsed = M.call(f)
  if results then
    -- Drops the nil that keeps the chunk's frame (see compile_expression).
    if is_expression then results = { n = results.n - 1, unpack(results, 2, results.n) } end
    results.print = shown
  end
  return results, e, elapsed
end

return M
