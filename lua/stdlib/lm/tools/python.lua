--- Python code in a process of its own, behind bubblewrap: no network, no files but a folder that goes with it, no
--- environment, limits on time and memory. Where the machine does not allow that, it refuses.

local engine = require("lm.engine.files")
local errors = require("lm.errors")

local M = {}

--- @param config table  {seconds = 10, memory = 512 MiB}
--- @return table tool
function M.make(config)
  return {
    name = "python", doc = "Runs Python 3 code without access to files or the network, and returns what it prints.",
    permissions = { "process" }, timeout = (config.seconds or 10) + 5,
    params = { type = "object", required = { "code" }, additionalProperties = false, properties = {
      code = { type = "string", description = "the code; print shows values" } } },
    run = function(o)
      local seconds, memory = config.seconds or 10, config.memory or 512 * 1024 * 1024
      local outcome = engine.run_confined({ "python3", "-I", "-" }, o.code, seconds, memory, 50000)
      if outcome.status ~= 0 then
        errors.raise("bad_option", ("%s%s"):format(outcome.output, outcome.reason or ("exit code " .. outcome.status)))
      end
      return outcome.output
    end,
  }
end

return M
