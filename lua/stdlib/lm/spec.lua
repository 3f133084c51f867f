--- A small test runner with busted's names: describe, it, before_each, pending, assert.same and friends.
--- Runs inside lmfast and under plain luajit.

local M = {}

local MARK = "lm.spec failure"

local function show(value)
  if type(value) == "string" then return ("%q"):format(value):gsub("\\\n", "\\n") end
  if type(value) == "table" then
    local ok, shown = pcall(function() return require("lm.pretty").format(value, { width = 100 }) end)
    return ok and shown or tostring(value)
  end
  return tostring(value)
end

-- The place in the spec file: the first frame outside this module.
local function place()
  local own = debug.getinfo(1, "S").source
  for level = 2, 40 do
    local info = debug.getinfo(level, "Sl")
    if not info then return "?" end
    if info.source ~= own and info.currentline > 0 then return info.short_src .. ":" .. info.currentline end
  end
end

local function fail(message)
  error({ mark = MARK, message = message, place = place() }, 0)
end

-- Assertions ---------------------------------------------------------------------------------------------------

local assertions = {}

local function deep_equal(a, b, seen)
  if a == b then return true end
  if type(a) ~= "table" or type(b) ~= "table" then return a ~= a and b ~= b end
  if seen[a] == b then return true end
  seen[a] = b
  for key, value in next, a do
    if not deep_equal(value, rawget(b, key), seen) then return false end
  end
  for key in next, b do
    if rawget(a, key) == nil then return false end
  end
  return true
end

--- Fails unless both values are the same by `==`.
function assertions.equal(expected, actual, note)
  if expected ~= actual then
    fail(("%sexpected %s, got %s"):format(note and note .. ": " or "", show(expected), show(actual)))
  end
end

--- Fails unless both values have the same contents.
function assertions.same(expected, actual, note)
  if not deep_equal(expected, actual, {}) then
    fail(("%sexpected %s, got %s"):format(note and note .. ": " or "", show(expected), show(actual)))
  end
end

--- Fails unless two numbers differ by at most `tolerance`.
function assertions.near(expected, actual, tolerance)
  local close = type(actual) == "number" and math.abs(expected - actual) <= tolerance
  if not close then
    fail(("expected %s +- %s, got %s"):format(show(expected), show(tolerance), show(actual)))
  end
end

--- Fails unless the text matches a Lua pattern.
function assertions.matches(pattern, text)
  if type(text) ~= "string" or not text:find(pattern) then
    fail(("expected a text matching %s, got %s"):format(show(pattern), show(text)))
  end
end

--- Fails unless the text contains another one.
function assertions.contains(part, text)
  if type(text) ~= "string" or not text:find(part, 1, true) then
    fail(("expected a text containing %s, got %s"):format(show(part), show(text)))
  end
end

--- Fails unless the function raises an error whose text contains `part`; returns the error.
function assertions.raises(part, f, ...)
  local ok, e = pcall(f, ...)
  if ok then fail("expected an error, but there was none") end
  local text = type(e) == "table" and rawget(e, "message") or tostring(e)
  if part and not text:find(part, 1, true) then
    fail(("expected an error containing %s, got %s"):format(show(part), show(text)))
  end
  return e
end

--- Fails unless the value is neither nil nor false.
function assertions.truthy(value, note)
  if not value then fail(("%sexpected a true value, got %s"):format(note and note .. ": " or "", show(value))) end
end

--- Fails unless the value is nil or false.
function assertions.falsy(value, note)
  if value then fail(("%sexpected nil or false, got %s"):format(note and note .. ": " or "", show(value))) end
end

--- The assertions; calling the table itself works like Lua's assert.
M.assert = setmetatable(assertions, {
  __call = function(_, value, message, ...)
    if not value then fail(tostring(message or "assertion failed")) end
    return value, message, ...
  end,
})

-- Collecting and running ---------------------------------------------------------------------------------------

local function new_group(name, parent)
  return { name = name, parent = parent, before = {}, after = {} }
end

local function hooks_of(group, kind, list)
  if group.parent then hooks_of(group.parent, kind, list) end
  for _, hook in ipairs(group[kind]) do list[#list + 1] = hook end
  return list
end

local function full_name(group, name)
  while group and group.name do
    name = group.name .. " > " .. name
    group = group.parent
  end
  return name
end

local function handler(e)
  if type(e) == "table" and (e.mark or e.pending) then return e end
  local text = type(e) == "table" and rawget(e, "message") and tostring(e) or tostring(e)
  return { message = text, place = place(), traceback = debug.traceback("", 2) }
end

local function has_tags(name, tags)
  for tag in (tags or ""):gmatch("[^,%s]+") do
    if not name:find("#" .. tag .. "%f[%W]") then return false end
  end
  return true
end

local function print_failure(state, name, e)
  state.write(("FAIL %s\n  %s: %s\n"):format(name, e.place or "?", (e.message:gsub("\n", "\n  "))))
  if e.traceback and state.verbose then state.write(e.traceback .. "\n") end
end

local function run_test(state, group, name, f)
  name = full_name(group, name)
  if not has_tags(name, state.tags) or (state.filter and not name:find(state.filter, 1, true)) then return end
  local function body()
    for _, hook in ipairs(hooks_of(group, "before", {})) do hook() end
    f()
  end
  local ok, e = xpcall(body, handler)
  for _, hook in ipairs(hooks_of(group, "after", {})) do
    local hook_ok, hook_error = xpcall(hook, handler)
    if ok and not hook_ok then ok, e = false, hook_error end
  end
  if ok then
    state.passed = state.passed + 1
  elseif e.pending then
    state.skipped = state.skipped + 1
    state.write(("SKIP %s: %s\n"):format(name, e.pending))
  else
    state.failed = state.failed + 1
    print_failure(state, name, e)
  end
end

-- Tests run while the file is read, group by group: what a describe body sets up is there when its tests run.
local function functions_for(state)
  local current = new_group(nil, nil)
  local names = {}
  function names.describe(name, body)
    local outer = current
    current = new_group(name, outer)
    local ok, e = xpcall(body, handler)
    if not ok and e.pending then
      state.skipped = state.skipped + 1
      state.write(("SKIP %s: %s\n"):format(full_name(outer, name), e.pending))
    elseif not ok then
      state.failed = state.failed + 1
      print_failure(state, full_name(outer, name), e)
    end
    current = outer
  end
  function names.it(name, body) run_test(state, current, name, body) end
  function names.before_each(hook) table.insert(current.before, hook) end
  function names.after_each(hook) table.insert(current.after, hook) end
  -- Busted's form pending("name", f) counts as a skip; inside a test pending("reason") ends the test.
  function names.pending(reason) error({ pending = reason or "no reason given" }, 0) end
  names.assert = M.assert
  return names
end

--- Starts a run.
--- @param o? {tags: string?, filter: string?, verbose: boolean?, write: function?}
--- @return table state
function M.new(o)
  o = o or {}
  return {
    passed = 0, failed = 0, skipped = 0, tags = o.tags, filter = o.filter, verbose = o.verbose,
    write = o.write or function(s) io.write(s) end,
  }
end

--- Runs one spec file; its functions are globals of the file only.
--- @param state table
--- @param path string
function M.file(state, path)
  -- Specs share helpers in the folder support beside them.
  local support = (path:match("^(.*/)") or "") .. "support/?.lua;"
  if not package.path:find(support, 1, true) then package.path = support .. package.path end
  local f, message = loadfile(path)
  if not f then
    state.failed = state.failed + 1
    state.write(("FAIL %s\n  %s\n"):format(path, message))
    return
  end
  setfenv(f, setmetatable(functions_for(state), { __index = _G, __newindex = function(_, name)
    error(("%s: a spec must not set the global %s"):format(path, tostring(name)), 2)
  end }))
  local ok, e = xpcall(f, handler)
  if ok then return end
  if e.pending then
    state.skipped = state.skipped + 1
    state.write(("SKIP %s: %s\n"):format(path, e.pending))
  else
    state.failed = state.failed + 1
    print_failure(state, path, e)
  end
end

--- Serves `lmfast test`: runs spec files, `--tags a,b`, `--filter text`, `--verbose`.
--- @param argv string[]
--- @return integer exit_code
function M.main(argv)
  local o, files, i = {}, {}, 1
  while argv[i] do
    local flag = argv[i]:match("^%-%-(%a+)$")
    if flag == "verbose" then
      o.verbose = true
    elseif flag then
      i = i + 1
      o[flag] = argv[i]
    else
      files[#files + 1] = argv[i]
    end
    i = i + 1
  end
  local state = M.new(o)
  for _, path in ipairs(files) do M.file(state, path) end
  return M.finish(state)
end

--- Prints the last line and returns the exit code.
--- @param state table
--- @return integer exit_code
function M.finish(state)
  state.write(("%d passed, %d failed, %d skipped\n"):format(state.passed, state.failed, state.skipped))
  return state.failed == 0 and 0 or 1
end

return M
