--- Objects with an end: frees what they hold when a function is done, whatever happens in it.

local define = require("lm.define")
local errors = require("lm.errors")

local M = {}

-- The verbs that end an object, in the order they are looked for.
local endings = { "free", "close", "stop" }

local function ending_of(object)
  for _, name in ipairs(endings) do
    local ok, method = pcall(function() return object[name] end)
    if ok and method then return method end
  end
end

local function finish(object, ending, ok, ...)
  ending(object)
  if not ok then error((...), 0) end
  return ...
end

--- Calls a function with an object and frees the object afterwards, also after an error.
---
--- ```lua
--- lm.using(lm.load "smol", function(m) print(m:generate "Hi") end)
--- ```
M.using = define("lm.using", {
  args = {
    { name = "object", type = "userdata|table", required = true, doc = "has a method free, close or stop" },
    { name = "fn", type = "function", required = true, doc = "gets the object; its results are returned" },
  },
  returns = "any",
}, function(object, fn)
  local ending = ending_of(object)
  if not ending then
    errors.raise("bad_option", "lm.using: the object has no method free, close or stop", { help = "lm.using" })
  end
  return define.pass(finish(object, ending, xpcall(fn, errors.wrap, object)))
end)

return M
