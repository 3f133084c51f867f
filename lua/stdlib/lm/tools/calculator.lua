--- Arithmetic, as people write it.

local errors = require("lm.errors")
local sandbox = require("lm.sandbox")

local M = {}

local functions = "abs ceil floor sqrt exp log log10 sin cos tan asin acos atan min max pi pow fmod deg rad"

--- @param _ table
--- @return table tool
function M.make(_)
  local prelude = {}
  for name in functions:gmatch("%S+") do prelude[#prelude + 1] = ("%s = math.%s"):format(name, name) end
  return {
    name = "calculator", doc = "Evaluates an arithmetic expression, such as (3 + 4.5) * 2^10 or sqrt(2).",
    params = { type = "object", required = { "expression" }, additionalProperties = false, properties = {
      expression = { type = "string", description = "numbers, + - * / ^ %, parentheses, " .. functions } } },
    returns = { type = "number" },
    run = function(o)
      local expression = o.expression:gsub("%*%*", "^"):gsub("\195\151", "*"):gsub("\195\183", "/")
      expression = expression:gsub("(%d),(%d%d%d)", "%1%2")
      if expression:find("[^%w%s%.%+%-%*/%^%%%(%),]") then
        errors.raise("bad_option", "the expression holds something else than numbers, operators and functions")
      end
      local box = sandbox.new{ seconds = 1, instructions = 1e5 }
      box:run(table.concat(prelude, "\n"))
      local outcome = box:run("return (" .. expression .. ")")
      local value = outcome.results[1]
      if not outcome.ok or type(value) ~= "number" then
        errors.raise("bad_option", outcome.error or "the expression is no number")
      end
      if value ~= value or value == math.huge or value == -math.huge then
        errors.raise("bad_option", "the result is not a number: " .. tostring(value))
      end
      return value
    end,
  }
end

return M
