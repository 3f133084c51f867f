--- Looks into values without running code of theirs: raw fields, then metatables whose `__index` is a table.
--- Used by completion and help, where evaluating `x.y` could start a download or raise.

local M = {}

local MAX_KEYS, MAX_CHAIN = 500, 20

-- The next table to look in, or nil when `__index` is a function.
local function parent_of(value)
  local meta = debug.getmetatable(value)
  local index = type(meta) == "table" and rawget(meta, "__index")
  return type(index) == "table" and index or nil
end

local function is_root(value)
  return value == package.loaded["lm"] and value ~= nil
end

--- Returns what a metatable lists in `__complete`: the names that its `__index` function answers, with the method
--- or the name of the type of each.
--- @param value any
--- @return table<string, function|string>?
function M.announced(value)
  local meta = debug.getmetatable(value)
  local names = type(meta) == "table" and rawget(meta, "__complete")
  return type(names) == "table" and names or nil
end

--- Reads a field without calling `__index` functions; the root table's own is safe and is called.
--- @param value any
--- @param key string
--- @return any
function M.field(value, key)
  if is_root(value) then
    local ok, item = pcall(function() return value[key] end)
    return ok and item or nil
  end
  local announced = M.announced(value)
  if announced and type(announced[key]) == "function" then return announced[key] end
  for _ = 1, MAX_CHAIN do
    if type(value) == "table" then
      local item = rawget(value, key)
      if item ~= nil then return item end
    end
    value = parent_of(value)
    if value == nil then return nil end
  end
end

local function add(list, seen, name, value, kind)
  if type(name) == "string" and not seen[name] and name:find("^[%a_][%w_]*$") then
    seen[name] = true
    list[#list + 1] = { name = name, value = value, kind = kind or type(value) }
  end
end

local function add_announced(list, seen, value)
  for name, what in next, M.announced(value) or {} do
    add(list, seen, name, what, type(what) == "string" and what or nil)
  end
end

--- Lists the fields and methods of a value.
--- @param value any
--- @param max? integer  keys to inspect at most
--- @return table[] members  `{name, value, kind}`, in no order
function M.list(value, max)
  local found, seen, inspected = {}, {}, 0
  max = max or MAX_KEYS
  if is_root(value) then
    for _, name in ipairs(value.names()) do add(found, seen, name, rawget(value, name)) end
    return found
  end
  add_announced(found, seen, value)
  for _ = 1, MAX_CHAIN do
    if type(value) == "table" then
      for name, item in next, value do
        inspected = inspected + 1
        if inspected > max then return found end
        add(found, seen, name, item)
      end
    end
    value = parent_of(value)
    if value == nil then return found end
  end
  return found
end

--- Lists the members whose names do not start with "_": those that are meant for users.
--- @param value any
--- @return table[] members
function M.public(value)
  local found = {}
  for _, member in ipairs(M.list(value)) do
    if member.name:sub(1, 1) ~= "_" then found[#found + 1] = member end
  end
  return found
end

return M
