--- Lua code that nobody vouches for, in a state of its own with limits.

local engine = require("lm.engine.sandbox")
local text = require("lm.text")

local M = {}

local methods = {}
local meta = { __index = methods, __name = "lm.Sandbox" }

--- Makes a sandbox. Its code sees Lua's pure functions and `functions`, which run outside.
--- @param o? table  {seconds, instructions, memory, output, functions = {name = function}}
--- @return table sandbox
function M.new(o)
  o = o or {}
  local functions = o.functions or {}
  local handle = engine.new({ seconds = o.seconds, instructions = o.instructions, memory = o.memory,
    output = o.output }, text.sorted_keys(functions), function(name, ...) return functions[name](...) end)
  return setmetatable({ handle = handle }, meta)
end

--- Runs code; variables stay for the next run.
--- @param source string
--- @return table outcome  {ok, results, n, output, error?, limit?}
function methods:run(source) return engine.run(self.handle, source) end

return M
