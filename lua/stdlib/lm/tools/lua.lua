--- Lua code in the sandbox.

local errors = require("lm.errors")
local json = require("lm.json")
local sandbox = require("lm.sandbox")

local M = {}

--- @param config table  {seconds, memory}
--- @return table tool
function M.make(config)
  return {
    name = "lua",
    doc = "Runs Lua 5.1 code without access to files or the network, and returns what it prints or returns.",
    params = { type = "object", required = { "code" }, additionalProperties = false, properties = {
      code = { type = "string", description = "the code; print shows values" } } },
    run = function(o)
      local outcome = sandbox.new{ seconds = config.seconds, memory = config.memory }:run(o.code)
      local parts = { outcome.output ~= "" and outcome.output or nil }
      for _, value in ipairs(outcome.results) do
        parts[#parts + 1] = type(value) == "table" and json.encode(value) or tostring(value)
      end
      if not outcome.ok then errors.raise("bad_option", table.concat(parts, "\n") .. outcome.error) end
      return table.concat(parts, "\n")
    end,
  }
end

return M
