--- Shows errors: message, place, source excerpt, hint. Objects come from lm.errors, hints also from lm.friendly.

local host = require("lm.host")
local friendly = require("lm.friendly")
local sources = require("lm.sources")
local text = require("lm.text")

local M = {}

local function paint(color, s)
  return color and ("\27[%sm%s\27[0m"):format(color, s) or s
end

--- Splits "(repl:7):3" or "dir/file.lua:12" into chunk name and line.
--- @param where string
--- @return string? chunk
--- @return integer? line
function M.split_where(where)
  local chunk, line = where:match("^(.*):(%d+)$")
  return chunk, tonumber(line)
end

local function source_line(e)
  local chunk, line = M.split_where(e.where or "")
  local source = chunk and sources.text(chunk)
  return source and sources.slice(source, line, line) or "", source, line
end

--- Shows the lines around a place; the line itself is marked with ">".
--- @param source string
--- @param line integer
--- @return string[] lines
function M.excerpt(source, line)
  local shown, all = {}, text.lines(source)
  local digits = #tostring(math.min(line + 1, #all))
  for i = math.max(1, line - 1), math.min(#all, line + 1) do
    local mark = i == line and "  > " or "    "
    shown[#shown + 1] = ("%s%" .. digits .. "d | %s"):format(mark, i, text.clip(all[i], 100)):gsub("%s+$", "")
  end
  return shown
end

local function place_lines(e, out, o, source, line)
  local at = e.where and "  at " .. e.where or nil
  if e.help then at = (at and at .. "      " or "  ") .. "help: ?" .. e.help end
  if at then out[#out + 1] = paint(o.colors and "2", at) end
  local short = source and not source:find("\n") and e.where and e.where:find("^%(repl:%d+%)")
  if source and line and not short then
    for _, shown in ipairs(M.excerpt(source, line)) do out[#out + 1] = shown end
  end
end

--- Renders an error as lines of text.
--- @param e table  error object
--- @param o {colors: boolean?, traceback: boolean?, tb_hint: boolean?}
--- @return string  ends with a newline
function M.render(e, o)
  if e.code == "interrupted" then return "interrupted\n" end
  -- require lists every place it looked at; nobody reads them, and _err.message has them.
  local message = e.message:gsub("\n\tno [^\n]*", "")
  local out = { paint(o.colors and "1;31", "error:") .. " " .. message }
  local code_line, source, line = source_line(e)
  place_lines(e, out, o, source, line)
  if e.inside then out[#out + 1] = "  inside " .. e.inside end
  local hint = e.hint or friendly.run(e.message, code_line)
  if hint then out[#out + 1] = "  hint: " .. hint end
  if o.traceback and e.traceback then
    out[#out + 1] = "  " .. e.traceback:gsub("\n", "\n  ")
  elseif o.tb_hint and (e.frames or 0) > 1 then
    out[#out + 1] = paint(o.colors and "2", "  (traceback: :tb)")
  end
  return table.concat(out, "\n") .. "\n"
end

--- Prints an error at the prompt.
--- @param e table
function M.show(e)
  host.write_err(M.render(e, { colors = host.colors(), tb_hint = true }))
end

--- Prints an error of a script, with its traceback.
--- @param e table
function M.show_full(e)
  host.write_err(M.render(e, { colors = false, traceback = true }))
end

return M
