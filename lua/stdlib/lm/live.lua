--- Shows text on the terminal while it is produced. The prompt switches it on for inputs that are one call whose value
--- would be printed (`lm.chat "hi"`); scripts and `x = lm.chat "hi"` get the value only.

local host = require("lm.host")

local M = {}

-- enabled: the current input is such a call. shown: the text that stands on the screen already.
local enabled, shown = false, nil

--- Switches streaming on or off for one input; the prompt calls it before running the input.
--- @param on boolean
function M.enable(on)
  enabled, shown = on and host.is_tty(), nil
end

--- Tells whether the next answer should be streamed to the terminal.
--- @return boolean
function M.wanted()
  return enabled
end

--- Shows a piece of an answer.
--- @param piece string
function M.write(piece)
  if piece ~= "" then host.write(piece) end
end

--- Ends the streamed answer with its numbers, dim, at the right edge where they fit.
--- @param answer string  the whole text
--- @param stats table  engine statistics
function M.finish(answer, stats)
  enabled, shown = false, answer
  local seconds = stats.prompt_seconds + stats.decode_seconds
  local note = ("[%d tok  %.1f s]"):format(stats.completion_tokens, seconds)
  local last = answer:match("[^\n]*$")
  local text = require("lm.text")
  local used = (text.width and text.width(last) or #last) % host.columns()
  local room = host.columns() - used - #note - 1
  if room < 1 then
    host.write("\n")
    room = host.columns() - #note - 1
  end
  host.write((" "):rep(room) .. (host.colors() and "\27[2m" .. note .. "\27[0m" or note) .. "\n")
end

--- Tells whether a result is the text that was just streamed, so that the prompt does not print it again. Only once.
--- @param value any
--- @return boolean
function M.take(value)
  local same = shown ~= nil and value == shown
  shown = nil
  return same
end

return M
