--- Source text of running code: stdlib modules, files and what was typed at the prompt.
--- Error excerpts, `??f` and docstrings all read their text here, on demand.

local host = require("lm.host")

local M = {}

-- How this very file is named tells how all stdlib chunks are named, whichever way they were loaded.
local prefix = debug.getinfo(1, "S").source:match("^(.*)sources[^/]*$")

local typed = {}
local newest, oldest = 0, 1
local KEEP_TYPED = 1000

--- Keeps the text of a typed chunk under its name; the oldest ones are dropped after 1000 inputs.
--- @param name string  such as "(repl:7)"
--- @param text string
function M.keep(name, text)
  typed[name] = text
  newest = newest + 1
  typed[newest] = name
  while newest - oldest >= KEEP_TYPED do
    local old = typed[oldest]
    typed[oldest] = nil
    if old ~= name then typed[old] = nil end
    oldest = oldest + 1
  end
end

--- Tells whether a chunk belongs to the standard library.
--- @param source string  as in `debug.getinfo(f, "S").source`
--- @return boolean
function M.is_stdlib(source)
  return source:sub(1, #prefix) == prefix
end

--- Returns the module name of a stdlib chunk, such as "lm.schema".
--- @param source string
--- @return string? module
function M.module_of(source)
  if not M.is_stdlib(source) then return nil end
  local rest = source:sub(#prefix + 1):gsub("%.lua$", ""):gsub("/", ".")
  return rest == "init" and "lm" or "lm." .. rest:gsub("%.init$", "")
end

local function read_file(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read("*a")
  file:close()
  return text
end

--- Returns the text of a chunk, or nil when it is not known.
--- @param source string  with or without the leading "@" or "="
--- @return string? text
function M.text(source)
  local name = source:gsub("^[@=]", "")
  if typed[name] then return typed[name] end
  local module = M.module_of(source) or M.module_of("@" .. name) or M.module_of("=" .. name)
  local text = module and host.stdlib_source(module)
  if text then return text end
  return read_file(name)
end

--- Returns the name of a chunk as people should see it.
--- @param source string
--- @return string
function M.display(source)
  local module = M.module_of(source)
  if module then return (select(2, host.stdlib_source(module))) or source:gsub("^[@=]", "") end
  return (source:gsub("^[@=]", ""))
end

local function split(text)
  local lines = {}
  for line in (text .. "\n"):gmatch("(.-)\r?\n") do lines[#lines + 1] = line end
  return lines
end

--- Returns the `---` comment lines directly above a line, without their dashes.
--- @param text string
--- @param line integer
--- @return string? comment  nil when there is none
function M.comment_above(text, line)
  local lines, found = split(text), {}
  for i = line - 1, 1, -1 do
    local body = lines[i]:match("^%s*%-%-%-(.*)$")
    if not body or body:find("^%-") then break end
    table.insert(found, 1, (body:gsub("^ ", "")))
  end
  if #found == 0 then return nil end
  return table.concat(found, "\n")
end

--- Returns lines first..last of a text.
--- @param text string
--- @param first integer
--- @param last integer
--- @return string
function M.slice(text, first, last)
  local lines = split(text)
  return table.concat(lines, "\n", math.max(1, first), math.min(#lines, last))
end

return M
