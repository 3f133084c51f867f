--- Models behind an OpenAI-compatible API, usable wherever an agent takes a model.

local define = require("lm.define")
local errors = require("lm.errors")
local http = require("lm.http")
local json = require("lm.json")
local tool_call = require("lm.tool_call")
local tools_module = require("lm.tool")

local M = {}

local methods = {}
local meta = { __index = methods, __name = "lm.Remote" }

function meta.__tostring(remote) return ("Remote model %s at %s"):format(remote.name, remote.base_url) end

local function failure(remote, reply)
  local decoded = json.decode(reply.body)
  local e = type(decoded) == "table" and decoded.error
  local message = type(e) == "table" and e.message or (type(e) == "string" and e) or reply.body:sub(1, 200)
  local code = (reply.status == 401 or reply.status == 403) and "denied" or reply.status == 404 and "not_found"
    or reply.status < 500 and "bad_option" or "network"
  errors.raise(code, ("%s answered %d: %s"):format(remote.base_url, reply.status, message))
end

local passed_on = { "temperature", "top_p", "max_tokens", "seed", "stop", "frequency_penalty", "presence_penalty" }

local function request_body(remote, messages, tools, o)
  local body = { model = remote.name, messages = json.array(), stream = true,
    stream_options = { include_usage = true } }
  for i, m in ipairs(messages) do
    body.messages[i] = { role = m.role, content = m.content, tool_call_id = m.tool_call_id,
      tool_calls = tool_call.listed(m.tool_calls) }
  end
  for _, key in ipairs(passed_on) do
    if o[key] ~= nil then body[key] = o[key] end
  end
  if #tools > 0 then
    body.tools = json.decode(tools_module.definitions(tools))
    local choice = o.tool_choice
    if choice and choice ~= "auto" and choice ~= "none" and choice ~= "required" then
      choice = { type = "function", ["function"] = { name = choice } }
    end
    body.tool_choice = choice
    if o.parallel_tool_calls == false then body.parallel_tool_calls = false end
  end
  if o.schema then
    local schema = type(o.schema) == "string" and json.decode(o.schema) or o.schema
    body.response_format = { type = "json_schema", json_schema = { name = "answer", schema = schema, strict = true } }
  end
  return json.encode(body)
end

-- Adds one piece of the stream to the message.
local function add_delta(message, calls, delta, on_event)
  for _, kind in ipairs({ "content", "reasoning" }) do
    local piece = delta[kind] or (kind == "reasoning" and delta.reasoning_content)
    if type(piece) == "string" and piece ~= "" then
      message[kind] = (message[kind] or "") .. piece
      if on_event then on_event({ kind = kind, text = piece }) end
    end
  end
  for _, part in ipairs(type(delta.tool_calls) == "table" and delta.tool_calls or {}) do
    local index = (part.index or #calls) + 1
    local f = part["function"] or {}
    if not calls[index] then
      calls[index] = { id = part.id, type = "function", complete = true,
        ["function"] = { name = f.name or "", arguments = "" } }
      if on_event then on_event({ kind = "begin", name = f.name, index = index, id = part.id }) end
    end
    if type(f.arguments) == "string" then
      calls[index]["function"].arguments = calls[index]["function"].arguments .. f.arguments
      if on_event then on_event({ kind = "arguments", text = f.arguments, index = index }) end
    end
  end
end

--- Answers a conversation; the same as a local model does for agents.
--- @param messages table[]
--- @param tools table[]
--- @param o table
--- @param on_event? fun(event: table)
--- @return table message
--- @return table stats
function methods:turn(messages, tools, o, on_event)
  local message, calls, stats, raw = { role = "assistant", content = "" }, {}, {}, {}
  local feed = http.events(function(event)
    if event.data == "[DONE]" then return false end
    local piece = event.data and json.decode(event.data)
    if type(piece) ~= "table" then return nil end
    if type(piece.error) == "table" then errors.raise("network", tostring(piece.error.message)) end
    if type(piece.usage) == "table" then
      stats.prompt_tokens, stats.completion_tokens = piece.usage.prompt_tokens, piece.usage.completion_tokens
    end
    local choice = type(piece.choices) == "table" and piece.choices[1]
    if choice then
      add_delta(message, calls, choice.delta or {}, on_event)
      if type(choice.finish_reason) == "string" then stats.finish_reason = choice.finish_reason end
    end
  end)
  local reply = http.request(self.base_url .. "/chat/completions", {
    method = "POST", body = request_body(self, messages, tools, o), headers = self.headers, read_timeout = self.timeout,
    on_data = function(chunk, head)
      if head.status ~= 200 then
        raw[#raw + 1] = chunk
        return nil
      end
      return feed(chunk)
    end,
  })
  reply.body = table.concat(raw)
  if reply.status ~= 200 then failure(self, reply) end
  if #calls > 0 then message.tool_calls = json.array(calls) end
  return message, stats
end

--- Names a model behind an OpenAI-compatible API (`/chat/completions`). `lm.agent{ model = }` takes it like a local
--- one.
--- ```lua norun
--- r = lm.remote{ base_url = "http://127.0.0.1:8080/v1", model = "smollm2" }
--- lm.agent{ model = r, tools = { add } }:run "What is 2 + 3?"
--- ```
M.remote = define("lm.remote", {
  options = {
    { name = "base_url", type = "string", required = true, min = 1, doc = "as clients want it, with /v1" },
    { name = "model", type = "string", required = true, min = 1, doc = "the model's name there" },
    { name = "api_key", type = "string", doc = "sent as Authorization: Bearer", default_text = "OPENAI_API_KEY" },
    { name = "timeout", type = "number", default = 300, above = 0, doc = "seconds without a byte" },
  },
  returns = "lm.Remote",
}, function(o)
  local headers = { ["content-type"] = "application/json", accept = "text/event-stream" }
  local key = o.api_key or os.getenv("OPENAI_API_KEY")
  if key and key ~= "" then headers.authorization = "Bearer " .. key end
  http.parse(o.base_url)
  return setmetatable({ base_url = (o.base_url:gsub("/+$", "")), name = o.model, headers = headers,
    timeout = o.timeout }, meta)
end)

return M
