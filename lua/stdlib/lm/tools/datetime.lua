--- The date and the time.

local M = {}

--- @param _ table
--- @return table tool
function M.make(_)
  return {
    name = "datetime", doc = "Tells the current date, time and weekday.",
    params = { type = "object", additionalProperties = false, properties = {
      utc = { type = "boolean", description = "in UTC instead of local time" } } },
    run = function(o)
      return o.utc and os.date("!%Y-%m-%dT%H:%M:%SZ, %A") or os.date("%Y-%m-%dT%H:%M:%S%z, %A")
    end,
  }
end

return M
