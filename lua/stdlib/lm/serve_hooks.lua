--- The functions that a server asks about requests and answers: from the engine's JSON to Lua values and back.

local errors = require("lm.errors")
local json = require("lm.json")

local M = {}

M.names = { "on_request", "on_token", "on_response", "on_moderation", "router", "fallback" }

local known = {}
for _, name in ipairs(M.names) do known[name] = true end

M.fields = {
  { name = "on_request", type = "function",
    doc = "called with each request {id, route, method, path, key, body}; may change the body or refuse it" },
  { name = "on_token", type = "function", doc = "called with each piece of an answer; may change or end it" },
  { name = "on_response", type = "function", doc = "called with each answer {id, route, model, text, finish_reason, "
    .. "usage}; may change or refuse it" },
  { name = "on_moderation", type = "function",
    doc = "called with each text of /v1/moderations; returns {category = score from 0 to 1}" },
}

--- Tells whether a server has such a hook.
--- @param name any
--- @return boolean
function M.is_name(name)
  return known[name] == true
end

--- Refuses values that are no hook.
--- @param name string
--- @param value any
function M.check(name, value)
  local kind = type(value)
  local fine = value == nil or kind == "function" or (name == "router" and kind == "table")
    or (name == "fallback" and kind == "string")
  if not fine then errors.raise("bad_option", ("Server: %s is a %s; expected a function"):format(name, kind)) end
end

--- The rules across the options of lm.serve.
--- @param o table
--- @return string? problem
function M.check_options(o)
  if (o.cert == nil) ~= (o.key == nil) then return "cert and key go together" end
  for i, rule in ipairs(type(o.router) == "table" and o.router or {}) do
    local kind = type(rule) == "table" and type(rule.when)
    if type(rule) ~= "table" or type(rule.model) ~= "string" or (kind ~= "string" and kind ~= "function") then
      return ("router: rule %d must be {when = function or pattern, model = name}"):format(i)
    end
  end
end

local function refuse(reason, what)
  errors.raise("denied", type(reason) == "string" and reason or what)
end

-- The last thing that was said, for patterns.
local function last_text(body)
  if type(body.prompt) == "string" then return body.prompt end
  if type(body.input) == "string" then return body.input end
  local messages = body.messages
  local content = type(messages) == "table" and #messages > 0 and messages[#messages].content
  if type(content) == "string" then return content end
  local parts = {}
  for _, part in ipairs(type(content) == "table" and content or {}) do
    if type(part) == "table" and type(part.text) == "string" then parts[#parts + 1] = part.text end
  end
  return table.concat(parts, "\n")
end

local function route(router, request)
  if type(router) == "function" then return router(request) end
  for _, rule in ipairs(router) do
    local fits = type(rule.when) == "function" and rule.when(request)
      or type(rule.when) == "string" and last_text(request.body):find(rule.when) ~= nil
    if fits then return rule.model end
  end
end

local function on_request(own, question)
  local request = json.decode(question)
  local before = json.encode(request.body)
  if own.router then
    local name = route(own.router, request)
    if name ~= nil then request.body.model = name end
  end
  if own.on_request then
    local answer, reason = own.on_request(request)
    if answer == false then refuse(reason, "the request was refused") end
  end
  local after = json.encode(request.body)
  return after ~= before and after or nil
end

local function on_token(own, question)
  local about = json.decode(question)
  local answer = own.on_token(about.text, about)
  if answer == false then return json.encode({ text = "", stop = true }) end
  return type(answer) == "string" and json.encode({ text = answer }) or nil
end

local function on_response(own, question)
  local response = json.decode(question)
  local before = response.text
  local answer, reason = own.on_response(response)
  if answer == false then refuse(reason, "the answer was refused") end
  if type(answer) == "string" then response.text = answer end
  return response.text ~= before and json.encode({ text = response.text }) or nil
end

--- Which hooks the engine is to ask.
--- @param own table  the server's hooks
--- @return table<string, boolean>
function M.wanted(own)
  return {
    on_request = own.on_request ~= nil or own.router ~= nil, on_token = own.on_token ~= nil,
    on_response = own.on_response ~= nil, on_moderation = own.on_moderation ~= nil,
    on_unknown_model = own.fallback ~= nil,
  }
end

--- The functions that the engine calls; they look at the server's hooks each time, so that a hook may be replaced.
--- @param own table
--- @return table<string, function>
function M.engine_side(own)
  local function with(name, run)
    return function(question)
      if own[name] == nil then return nil end
      return run(own, question)
    end
  end
  return {
    on_request = function(question) return on_request(own, question) end,
    on_token = with("on_token", on_token),
    on_response = with("on_response", on_response),
    on_moderation = with("on_moderation", function(_, question)
      local scores = own.on_moderation(json.decode(question).input)
      return scores and json.encode(scores) or nil
    end),
    on_unknown_model = with("fallback", function()
      return type(own.fallback) == "function" and own.fallback() or own.fallback
    end),
  }
end

return M
