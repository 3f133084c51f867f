--- A tolerant Lua tokenizer for completion, hints and input checks: it never fails, whatever was typed so far.
---
--- A token is `{kind, text, from, to, open}`; kinds: name keyword number string comment symbol. `open` marks a string
--- or comment that has no end yet.

local M = {}

M.keywords = {}
for word in ("and break do else elseif end false for function goto if in local nil not or repeat return then true "
  .. "until while"):gmatch("%a+") do M.keywords[word] = true end

local function long_bracket(s, i)
  local level = s:match("^%[(=*)%[", i)
  if not level then return nil end
  local _, to = s:find("]" .. level .. "]", i, true)
  return to or #s, to == nil
end

local function short_string(s, i)
  local quote, at = s:sub(i, i), i + 1
  while at <= #s do
    local c = s:sub(at, at)
    if c == "\\" then
      at = at + 1
    elseif c == quote then
      return at, false
    elseif c == "\n" then
      return at - 1, true
    end
    at = at + 1
  end
  return #s, true
end

local function comment(s, i)
  local to, open = long_bracket(s, i + 2)
  if to then return to, open end
  return (s:find("\n", i, true) or #s + 1) - 1, false
end

local symbols3, symbols2 = { ["..."] = true }, {
  ["=="] = true, ["~="] = true, ["<="] = true, [">="] = true, [".."] = true, ["::"] = true,
}

local function symbol_end(s, i)
  if symbols3[s:sub(i, i + 2)] then return i + 2 end
  if symbols2[s:sub(i, i + 1)] then return i + 1 end
  return i
end

local function next_token(s, i)
  local c = s:sub(i, i)
  if c:find("[%a_]") then
    local _, to = s:find("^[%w_]+", i)
    return M.keywords[s:sub(i, to)] and "keyword" or "name", to
  elseif c:find("%d") or s:find("^%.%d", i) then
    local _, to = s:find("^[%w%.]+", i)
    return "number", to
  elseif c == '"' or c == "'" then
    return "string", short_string(s, i)
  elseif s:sub(i, i + 1) == "--" then
    return "comment", comment(s, i)
  elseif s:find("^%[=*%[", i) then
    return "string", long_bracket(s, i)
  end
  return "symbol", symbol_end(s, i)
end

--- Splits a text into tokens.
--- @param s string
--- @return table[] tokens
function M.tokens(s)
  local tokens, i = {}, 1
  while true do
    i = s:find("%S", i)
    if not i then return tokens end
    local kind, to, open = next_token(s, i)
    tokens[#tokens + 1] = { kind = kind, text = s:sub(i, to), from = i, to = to, open = open or nil }
    i = to + 1
  end
end

local closers = { ["("] = ")", ["{"] = "}", ["["] = "]" }

--- Finds the call that the end of the tokens stands in: `lm.train{ model="x", |`.
--- @param tokens table[]
--- @return table? call  `{name, bracket, given, position, key}`: callee text, "{" or "(", names already given,
---   number of the argument, and the option whose value is being typed
function M.enclosing_call(tokens)
  local stack = {}
  for i, token in ipairs(tokens) do
    if token.kind == "symbol" and closers[token.text] then
      stack[#stack + 1] = i
    elseif token.kind == "symbol" and #stack > 0 and closers[tokens[stack[#stack]].text] == token.text then
      stack[#stack] = nil
    end
  end
  for level = #stack, 1, -1 do
    local open = stack[level]
    local path = M.call_path(tokens, open, stack, level)
    if path then
      local call = M.read_arguments(tokens, open)
      call.name, call.path = path.name, path.fields
      return call
    end
    -- A table inside a call's parentheses may be its options: f("x", { | }) and f({ | }).
    if tokens[open].text ~= "{" then return nil end
  end
end

-- Reads "a.b:c" backwards from a token; returns its text, or nil when it is something else.
function M.name_before(tokens, i)
  local parts = {}
  local at = i
  while at >= 1 and tokens[at].kind == "name" do
    table.insert(parts, 1, tokens[at].text)
    local separator = tokens[at - 1]
    if not separator or (separator.text ~= "." and separator.text ~= ":") then break end
    table.insert(parts, 1, separator.text)
    at = at - 2
  end
  if #parts == 0 or not parts[1]:find("[%a_]") then return nil end
  return table.concat(parts)
end

-- The name of the function whose arguments open here, and the path of nested tables below it.
function M.call_path(tokens, open, stack, level)
  local fields = {}
  while true do
    local before = tokens[open - 1]
    if not before then return nil end
    local name = M.name_before(tokens, open - 1)
    if name and before.kind == "name" and tokens[open].text ~= "[" then
      local head = tokens[open - 1]
      local introduced = tokens[open - 2]
      if head and introduced and introduced.text == "function" then return nil end
      return { name = name, fields = fields }
    end
    if tokens[open].text ~= "{" then return nil end
    if before.text == "=" and tokens[open - 2] and tokens[open - 2].kind == "name" then
      table.insert(fields, 1, tokens[open - 2].text)
    elseif before.text ~= "(" and before.text ~= "," then
      return nil
    end
    level = level - 1
    if level < 1 then return nil end
    open = stack[level]
  end
end

--- Reads what is already given after an opening bracket.
--- @param tokens table[]
--- @param open integer  index of the bracket
--- @return table call  `{bracket, given, position, key}`
function M.read_arguments(tokens, open)
  local call = { bracket = tokens[open].text, given = {}, position = 1 }
  local depth = 0
  for i = open + 1, #tokens do
    local token = tokens[i]
    if token.kind == "symbol" and closers[token.text] then
      depth = depth + 1
    elseif token.kind == "symbol" and (token.text == ")" or token.text == "}" or token.text == "]") then
      depth = depth - 1
    elseif depth == 0 and (token.text == "," or token.text == ";") then
      call.position, call.key = call.position + 1, nil
    elseif depth == 0 and token.text == "=" and tokens[i - 1].kind == "name" then
      call.key = tokens[i - 1].text
      call.given[call.key] = true
    end
  end
  return call
end

return M
