--- Small string helpers shared by messages, help and printing: near matches, padding, units.

local M = {}

--- Removes white space at both ends.
--- @param s string
--- @return string
function M.trim(s)
  return (s:gsub("^%s+", ""):gsub("%s+$", ""))
end

--- Splits a text into lines, without their newline; a final newline adds no empty line.
--- @param s string
--- @return string[]
function M.lines(s)
  local lines = {}
  for line in (s:gsub("\n$", "") .. "\n"):gmatch("(.-)\r?\n") do lines[#lines + 1] = line end
  return lines
end

-- Three rolling rows are enough for Damerau-Levenshtein (insert, delete, replace, swap neighbors).
local function edit_distance(a, b)
  local before, previous, current = {}, {}, {}
  for j = 0, #b do previous[j] = j end
  for i = 1, #a do
    current[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      local best = math.min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + cost)
      local swapped = i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j)
      if swapped then best = math.min(best, before[j - 2] + 1) end
      current[j] = best
    end
    before, previous, current = previous, current, before
  end
  return previous[#b]
end

M.edit_distance = edit_distance

-- Is `typed` what comes out when a person swaps two neighbours of `meant` or leaves one letter out?
local function is_slip(typed, meant)
  local i = 1
  while i <= #typed and typed:byte(i) == meant:byte(i) do i = i + 1 end
  if #meant == #typed + 1 then return typed:sub(i) == meant:sub(i + 1) end
  local swapped = meant:sub(i + 1, i + 1) .. meant:sub(i, i) .. meant:sub(i + 2)
  return typed == meant or (#meant == #typed and typed:sub(i) == swapped)
end

--- Finds the candidate a person most likely meant, or nil when none is close.
--- A third of the word may differ (at least one character); a prefix of three or more characters also counts.
--- @param word string
--- @param candidates string[]
--- @return string? nearest
function M.nearest(word, candidates)
  local lower, best, best_distance = word:lower(), nil, math.huge
  -- One or two letters are near to anything of that size.
  local allowed = #word > 2 and math.max(1, math.floor(#word / 3)) or 0
  for _, candidate in ipairs(candidates) do
    -- Very different lengths cannot be near; skipping them keeps thousands of candidates cheap.
    local distance = math.huge
    if math.abs(#candidate - #word) <= allowed then
      distance = edit_distance(lower, candidate:lower())
    elseif #word >= 3 and candidate:lower():sub(1, #word) == lower then
      distance = allowed
    end
    -- Among equals swapped letters and one letter left out are likelier than a wrong letter, then the alphabet decides.
    if not is_slip(lower, candidate:lower()) then distance = distance + 0.5 end
    local wins = distance < best_distance or (best and distance == best_distance and candidate < best)
    if distance <= allowed + 0.5 and candidate ~= word and wins then
      best, best_distance = candidate, distance
    end
  end
  return best
end

-- Ranges that terminals draw two columns wide; close enough for aligning tables.
local function is_wide(code)
  return (code >= 0x1100 and code <= 0x115F) or (code >= 0x2E80 and code <= 0xA4CF) or
    (code >= 0xAC00 and code <= 0xD7A3) or (code >= 0xF900 and code <= 0xFAFF) or
    (code >= 0xFE30 and code <= 0xFE6F) or (code >= 0xFF00 and code <= 0xFF60) or
    (code >= 0x1F300 and code <= 0x1FAFF) or (code >= 0x20000 and code <= 0x3FFFD)
end

local function is_zero_width(code)
  return (code >= 0x300 and code <= 0x36F) or (code >= 0x200B and code <= 0x200F) or
    (code >= 0xFE00 and code <= 0xFE0F)
end

-- Iterates over (start byte, code point, length); a broken byte counts as one character.
local function each_char(s)
  local i = 1
  return function()
    local byte = s:byte(i)
    if not byte then return nil end
    local length = byte < 0x80 and 1 or byte >= 0xF0 and 4 or byte >= 0xE0 and 3 or byte >= 0xC0 and 2 or 1
    local code = length == 1 and byte or byte % 2 ^ (7 - length)
    for k = 1, length - 1 do
      local next_byte = s:byte(i + k)
      if not next_byte or next_byte < 0x80 or next_byte > 0xBF then
        code, length = byte, 1
        break
      end
      code = code * 64 + next_byte % 64
    end
    local start = i
    i = i + length
    return start, code, length
  end
end

M.each_char = each_char

--- Counts the terminal columns a text takes; color escapes take none.
--- @param s string
--- @return integer columns
function M.width(s)
  local columns = 0
  for _, code in each_char((s:gsub("\27%[[%d;]*m", ""))) do
    columns = columns + (is_zero_width(code) and 0 or is_wide(code) and 2 or 1)
  end
  return columns
end

--- Pads with spaces to a number of columns.
--- @param s string
--- @param columns integer
--- @param right? boolean  align to the right
--- @return string
function M.pad(s, columns, right)
  local fill = (" "):rep(math.max(0, columns - M.width(s)))
  return right and fill .. s or s .. fill
end

--- Shortens a text to a number of columns; a cut is shown as "...".
--- @param s string
--- @param columns integer
--- @return string
function M.clip(s, columns)
  if M.width(s) <= columns then return s end
  local room, used, last = math.max(0, columns - 3), 0, 0
  for start, code, length in each_char(s) do
    used = used + (is_zero_width(code) and 0 or is_wide(code) and 2 or 1)
    if used > room then break end
    last = start + length - 1
  end
  return s:sub(1, last) .. ("..."):sub(1, columns)
end

--- Breaks a text into lines of at most `columns`, at spaces.
--- @param s string
--- @param columns integer
--- @param indent? string  put before every line but the first
--- @return string
function M.wrap(s, columns, indent)
  local lines, line = {}, ""
  for word in s:gmatch("%S+") do
    if line ~= "" and M.width(line) + 1 + M.width(word) > columns then
      lines[#lines + 1] = line
      line = (indent or "") .. word
    else
      line = line == "" and word or line .. " " .. word
    end
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

--- Writes a number for people: integers in full, others with 4 significant digits (from 1000 on with one decimal).
--- @param n number
--- @return string
function M.number(n)
  if n ~= n then return "nan" end
  if n == math.huge then return "inf" end
  if n == -math.huge then return "-inf" end
  local size = math.abs(n)
  if n == math.floor(n) then return (size < 2 ^ 53 and "%d" or "%.14g"):format(n) end
  -- Four digits would turn 12345.6 into 1.235e+04, which nobody wants to read.
  return (size >= 1000 and size < 1e9 and "%.1f" or "%.4g"):format(n)
end

--- Writes a size: `512 B`, `98.2 MiB`, `1.5 GiB`.
--- @param n number  bytes
--- @return string
function M.bytes(n)
  local units, i = { "B", "KiB", "MiB", "GiB", "TiB" }, 1
  while math.abs(n) >= 1024 and i < #units do
    n, i = n / 1024, i + 1
  end
  return (i == 1 and "%d %s" or n >= 100 and "%.0f %s" or "%.1f %s"):format(n, units[i])
end

--- Writes a large number short: `853`, `49.2k`, `10.4M`, `1.71B`.
--- @param n number
--- @return string
function M.count(n)
  local units, i = { "", "k", "M", "B", "T" }, 1
  while math.abs(n) >= 1000 and i < #units do
    n, i = n / 1000, i + 1
  end
  return (i == 1 and "%d%s" or "%.3g%s"):format(n, units[i])
end

--- Writes a duration: `3.2 ms`, `1.2 s`, `2 min 05 s`, `1 h 02 min`.
--- @param s number  seconds
--- @return string
function M.seconds(s)
  if s < 1e-3 then return ("%.0f us"):format(s * 1e6) end
  if s < 1 then return ("%.3g ms"):format(s * 1e3) end
  if s < 60 then return ("%.1f s"):format(s) end
  if s < 3600 then return ("%d min %02d s"):format(s / 60, s % 60) end
  return ("%d h %02d min"):format(s / 3600, s % 3600 / 60)
end

--- Quotes a string as Lua source on one line, readable: UTF-8 stays, control bytes are escaped.
--- @param s string
--- @return string
function M.quote(s)
  local names = { ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r", ['"'] = '\\"', ["\\"] = "\\\\" }
  local quoted = s:gsub('[%c"\\]', function(c) return names[c] or ("\\%03d"):format(c:byte()) end)
  return '"' .. quoted .. '"'
end

--- Joins words as `a, b and c`.
--- @param words string[]
--- @return string
function M.join_words(words)
  if #words < 2 then return words[1] or "" end
  return table.concat(words, ", ", 1, #words - 1) .. " and " .. words[#words]
end

--- Returns the keys of a table that are strings, sorted.
--- @param t table
--- @return string[]
function M.sorted_keys(t)
  local keys = {}
  for key in pairs(t) do
    if type(key) == "string" then keys[#keys + 1] = key end
  end
  table.sort(keys)
  return keys
end

return M
