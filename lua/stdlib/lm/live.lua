--- Shows text on the terminal while it is produced. The prompt switches it on for inputs that are one call whose value
--- would be printed (`lm.chat "hi"`); scripts and `x = lm.chat "hi"` get the value only.

local host = require("lm.host")

local M = {}

-- enabled: the current input is such a call. shown: the text that stands on the screen already. open: an answer has
-- begun and its line has no end yet.
local enabled, shown, open = false, nil, false

--- Switches streaming on or off for one input; the prompt calls it before running the input.
--- @param on boolean
function M.enable(on)
  enabled, shown, open = on and host.is_tty(), nil, false
end

--- Tells whether an input is nothing but one call, such as `m:chat():say "hi"`: names, fields, indexes and calls in
--- a row, a call last. Then its value would be printed, and may as well be shown while it comes.
--- @param code string
--- @return boolean
function M.is_call(code)
  local closes = { ["("] = ")", ["["] = "]", ["{"] = "}" }
  local stack, last, started = {}, nil, false
  for _, token in ipairs(require("lm.lex").tokens(code)) do
    local t = token.text
    if token.kind == "comment" then goto continue end
    if closes[t] and token.kind == "symbol" then
      if not started then return false end
      stack[#stack + 1] = closes[t]
    elseif #stack > 0 then
      if t == stack[#stack] and token.kind == "symbol" then
        table.remove(stack)
        last = t == "]" and "index" or "call"
      end
    elseif token.kind == "name" then
      if last ~= nil and last ~= "dot" then return false end
      if not started and t == "print" then return false end
      last, started = "name", true
    elseif t == "." or t == ":" then
      last = "dot"
    elseif token.kind == "string" and started then
      last = "call"
    else
      return false
    end
    ::continue::
  end
  return #stack == 0 and last == "call"
end

--- Ends what `enable` began, whatever the input did. An answer that was interrupted gets its line end.
function M.stop()
  if open then host.write("\n") end
  enabled, open = false, false
end

--- Tells whether the next answer should be streamed to the terminal.
--- @return boolean
function M.wanted()
  return enabled
end

--- Shows a piece of an answer.
--- @param piece string
function M.write(piece)
  if piece == "" then return end
  open = true
  host.write(piece)
end

--- Ends the streamed answer with its numbers, dim, at the right edge where they fit.
--- @param answer string  the whole text
--- @param stats table  engine statistics
function M.finish(answer, stats)
  enabled, shown, open = false, answer, false
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

--- Tells whether a result is the text that was just streamed (or a record of it), so that the prompt does not print it
--- again. Only once.
--- @param value any
--- @return boolean
function M.take(value)
  local text = type(value) == "table" and rawget(value, "text") or value
  local same = shown ~= nil and text == shown
  shown = nil
  return same
end

return M
