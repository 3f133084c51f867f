--- JSON (RFC 8259) for Lua values: strict reading, deterministic writing, nothing lost between them.
---
--- Reading refuses everything the standard does not allow, nesting above 200 levels and lone surrogates.
--- Writing keeps the key order of objects that were read or got one with `json.object`, and sorts the keys of all
--- others, so equal values give equal bytes. An empty table is written as `{}` unless it came from an array or was
--- marked with `json.array`; `null` is `json.null`, so that a key with null survives a round trip. Integers that a
--- number cannot hold (beyond 2^53) are read as 64-bit integers (`9007199254740993LL`), larger ones as `json.integer`
--- objects that keep their digits.

local M = {}

local MAX_DEPTH = 200

--- The value that stands for JSON null.
M.null = setmetatable({}, { __tostring = function() return "null" end, __newindex = function()
  error("json.null is a constant", 2)
end })

local array_mark = { __name = "json.array" }

--- Marks a table as an array, so that it is written as `[]` when empty.
--- @param t? table
--- @return table t
function M.array(t)
  return setmetatable(t or {}, array_mark)
end

-- Key orders of objects, beside the tables, which stay plain.
local key_orders = setmetatable({}, { __mode = "k" })

--- Gives a table the order in which its keys are written; keys that are not named follow, sorted.
--- @param t table
--- @param keys string[]
--- @return table t
function M.object(t, keys)
  key_orders[t] = keys
  return t
end

--- Gives a table a key order unless it has one.
--- @param t table
--- @param keys string[]
function M.suggest_order(t, keys)
  key_orders[t] = key_orders[t] or keys
end

local has_ffi, ffi = pcall(require, "ffi")
local int64, uint64 = has_ffi and ffi.typeof("int64_t"), has_ffi and ffi.typeof("uint64_t")

local integer_meta = { __name = "json.integer" }
function integer_meta.__tostring(i) return i.digits end
function integer_meta.__eq(a, b) return a.digits == b.digits end

--- Makes an integer of any length from its digits ("-123...").
--- @param digits string
--- @return table
function M.integer(digits)
  if not digits:find("^-?%d+$") then error("json: " .. digits .. " is no integer", 0) end
  return setmetatable({ digits = digits }, integer_meta)
end

-- Writing ------------------------------------------------------------------------------------------------------

local escapes = {
  ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
}

local function write_string(s)
  local escaped = s:gsub('[%z\1-\31"\\\127]', function(c) return escapes[c] or ("\\u%04x"):format(c:byte()) end)
  return '"' .. escaped .. '"'
end

local function write_number(n)
  if n ~= n or n == math.huge or n == -math.huge then
    error("json: a number must be finite, got " .. tostring(n), 0)
  end
  if n == math.floor(n) and math.abs(n) < 2 ^ 53 then return ("%d"):format(n) end
  -- The shortest of these that reads back as the same number: 0.1 stays 0.1.
  for digits = 15, 17 do
    local text = ("%." .. digits .. "g"):format(n)
    if tonumber(text) == n then return text end
  end
end

-- A table is an array when its keys are exactly 1..n (n > 0) or when it is marked.
local function array_length(t)
  local count = 0
  for key in pairs(t) do
    if type(key) ~= "number" then return nil end
    count = count + 1
  end
  if count == 0 then return getmetatable(t) == array_mark and 0 or nil end
  for i = 1, count do
    if t[i] == nil then return nil end
  end
  return count
end

-- The keys in the order of the table, then the others by name.
local function sort_keys(t, keys)
  local order = key_orders[t]
  local place = {}
  for i, key in ipairs(order or {}) do place[key] = place[key] or i end
  table.sort(keys, function(a, b)
    local x, y = place[a], place[b]
    if x and y then return x < y end
    if x or y then return x ~= nil end
    return a < b
  end)
end

local write

local function write_object(t, out, state, depth)
  local keys = {}
  for key in pairs(t) do
    if type(key) ~= "string" then
      error("json: object keys must be strings, got " .. type(key) .. " " .. tostring(key), 0)
    end
    keys[#keys + 1] = key
  end
  if #keys == 0 then
    out[#out + 1] = "{}"
    return
  end
  sort_keys(t, keys)
  local break_line = state.indent and "\n" .. state.indent:rep(depth) or ""
  out[#out + 1] = "{"
  for i, key in ipairs(keys) do
    out[#out + 1] = (i > 1 and "," or "") .. break_line .. write_string(key) .. (state.indent and ": " or ":")
    write(t[key], out, state, depth)
  end
  out[#out + 1] = (state.indent and "\n" .. state.indent:rep(depth - 1) or "") .. "}"
end

local function write_array(t, n, out, state, depth)
  if n == 0 then
    out[#out + 1] = "[]"
    return
  end
  local break_line = state.indent and "\n" .. state.indent:rep(depth) or ""
  out[#out + 1] = "["
  for i = 1, n do
    out[#out + 1] = (i > 1 and "," or "") .. break_line
    write(t[i], out, state, depth)
  end
  out[#out + 1] = (state.indent and "\n" .. state.indent:rep(depth - 1) or "") .. "]"
end

function write(value, out, state, depth)
  local kind = type(value)
  if value == nil or value == M.null then
    out[#out + 1] = "null"
  elseif kind == "boolean" then
    out[#out + 1] = tostring(value)
  elseif kind == "number" then
    out[#out + 1] = write_number(value)
  elseif kind == "string" then
    out[#out + 1] = write_string(value)
  elseif kind == "table" and getmetatable(value) == integer_meta then
    out[#out + 1] = value.digits
  elseif kind == "cdata" and (ffi.istype(int64, value) or ffi.istype(uint64, value)) then
    out[#out + 1] = (tostring(value):gsub("U?LL$", ""))
  elseif kind == "table" then
    if state.open[value] then error("json: the value contains itself", 0) end
    if depth >= MAX_DEPTH then error("json: nested deeper than " .. MAX_DEPTH .. " levels", 0) end
    state.open[value] = true
    local n = array_length(value)
    if n then
      write_array(value, n, out, state, depth + 1)
    else
      write_object(value, out, state, depth + 1)
    end
    state.open[value] = nil
  else
    error("json: a " .. kind .. " cannot be written", 0)
  end
end

--- Writes a value as JSON; raises for functions, userdata, cycles, and numbers that are not finite.
--- @param value any
--- @param indent? integer  spaces per level; nil writes one line
--- @return string
function M.encode(value, indent)
  local out = {}
  write(value, out, { open = {}, indent = indent and (" "):rep(indent) }, 0)
  return table.concat(out)
end

-- Reading ------------------------------------------------------------------------------------------------------

-- Syntax problems are raised as this table and turned into text with line and column in decode().
local function fail(at, message)
  error({ json_at = at, json_message = message }, 0)
end

local function skip(s, i)
  return s:find("[^ \t\r\n]", i) or #s + 1
end

local function utf8_bytes(code)
  local floor, char = math.floor, string.char
  if code < 0x80 then return char(code) end
  if code < 0x800 then return char(0xC0 + floor(code / 64), 0x80 + code % 64) end
  if code < 0x10000 then
    return char(0xE0 + floor(code / 4096), 0x80 + floor(code / 64) % 64, 0x80 + code % 64)
  end
  return char(0xF0 + floor(code / 262144), 0x80 + floor(code / 4096) % 64, 0x80 + floor(code / 64) % 64,
    0x80 + code % 64)
end

local plain_escapes = {
  ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t",
}

local function read_unicode(s, i)
  local hex = s:match("^%x%x%x%x", i)
  if not hex then fail(i, "expected four hexadecimal digits after \\u") end
  local code = tonumber(hex, 16)
  if code >= 0xDC00 and code <= 0xDFFF then fail(i, "a low surrogate without a high one") end
  if code < 0xD800 or code > 0xDBFF then return utf8_bytes(code), i + 4 end
  local low = tonumber(s:match("^\\u(%x%x%x%x)", i + 4) or "0", 16)
  if low < 0xDC00 or low > 0xDFFF then fail(i, "a high surrogate without a low one") end
  return utf8_bytes(0x10000 + (code - 0xD800) * 0x400 + low - 0xDC00), i + 10
end

local function read_string(s, i)
  local parts, start = {}, i + 1
  local at = start
  while true do
    at = s:find('[%z\1-\31"\\]', at)
    if not at then fail(i, "the string does not end") end
    local c = s:sub(at, at)
    if c == '"' then
      parts[#parts + 1] = s:sub(start, at - 1)
      return table.concat(parts), at + 1
    elseif c ~= "\\" then
      fail(at, "a control character inside a string")
    end
    parts[#parts + 1] = s:sub(start, at - 1)
    local kind = s:sub(at + 1, at + 1)
    if kind == "u" then
      parts[#parts + 1], at = read_unicode(s, at + 2)
    else
      parts[#parts + 1] = plain_escapes[kind] or fail(at, "unknown escape \\" .. kind)
      at = at + 2
    end
    start = at
  end
end

-- A number where that is exact, else a 64-bit integer, else the digits.
local function read_long_integer(digits)
  local number = tonumber(digits)
  if number > -2 ^ 53 and number < 2 ^ 53 then return number end
  if not has_ffi or number < -2 ^ 63 or number >= 2 ^ 64 then return M.integer(digits) end
  local negative = digits:sub(1, 1) == "-"
  local value = (not negative and number >= 2 ^ 63 and uint64 or int64)(0)
  for digit in digits:gmatch("%d") do value = value * 10 + (negative and -tonumber(digit) or tonumber(digit)) end
  -- Digits around the limits wrap; then they read back as others.
  if tostring(value):gsub("U?LL$", "") ~= digits then return M.integer(digits) end
  return value
end

local function read_number(s, i)
  local digits = s:match("^-?%d+", i)
  if not digits or digits:find("^-?0%d") then fail(i, "not a number") end
  local last = i + #digits
  local fraction = s:match("^%.%d+", last) or ""
  local exponent = s:match("^[eE][+-]?%d+", last + #fraction) or ""
  local after = last + #fraction + #exponent
  if fraction == "" and exponent == "" and #digits > 15 then return read_long_integer(digits), after end
  return tonumber(digits .. fraction .. exponent), after
end

local read

local function read_array(s, i, depth)
  local array, n = M.array(), 0
  i = skip(s, i + 1)
  if s:sub(i, i) == "]" then return array, i + 1 end
  while true do
    n = n + 1
    array[n], i = read(s, i, depth)
    i = skip(s, i)
    local c = s:sub(i, i)
    if c == "]" then return array, i + 1 end
    if c ~= "," then fail(i, "expected , or ] in an array") end
    i = skip(s, i + 1)
  end
end

local function read_object(s, i, depth)
  local object, keys = {}, {}
  key_orders[object] = keys
  i = skip(s, i + 1)
  if s:sub(i, i) == "}" then return object, i + 1 end
  while true do
    if s:sub(i, i) ~= '"' then fail(i, "expected a key in quotes") end
    local key_at = i
    local key, after = read_string(s, i)
    i = after
    if object[key] ~= nil then fail(key_at, "the key " .. write_string(key) .. " comes twice") end
    keys[#keys + 1] = key
    i = skip(s, i)
    if s:sub(i, i) ~= ":" then fail(i, "expected : after a key") end
    object[key], i = read(s, skip(s, i + 1), depth)
    i = skip(s, i)
    local c = s:sub(i, i)
    if c == "}" then return object, i + 1 end
    if c ~= "," then fail(i, "expected , or } in an object") end
    i = skip(s, i + 1)
  end
end

local words = { ["true"] = true, ["false"] = false, null = M.null }

function read(s, i, depth)
  if depth >= MAX_DEPTH then fail(i, "nested deeper than " .. MAX_DEPTH .. " levels") end
  local c = s:sub(i, i)
  if c == "{" then return read_object(s, i, depth + 1) end
  if c == "[" then return read_array(s, i, depth + 1) end
  if c == '"' then return read_string(s, i) end
  if c:find("[-%d]") then return read_number(s, i) end
  local word = s:match("^%a+", i)
  if word and words[word] ~= nil then return words[word], i + #word end
  fail(i, c == "" and "the text ends too early" or "expected a value, got " .. write_string(word or c))
end

local function decode(s)
  local value, i = read(s, skip(s, 1), 0)
  i = skip(s, i)
  if i <= #s then fail(i, "more text after the value") end
  return value
end

--- Reads one JSON text.
--- @param s string
--- @return any value  nil when the text is wrong
--- @return string? message  what is wrong, with line and column
function M.decode(s)
  local ok, value = pcall(decode, s)
  if ok then return value end
  if type(value) ~= "table" or not value.json_at then error(value, 0) end
  local before = s:sub(1, value.json_at - 1)
  local _, newlines = before:gsub("\n", "")
  local column = #before:match("[^\n]*$") + 1
  return nil, ("json: line %d, column %d: %s"):format(newlines + 1, column, value.json_message)
end

--- Checks a JSON text against a JSON Schema (drafts 4, 6, 7, 2019-09 and 2020-12, chosen by `$schema`).
---
--- The list of problems says for each where in the value (`path`, a JSON pointer) and by which keyword (`schema`), and
--- what is wrong (`message`). Texts that are no JSON and wrong schemas raise an error. Options: `formats = true` also
--- enforces the formats that the standard defines; `others` holds schemas that references may lead to, by URI.
--- @param value string  JSON
--- @param schema string  JSON
--- @param options? table  {formats, others}
--- @return true|table[] valid  true, or the problems
function M.validate(value, schema, options)
  options = options or {}
  local problems = require("lm.engine.constraint").validate(value, schema, options.formats == true, options.others)
  return #problems == 0 or problems
end

return M
