--- Completion: names, fields, methods, option keys, enum values, files, commands; no code of the user's runs.

local commands = require("lm.commands")
local define = require("lm.define")
local env = require("lm.env")
local host = require("lm.host")
local lex = require("lm.lex")
local members = require("lm.members")
local schema = require("lm.schema")
local text = require("lm.text")

local M = {}

--- Functions that list the names of a kind, such as `kinds.model`; modules add theirs here.
M.kinds = {
  model = function() return require("lm.models").names() end,
}

--- Reads a path such as "a.b:c" from the session's variables.
--- @param path string
--- @return any
function M.resolve(path)
  local value
  local first = true
  for name in path:gmatch("[^%.:]+") do
    if first then
      value, first = env.get(name), false
    else
      value = members.field(value, name)
    end
    if value == nil then return nil end
  end
  return value
end

local function definition_of(path)
  local value = M.resolve(path)
  return (type(value) == "function" and define.get(value)) or define.get(path)
end

M.definition_of = definition_of

local function item(name, value, full)
  local def = type(value) == "function" and define.get(value)
  local entry = { text = name, label = name }
  if full then
    entry.doc = def and define.doc(def).summary or nil
    if not entry.doc and type(value) == "function" then
      local doc = require("lm.docstring").of(value)
      entry.doc = doc and doc.summary
    end
    entry.doc = entry.doc or (value ~= nil and type(value)) or nil
  end
  return entry
end

local function starts(name, word)
  return name:sub(1, #word) == word
end

-- Names that start with "_" are private; they show only when asked for.
local function is_shown(name, word)
  return starts(name, word) and (word ~= "" or name:sub(1, 1) ~= "_")
end

local function sort_items(items)
  table.sort(items, function(a, b) return a.text < b.text end)
  return items
end

local function member_items(path, word, only_functions, full)
  local value, items = M.resolve(path), {}
  if value == nil then return items end
  for _, member in ipairs(members.list(value)) do
    local callable = type(member.value) == "function"
    -- Values that are loaded lazily are not known yet; of the root table they count as functions.
    local unknown = member.value == nil
    if is_shown(member.name, word) and (not only_functions or callable or unknown) then
      local shown = member.value
      if unknown and full then shown = members.field(value, member.name) end
      items[#items + 1] = item(member.name, shown, full)
    end
  end
  return sort_items(items)
end

local function global_items(word, full)
  local items, seen = {}, {}
  for _, name in ipairs(env.visible_names()) do
    if is_shown(name, word) and name:find("^[%a_][%w_]*$") and name ~= env.save_name then
      items[#items + 1] = item(name, env.get(name), full)
      seen[name] = true
    end
  end
  for name in pairs(lex.keywords) do
    if word ~= "" and starts(name, word) and not seen[name] then
      items[#items + 1] = { text = name, label = name, doc = full and "keyword" or nil }
    end
  end
  return sort_items(items)
end

-- The schema fields that apply inside a call, following nested tables: lm.train{lora={|}}.
local function fields_of(call)
  local def = definition_of(call.name)
  local fields = def and def.options
  for _, name in ipairs(call.path or {}) do
    local field = fields and schema.find(fields, name)
    fields = field and field.fields
  end
  return fields, def
end

local function field_doc(field)
  return ("%s; %s"):format(schema.expectation(field), field.doc or "")
end

local function option_items(call, word, full)
  local items, fields = {}, call.bracket == "{" and fields_of(call) or nil
  for _, field in ipairs(fields or {}) do
    if not field.deprecated and not call.given[field.name] and starts(field.name, word) then
      local key = field.name .. "="
      items[#items + 1] = { text = key, label = key, doc = full and field_doc(field) or nil }
    end
  end
  return items
end

local function value_field(call)
  local fields, def = fields_of(call)
  if call.key then return fields and schema.find(fields, call.key) end
  if not def or #(call.path or {}) > 0 then return nil end
  if def.args then return def.args[call.position] end
  local name = def.positional[call.position]
  return name and schema.find(def.options, name)
end

local function file_items(word, full)
  local folder, rest = word:match("^(.*/)([^/]*)$")
  if not folder then folder, rest = "", word end
  local path = folder == "" and "." or folder:gsub("^~/", (os.getenv("HOME") or "~") .. "/")
  local entries, items = host.list_dir(path), {}
  for _, entry in ipairs(entries or {}) do
    if starts(entry.name, rest) and (rest ~= "" or entry.name:sub(1, 1) ~= ".") then
      local name = entry.name .. (entry.dir and "/" or "")
      items[#items + 1] = { text = name, label = name, doc = full and (entry.dir and "folder" or "file") or nil }
    end
  end
  return sort_items(items), #word - #rest
end

local function name_items(names, word)
  local items = {}
  for _, name in ipairs(names) do
    if starts(name, word) then items[#items + 1] = { text = name, label = name } end
  end
  return items
end

-- Inside quotes: enum values or names of a kind when the schema knows, else files.
local function string_items(tokens, word, full)
  local last = tokens[#tokens]
  local before = {}
  for i = 1, #tokens - 1 do before[i] = tokens[i] end
  local call = lex.enclosing_call(before)
  local direct = lex.name_before(before, #before)
  if direct then call = { name = direct, given = {}, position = 1, bracket = "(" } end
  local field = call and value_field(call)
  local inside = field and field.items or field
  if inside and inside.enum then return name_items(inside.enum, word), 0, last end
  local items = {}
  if inside and inside.kind and M.kinds[inside.kind] then
    local ok, names = pcall(M.kinds[inside.kind])
    items = name_items(ok and names or {}, word)
  end
  local files, offset = file_items(word, full)
  if #items > 0 and not word:find("/") then
    -- A model may be a name or a path: names first, then files.
    for _, entry in ipairs(files) do items[#items + 1] = entry end
    return items, 0
  end
  return files, offset
end

local function value_items(call, full)
  local field = call.key and value_field(call)
  local items = {}
  for _, value in ipairs(field and field.enum or {}) do
    items[#items + 1] = { text = text.quote(value), label = text.quote(value), doc = full and field.doc or nil }
  end
  for _, kind in ipairs(field and schema.type_list(field) or {}) do
    if kind == "boolean" then
      items[#items + 1] = { text = "true", label = "true" }
      items[#items + 1] = { text = "false", label = "false" }
    end
  end
  return items
end

local function result(from, items)
  return { from = from, items = items }
end

local function path_items(word, full)
  local base, separator, rest = word:match("^(.-)([%.:]?)([%w_]*)$")
  if separator == "" then return global_items(rest, full), 0 end
  return member_items(base, rest, separator == ":", full), #word - #rest
end

-- `:command` and its argument, `?name`, `$ file`.
local function command_items(before, full)
  local name = before:match("^%s*:([%w_]*)$")
  if name then
    local items = {}
    for _, row in ipairs(commands.list) do
      if starts(row.name, name) then
        items[#items + 1] = { text = row.name, label = ":" .. row.name, doc = full and row.doc or nil }
      end
    end
    return result(#before - #name, items)
  end
  local word = before:match("^%s*:source%s+(.*)$") or before:match("^%s*%$.-([^%s]*)$")
  if word then
    local items, offset = file_items(word, full)
    return result(#before - #word + offset, items)
  end
  word = before:match("^%s*%?%??%s*([%w_%.:]*)$") or before:match("^%s*:edit%s+([%w_%.:]*)$")
    or before:match("^%s*:time%s+([%w_%.:]*)$")
  if word then
    local items, offset = path_items(word, full)
    return result(#before - #word + offset, items)
  end
  word = before:match("^%s*:help%s+:?([%w_]*)$")
  if word then return result(#before - #word, name_items(commands.names(), word)) end
  word = before:match("^%s*:log%s+(%w*)$")
  if word then return result(#before - #word, name_items({ "debug", "error", "info", "warn" }, word)) end
end

local function word_items(tokens, cursor, full)
  local last, word = tokens[#tokens], ""
  if last and last.to == cursor and (last.kind == "name" or last.kind == "keyword") then
    word = last.text
    tokens[#tokens] = nil
  end
  local from, previous = cursor - #word, tokens[#tokens]
  if previous and (previous.text == "." or previous.text == ":") then
    local path = lex.name_before(tokens, #tokens - 1)
    return result(from, path and member_items(path, word, previous.text == ":", full) or {})
  end
  local items = {}
  local call = lex.enclosing_call(tokens)
  if call and previous.text == "=" then
    items = value_items(call, full)
    if #items > 0 and word == "" then return result(from, items) end
  elseif call and (previous.text == "{" or previous.text == "," or previous.text == ";") then
    items = option_items(call, word, full)
    -- With nothing typed yet the options are what matters; names would bury them.
    if #items > 0 and word == "" then return result(from, items) end
  end
  for _, entry in ipairs(global_items(word, full)) do items[#items + 1] = entry end
  return result(from, items)
end

--- Lists what could stand at the cursor.
--- @param input string
--- @param cursor integer  bytes before the cursor
--- @param full? boolean  also fill `doc`
--- @return {from: integer, items: {text: string, label: string, doc: string?}[]}
function M.complete(input, cursor, full)
  local before = input:sub(1, cursor)
  if before:find("^%s*[:%?%$]") and not before:find("^%s*::") then
    return command_items(before, full) or result(cursor, {})
  end
  local tokens = lex.tokens(before)
  local last = tokens[#tokens]
  if last and last.kind == "comment" and (last.open or not last.text:find("^%-%-%[")) and last.to >= cursor then
    return result(cursor, {})
  end
  if last and last.kind == "string" and last.open then
    local word = last.text:gsub("^[\"']", ""):gsub("^%[=*%[", "")
    local items, offset = string_items(tokens, word, full)
    return result(cursor - #word + offset, items)
  end
  return word_items(tokens, cursor, full)
end

return M
