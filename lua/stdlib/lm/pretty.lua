--- Prints Lua values for people: sorted keys, one line when it fits, limited depth and length, records as tables.

local text = require("lm.text")

local M = {}

local DEPTH, ITEMS, LONG_STRING = 4, 40, 400

local function own_tostring(value)
  local meta = getmetatable(value)
  if type(meta) ~= "table" or rawget(meta, "__tostring") == nil then return nil end
  local ok, shown = pcall(tostring, value)
  return ok and shown or "<__tostring failed>"
end

local builtin_names

-- Names of Lua's own functions, so that `print` shows as "function print" and not as an address.
local function builtin_name(f)
  if not builtin_names then
    builtin_names = {}
    for _, library in ipairs({ "_G", "string", "table", "math", "io", "os", "debug", "coroutine", "bit", "jit" }) do
      for name, value in pairs(package.loaded[library] or {}) do
        local shown = library == "_G" and name or library .. "." .. name
        if type(value) == "function" then builtin_names[value] = shown end
      end
    end
  end
  return builtin_names[f]
end

local function show_function(f)
  local def = require("lm.define").get(f)
  local sources = require("lm.sources")
  if def then return ("function %s (%s:%d)"):format(def.name, sources.display(def.source), def.line) end
  local info = debug.getinfo(f, "S")
  local name = builtin_name(f)
  if name or info.what == "C" then return "function " .. (name or "(built in)") end
  local parameters = table.concat(require("lm.docstring").parameters(f), ", ")
  return ("function(%s) (%s:%d)"):format(parameters, sources.display(info.source), info.linedefined)
end

local function show_leaf(value, top)
  local kind = type(value)
  if kind == "string" then
    if top then return value end
    return text.quote(text.clip(value, LONG_STRING))
  end
  if kind == "number" then return text.number(value) end
  if kind == "function" then return show_function(value) end
  return tostring(value)
end

local function key_order(a, b)
  local kind_a, kind_b = type(a), type(b)
  if kind_a ~= kind_b then
    if kind_a == "number" or kind_b == "number" then return kind_a == "number" end
    return kind_a < kind_b
  end
  if kind_a == "number" or kind_a == "string" then return a < b end
  return tostring(a) < tostring(b)
end

local keywords = {}
for word in ("and break do else elseif end false for function goto if in local nil not or repeat return then true "
  .. "until while"):gmatch("%a+") do keywords[word] = true end

local function show_key(key)
  if type(key) == "string" then
    if key:find("^[%a_][%w_]*$") and not keywords[key] then return key .. " = " end
    return "[" .. text.quote(key) .. "] = "
  end
  return "[" .. show_leaf(key) .. "] = "
end

-- The entries of a table in print order: the list part without keys, then the rest by sorted key.
local function entries_of(t)
  local entries, rest, n = {}, {}, #t
  for i = 1, math.min(n, ITEMS) do entries[i] = { "", t[i] } end
  local total = n
  for key in next, t do
    local listed = type(key) == "number" and key >= 1 and key <= n and key == math.floor(key)
    if not listed then
      rest[#rest + 1] = key
      total = total + 1
    end
  end
  table.sort(rest, key_order)
  for _, key in ipairs(rest) do
    if #entries >= ITEMS then break end
    entries[#entries + 1] = { show_key(key), rawget(t, key) }
  end
  return entries, total - #entries
end

local show

local function show_inline(entries, more, state, level, room)
  local parts, used = {}, 4
  for i, entry in ipairs(entries) do
    local shown = entry[1] .. show(entry[2], state, level + 1, room - used - #entry[1], "")
    used = used + text.width(shown) + 2
    if used > room + 2 or shown:find("\n", 1, true) then return nil end
    parts[i] = shown
  end
  if more > 0 then parts[#parts + 1] = ("... %d more"):format(more) end
  local line = "{" .. table.concat(parts, ", ") .. "}"
  return text.width(line) <= room and line or nil
end

-- Long lists of numbers and words fill lines; one item per line would push everything else off the screen.
local function show_filled(entries, more, state, indent)
  local parts = {}
  for i, entry in ipairs(entries) do
    if entry[1] ~= "" or type(entry[2]) == "table" then return nil end
    parts[i] = show_leaf(entry[2])
    if text.width(parts[i]) > 30 then return nil end
  end
  if more > 0 then parts[#parts + 1] = ("... %d more"):format(more) end
  local lines, line = { "{" }, indent .. " "
  for i, part in ipairs(parts) do
    part = part .. (i < #parts and "," or "")
    if text.width(line) + 1 + text.width(part) > state.width and line ~= indent .. " " then
      lines[#lines + 1], line = line, indent .. " "
    end
    line = line .. " " .. part
  end
  lines[#lines + 1] = line
  lines[#lines + 1] = indent .. "}"
  return table.concat(lines, "\n")
end

local function show_block(entries, more, state, level, indent)
  local inner, lines = indent .. "  ", { "{" }
  for _, entry in ipairs(entries) do
    local room = state.width - #inner - text.width(entry[1]) - 1
    lines[#lines + 1] = inner .. entry[1] .. show(entry[2], state, level + 1, room, inner) .. ","
  end
  if more > 0 then lines[#lines + 1] = inner .. ("... %d more"):format(more) end
  lines[#lines + 1] = indent .. "}"
  return table.concat(lines, "\n")
end

local function show_table(t, state, level, room, indent)
  if state.open[t] then return ("<table %d>"):format(state.open[t]) end
  local entries, more = entries_of(t)
  if #entries == 0 then return "{}" end
  if level > DEPTH then return "{...}" end
  state.open[t] = level
  local shown = show_inline(entries, more, state, level, room)
  -- Inside a line that is being tried out there is no room for a block; the caller gives up and breaks its own line.
  if not shown and room < 4 then shown = "\n" end
  shown = shown or show_filled(entries, more, state, indent) or show_block(entries, more, state, level, indent)
  state.open[t] = nil
  return shown
end

function show(value, state, level, room, indent)
  if type(value) ~= "table" then return show_leaf(value, level == 0) end
  return own_tostring(value) or show_table(value, state, math.max(level, 1), room, indent)
end

-- Records ------------------------------------------------------------------------------------------------------

local function is_record(row)
  if type(row) ~= "table" or getmetatable(row) or #row > 0 or next(row) == nil then return false end
  for key, value in next, row do
    if type(key) ~= "string" or type(value) == "table" or type(value) == "function" then return false end
  end
  return true
end

local function is_record_list(t)
  local n = #t
  if n < 2 then return false end
  local count = 0
  for _ in next, t do count = count + 1 end
  if count ~= n then return false end
  for i = 1, math.min(n, ITEMS) do
    if not is_record(t[i]) then return false end
  end
  return true
end

local function columns_of(rows)
  local seen, names = {}, {}
  for i = 1, math.min(#rows, ITEMS) do
    for key in pairs(rows[i]) do
      if not seen[key] then
        seen[key] = true
        names[#names + 1] = key
      end
    end
  end
  -- A name or id identifies the row, so it comes first.
  local rank = { id = 1, name = 2 }
  table.sort(names, function(a, b)
    local rank_a, rank_b = rank[a] or 9, rank[b] or 9
    if rank_a ~= rank_b then return rank_a < rank_b end
    return tostring(a) < tostring(b)
  end)
  return names
end

local function cell(value)
  if value == nil then return "" end
  if type(value) == "table" then return own_tostring(value) or M.format(value, { width = 40 }):gsub("%s*\n%s*", " ") end
  return (show_leaf(value, true):gsub("[\r\n\t]+", " "))
end

-- Takes columns away from the widest cells until a row fits.
local function shrink(widths, available)
  local total = 2 * (#widths - 1)
  for _, width in ipairs(widths) do total = total + width end
  while total > available do
    local widest = 1
    for i, width in ipairs(widths) do
      if width > widths[widest] then widest = i end
    end
    if widths[widest] <= 8 then return end
    widths[widest] = widths[widest] - 1
    total = total - 1
  end
end

--- Writes a list of records as an aligned table, numbers to the right.
--- @param rows table[]
--- @param columns? string[]  names and order of the columns
--- @param width? integer  terminal columns
--- @return string
function M.records(rows, columns, width)
  columns = columns or columns_of(rows)
  local cells, widths, is_number = {}, {}, {}
  for c, name in ipairs(columns) do
    widths[c], is_number[c] = text.width(name), true
  end
  local shown = math.min(#rows, ITEMS)
  for r = 1, shown do
    cells[r] = {}
    for c, name in ipairs(columns) do
      local value = rows[r][name]
      cells[r][c] = cell(value)
      widths[c] = math.max(widths[c], text.width(cells[r][c]))
      if value ~= nil and type(value) ~= "number" then is_number[c] = false end
    end
  end
  shrink(widths, width or 80)
  local function row_text(row)
    local out = {}
    for c in ipairs(columns) do out[c] = text.pad(text.clip(row[c], widths[c]), widths[c], is_number[c]) end
    return (table.concat(out, "  "):gsub("%s+$", ""))
  end
  local lines = { row_text(columns) }
  for r = 1, shown do lines[#lines + 1] = row_text(cells[r]) end
  if #rows > shown then lines[#lines + 1] = ("... %d more"):format(#rows - shown) end
  return table.concat(lines, "\n")
end

local list_meta = {}

function list_meta.__tostring(list)
  local mark = getmetatable(list)
  if #list == 0 then return mark.empty or "(none)" end
  return M.records(list, mark.columns, require("lm.host").columns())
end

--- Marks a list of records so that it prints as a table with the given columns.
--- @param rows table[]
--- @param columns? string[]
--- @param empty? string  printed instead of an empty table
--- @return table[] rows
function M.as_records(rows, columns, empty)
  return setmetatable(rows, { __tostring = list_meta.__tostring, columns = columns, empty = empty })
end

--- Formats any value for people. A string at the top is not quoted.
--- @param value any
--- @param o? {width: integer?}
--- @return string
function M.format(value, o)
  local width = o and o.width or 80
  if type(value) == "table" and not own_tostring(value) and is_record_list(value) then
    return M.records(value, nil, width)
  end
  return show(value, { width = width, open = {} }, 0, width, "")
end

return M
