--- The session's variables: what typed code reads and writes.
---
--- Reads fall back to `_G` and are strict: an unknown name raises with a suggestion. `_ __ ___ _err Out` live beside
--- the variables, so that listings show only what the user made. `Out` holds engine objects weakly: a forgotten
--- result must not pin a model's memory.

local errors = require("lm.errors")
local friendly = require("lm.friendly")
local host = require("lm.host")
local text = require("lm.text")

local M = {}

local RING = 100
local declared, specials, warned = {}, {}, {}
local special_names = { _ = true, __ = true, ___ = true, _err = true, Out = true }
local strong, weak = {}, setmetatable({}, { __mode = "v" })
local newest = 0

-- Lua's own names and the root table: assigning them is allowed, but seldom meant.
local stdlib_names = { lm = true }
for name in pairs(_G) do
  if type(name) == "string" then stdlib_names[name] = true end
end

local out_meta = { __name = "Out" }

function out_meta.__index(_, n)
  local value = strong[n]
  if value == nil then value = weak[n] end
  return value
end

function out_meta.__newindex()
  error("Out is kept by the shell", 2)
end

function out_meta.__tostring()
  local lines = {}
  for n = math.max(1, newest - RING + 1), newest do
    local value = out_meta.__index(nil, n)
    if value ~= nil then
      local shown = require("lm.pretty").format(value, { width = 70 })
      lines[#lines + 1] = ("[%d] %s"):format(n, text.clip(text.lines(shown)[1] or "", 72))
    end
  end
  return #lines > 0 and table.concat(lines, "\n") or "Out: no results yet"
end

--- Lists every name that typed code can read: session variables, globals and the result variables.
--- @return string[] names  sorted
function M.visible_names()
  local seen = {}
  for _, source in ipairs({ M.table, _G, special_names }) do
    for name in next, source do
      if type(name) == "string" then seen[name] = true end
    end
  end
  return text.sorted_keys(seen)
end

local function undefined(name)
  local foreign = friendly.foreign_words[name]
  local near = text.nearest(name, M.visible_names())
  local message = ("undefined variable `%s`"):format(name)
  if near then message = message .. (", did you mean `%s`?"):format(near) end
  local hint = foreign and ("in Lua this is %s"):format(foreign) or friendly.odd_name(name)
  errors.raise("not_found", message, { hint = hint })
end

local meta = {}

function meta.__index(_, name)
  if special_names[name] then return specials[name] end
  if name == M.save_name then return M.save_function end
  local value = _G[name]
  if value == nil and not declared[name] and type(name) == "string" then undefined(name) end
  return value
end

local function warn_overwrite(name)
  if not stdlib_names[name] or warned[name] then return end
  warned[name] = true
  host.write_err(("warning: `%s` now hides the one of the library; `%s = nil` brings it back\n"):format(name, name))
end

function meta.__newindex(env, name, value)
  if special_names[name] then
    specials[name] = value
    return
  end
  warn_overwrite(name)
  declared[name] = true
  rawset(env, name, value)
end

--- The environment table of typed code.
M.table = setmetatable({}, meta)

--- The name under which typed chunks call the function that saves their locals.
M.save_name = "__lm_save_locals"

--- Stores a variable as if the user had assigned it.
--- @param name string
--- @param value any
function M.set(name, value)
  if rawget(M.table, name) == nil then
    meta.__newindex(M.table, name, value)
  else
    rawset(M.table, name, value)
  end
end

--- Reads a variable without raising.
--- @param name string
--- @return any
function M.get(name)
  if special_names[name] then return specials[name] end
  local value = rawget(M.table, name)
  if value == nil then value = rawget(_G, name) end
  return value
end

--- Lists the user's variables.
--- @return string[] names  sorted
function M.variables()
  return text.sorted_keys(M.table)
end

--- Remembers the first result of an input as `_` and `Out[n]`; `Out` itself is left out, it would contain itself.
--- @param n integer  number of the input
--- @param value any
function M.remember(n, value)
  if value == specials.Out then return end
  specials.___, specials.__, specials._ = specials.__, specials._, value
  local store = type(value) == "userdata" and weak or strong
  store[n] = value
  for old = newest - RING + 1, n - RING do
    strong[old], weak[old] = nil, nil
  end
  newest = n
end

--- Remembers the last error as `_err`.
--- @param e table
function M.remember_error(e)
  specials._err = e
end

--- Removes all variables and results.
function M.reset()
  for name in pairs(M.table) do M.table[name] = nil end
  for name in pairs(declared) do declared[name] = nil end
  for name in pairs(specials) do specials[name] = nil end
  for n in pairs(strong) do strong[n] = nil end
  for n in pairs(weak) do weak[n] = nil end
  specials.Out = setmetatable({}, out_meta)
end

specials.Out = setmetatable({}, out_meta)

return M
