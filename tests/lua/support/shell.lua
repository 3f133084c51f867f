--- Drives the session in specs: types lines and returns what was printed.

local host = require("lm.host")
local session = require("lm.session")

local M = {}

--- Types inputs one after the other; returns the output of the last, and its errors.
function M.type(...)
  local out, err
  for i = 1, select("#", ...) do
    if host.take then host.take() end
    session.run((select(i, ...)))
    if host.take then out, err = host.take() end
  end
  return out or "", err or ""
end

--- Makes a fake engine object: userdata with a metatable, as the C++ side creates them.
function M.userdata(name, methods, index)
  local object = newproxy(true)
  local meta = getmetatable(object)
  meta.__name = name
  meta.__index = index or methods
  meta.__tostring = function() return name .. " object" end
  return object
end

return M
