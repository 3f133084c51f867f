--- The progress line of downloads.

local host = require("lm.host")
local text = require("lm.text")

local M = {}

--- Writes what a download has done: bytes, rate.
--- @param p table  done, total (0: unknown), bytes_per_s, state
--- @return string
function M.describe(p)
  local parts = {}
  if (p.total or 0) > 0 then
    parts[#parts + 1] = ("%s of %s"):format(text.bytes(p.done), text.bytes(p.total))
  elseif (p.done or 0) > 0 then
    parts[#parts + 1] = text.bytes(p.done)
  end
  if (p.bytes_per_s or 0) > 0 then parts[#parts + 1] = text.bytes(p.bytes_per_s) .. "/s" end
  if p.state and p.state ~= "" then parts[#parts + 1] = p.state end
  return table.concat(parts, "  ")
end

--- Returns a function that shows such progress, at most five times a second, and lets the prompt live meanwhile.
--- @param what string  "pulling org/name"
--- @return fun(p: table)
function M.shower(what)
  local shown = 0
  return function(p)
    local now = host.now()
    if now - shown >= 0.2 then
      shown = now
      local fraction = (p.total or 0) > 0 and math.min(p.done / p.total, 1) or 0
      host.job_progress(fraction, what .. "  " .. M.describe(p), p.eta_s)
    end
    host.pump()
  end
end

return M
