--- The progress line of downloads.

local host = require("lm.host")
local text = require("lm.text")

local M = {}

local function clock(seconds)
  if seconds >= 3600 then return ("%d:%02d:%02d"):format(seconds / 3600, seconds % 3600 / 60, seconds % 60) end
  return ("%d:%02d"):format(seconds / 60, seconds % 60)
end

--- Writes what a download has done: bytes, rate, time left.
--- @param p table  done, total (0: unknown), bytes_per_s, eta_s, state
--- @return string
function M.describe(p)
  local parts = {}
  if (p.total or 0) > 0 then
    parts[#parts + 1] = ("%s of %s"):format(text.bytes(p.done), text.bytes(p.total))
  elseif (p.done or 0) > 0 then
    parts[#parts + 1] = text.bytes(p.done)
  end
  if (p.bytes_per_s or 0) > 0 then parts[#parts + 1] = text.bytes(p.bytes_per_s) .. "/s" end
  if p.eta_s then parts[#parts + 1] = clock(p.eta_s) .. " left" end
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
      host.job_progress(fraction, what .. "  " .. M.describe(p))
    end
    host.pump()
  end
end

return M
