--- Reads LuaCATS comments: summary, text, `@param name? type doc`, `@return type name? doc`.
--- Accepts several tags on one line, as people type them at the prompt.

local sources = require("lm.sources")
local text = require("lm.text")

local M = {}

-- Takes a type off the front of a tag's rest; blanks inside (), <>, {} and quotes or around | belong to the type.
local function split_type(rest)
  local depth, i, quote = 0, 1, nil
  while i <= #rest do
    local c = rest:sub(i, i)
    if quote then
      if c == quote then quote = nil end
    elseif c == '"' or c == "'" then
      quote = c
    elseif c:find("[%(<{%[]") then
      depth = depth + 1
    elseif c:find("[%)>}%]]") then
      depth = depth - 1
    elseif depth == 0 and c:find("%s") then
      local joined = rest:match("^%s*|%s*()", i) or (rest:sub(1, i - 1):find("[|:]$") and rest:match("^%s*()", i))
      if not joined then break end
      i = joined - 1
    end
    i = i + 1
  end
  return rest:sub(1, i - 1), text.trim(rest:sub(i))
end

local readers = {}

function readers.param(doc, rest)
  local name, optional, tail = rest:match("^([%w_%.]+)(%??)%s*(.*)$")
  if not name then return nil end
  local kind, about = split_type(tail)
  if kind:find("%?$") then kind, optional = kind:sub(1, -2), "?" end
  local param = { name = name, type = kind ~= "" and kind or "any", optional = optional == "?", doc = about }
  table.insert(doc.params, param)
  return param
end

readers["return"] = function(doc, rest)
  local kind, tail = split_type(rest)
  local name, about = tail:match("^([%a_][%w_]*)%s*(.*)$")
  local entry = { type = kind, name = name, doc = about or tail }
  table.insert(doc.returns, entry)
  return entry
end

-- `@param` may follow prose on the same line; a tag needs a blank before it so that mail addresses stay prose.
local function pieces(line)
  local list, start = {}, 1
  for at in line:gmatch("()@%a+") do
    local tagged = at == 1 or line:sub(at - 1, at - 1):find("%s")
    if tagged and at > start then
      list[#list + 1] = line:sub(start, at - 1)
      start = at
    end
  end
  list[#list + 1] = line:sub(start)
  return list
end

local function read_piece(doc, piece, body, last)
  local tag, rest = piece:match("^@(%a+)%s*(.-)%s*$")
  if tag then return readers[tag] and readers[tag](doc, rest) or nil end
  -- Text after a tag's line continues that tag when it is indented.
  if last and piece:find("^%s+%S") then
    last.doc = text.trim(last.doc .. " " .. text.trim(piece))
    return last
  end
  body[#body + 1] = piece
  return nil
end

--- Parses a comment block (without its dashes).
--- @param comment string
--- @return table doc  `{summary, text, params = {{name, type, optional, doc}}, returns = {{type, name, doc}}}`
function M.parse(comment)
  local doc, body, last, fenced = { params = {}, returns = {} }, {}, nil, false
  for _, line in ipairs(text.lines(comment)) do
    if line:find("^%s*```") then fenced = not fenced end
    if fenced or line:find("^%s*```") then
      body[#body + 1] = line
    else
      for _, piece in ipairs(pieces(line)) do last = read_piece(doc, piece, body, last) end
    end
  end
  doc.text = text.trim(table.concat(body, "\n"))
  local first = (doc.text .. "\n\n"):match("^(.-)\n%s*\n"):gsub("\n", " ")
  doc.summary = text.trim((first .. " "):match("^(.-[%.!?])%s") or first)
  return doc
end

--- Reads the docstring above a function, wherever the function was defined.
--- @param f function
--- @return table? doc  as from `parse`; nil when there is no comment or no source
function M.of(f)
  local info = debug.getinfo(f, "S")
  if info.what == "C" then return nil end
  local source = sources.text(info.source)
  local comment = source and sources.comment_above(source, info.linedefined)
  return comment and M.parse(comment)
end

--- Lists the real parameter names of a Lua function; "..." comes last.
--- @param f function
--- @return string[]
function M.parameters(f)
  local names, info = {}, debug.getinfo(f, "u")
  for i = 1, info.nparams or 0 do names[i] = debug.getlocal(f, i) end
  if info.isvararg and debug.getinfo(f, "S").what ~= "C" then names[#names + 1] = "..." end
  return names
end

return M
