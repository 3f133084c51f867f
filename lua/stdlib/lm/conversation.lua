--- Conversations: a model that remembers what was said.

local define = require("lm.define")
local engine = require("lm.engine.generate")
local errors = require("lm.errors")
local generate = require("lm.generate")
local handles = require("lm.engine.model")
local json = require("lm.json")
local prompts = require("lm.prompt")
local sampling = require("lm.sampling")
local text = require("lm.text")
local vision = require("lm.vision")

local M = {}

local methods = handles.model_methods

local conversation_methods = {}
local conversation_meta = { __index = conversation_methods, __name = "lm.Conversation" }

function conversation_meta.__tostring(c)
  local n = #c.messages
  return ("Conversation  %d %s  %s"):format(n, n == 1 and "message" or "messages", tostring(c.model))
end

local function render_ids(c)
  local ids, images = prompts.of_messages(c.model, c.messages)
  vision.show(c._context, images)
  return ids
end

-- What the user says, with a picture before it.
local function content_of(o)
  if not o.image then return o.content end
  return { { type = "image", path = o.image }, { type = "text", text = o.content } }
end

local image_field = {
  name = "image", type = "string", doc = "a PNG or JPEG file that the question is about, for models that see",
}

-- An answer that was interrupted before its first piece leaves nothing behind.
local function drop_empty_answer(messages)
  local last = messages[#messages]
  if last and last.role == "assistant" and last.content == "" then messages[#messages] = nil end
end

-- With tools: answers and calls in turn, until an answer calls none.
local function say_with_tools(c, options, on_token)
  local loop, live = require("lm.agent_loop"), require("lm.live")
  local streaming = live.wanted()
  local ask = loop.backend(c.model, { engine_context = c._context })
  local answer, report = loop.run(ask, c.messages, c.tools, loop.flat({
    max_steps = 10, on_event = function(e)
      if e.kind ~= "content" then return end
      if on_token then on_token(e.text) end
      if streaming then live.write(e.text) end
    end,
  }, options))
  if streaming then live.finish(answer.content, report.usage) end
  if report.stopped and answer.tool_calls then loop.raise_stopped("Conversation:say", report) end
  return answer.content, report.usage
end

--- Says something and returns the answer; both become part of the conversation.
---
--- Only what is new is evaluated: the earlier turns stay in the context. Ctrl-C keeps what was said so far. With
--- `schema`, `c.value` is the answer as a table. In a conversation with tools, what they are called with and return
--- stands in `c.messages` too.
--- ```lua
--- c = lm.load("smollm2"):chat()
--- c:say "What is the capital of France?"
--- ```
conversation_methods.say = define("Conversation:say", {
  positional = { "content" },
  options = sampling.with_optional("as the conversation was started",
    { name = "content", type = "string", required = true, doc = "what the user says" },
    image_field,
    { name = "on_token", type = "function", doc = "called with each piece of the answer" }),
  returns = "string",
}, function(self, o)
  drop_empty_answer(self.messages)
  self.messages[#self.messages + 1] = { role = "user", content = content_of(o) }
  if self.tools then
    local whole
    whole, self.stats = say_with_tools(self, sampling.complete(o, self._sampling), o.on_token)
    return whole
  end
  local fine, ids = pcall(render_ids, self)
  if not fine then  -- a picture that cannot be read, say; the conversation goes on without it
    self.messages[#self.messages] = nil
    error(ids, 0)
  end
  -- The answer grows in place, so that an interrupted one is kept as far as it came.
  local message = { role = "assistant", content = "" }
  self.messages[#self.messages + 1] = message
  local options = sampling.complete(o, self._sampling)
  local whole, stats = generate.answer(self.model, self._context, ids, options, function(piece)
    message.content = message.content .. piece
    if o.on_token then o.on_token(piece) end
  end)
  message.content = whole
  self.stats, self.value = stats, require("lm.constraint").value(whole, options)
  return whole
end)

--- Forgets everything said so far but the system prompt.
conversation_methods.reset = define("Conversation:reset", { args = {}, returns = "lm.Conversation" }, function(self)
  local first = self.messages[1]
  self.messages = first and first.role == "system" and { first } or {}
  return self
end)

--- Writes the conversation to a file, with all that the model remembers of it; `m:chat{ session = path }` goes on
--- later without reading it again.
--- ```lua norun
--- c:save "talk.session"
--- c = m:chat{ session = "talk.session" }
--- ```
conversation_methods.save = define("Conversation:save", {
  positional = { "path" },
  options = { { name = "path", type = "string", required = true, min = 1, kind = "file", doc = "the file to write" } },
  returns = "lm.Conversation",
}, function(self, o)
  engine.save_session(self._context, o.path, json.encode(self.messages))
  return self
end)

-- Messages of a session file: text that somebody may have written.
local function restored_messages(context, path)
  local fine, messages = pcall(json.decode, engine.restore_session(context, path))
  if not fine or type(messages) ~= "table" then
    errors.raise("bad_file", ("Model:chat: %s holds no conversation"):format(text.quote(path)))
  end
  return messages
end

local function conversation(model, o)
  if not handles.info(model).has_chat_template then
    errors.raise("unsupported",
      ("Model:chat: the model %s has no chat template"):format(text.quote(handles.info(model).name)),
      { hint = "m:generate{ prompt = ... } continues plain text", help = "Model:chat" })
  end
  local c = { model = model, messages = {}, _context = engine.context(model, o.context or 0),
    _sampling = sampling.complete(o) }
  if o.adapters then engine.choose_adapters(c._context, o.adapters) end
  if o.tools and #o.tools > 0 then c.tools = require("lm.tool").resolve(o.tools) end
  if o.session then c.messages = restored_messages(c._context, o.session) end
  if o.system then c.messages[1] = { role = "system", content = o.system } end
  for _, message in ipairs(o.messages or {}) do c.messages[#c.messages + 1] = message end
  return setmetatable(c, conversation_meta)
end

local tools_field = {
  name = "tools", type = "array", doc = "functions, names or tools (see lm.tool) that the model may call",
}
local system_field = { name = "system", type = "string", doc = "instructions for the whole conversation" }

-- One question and its answer, of which nothing is remembered.
local function ask_once(model, o)
  local c = conversation(model, o)
  c.messages[#c.messages + 1] = { role = "user", content = o.content }
  if c.tools then return (say_with_tools(c, o)) end
  return (generate.answer(c.model, c._context, render_ids(c), o))
end

--- Starts a conversation, which remembers what was said. The sampling options hold for every `say` that names no
--- others. With a text it asks that and returns the answer; nothing is remembered then.
--- ```lua
--- c = m:chat{ system = "Answer in one word." }
--- c:say "What is the capital of France?"
--- m:chat "And of Italy?"
--- ```
methods.chat = define("Model:chat", {
  positional = { "content" },
  options = sampling.with({ name = "content", type = "string", doc = "one question; its answer is returned" },
    system_field, tools_field, generate.context_field, {
    name = "session", type = "string", min = 1, kind = "file", doc = "a file of Conversation:save to go on from",
  }, {
    name = "messages", type = "array", doc = "earlier turns",
    items = { type = "table", fields = {
      { name = "role", type = "string", required = true, enum = { "system", "user", "assistant", "tool" },
        doc = "who speaks" },
      { name = "content", type = "string", required = true, doc = "what is said" },
    } },
  }),
  hint = 'm:chat():say "..." asks a question', returns = "lm.Conversation|string",
}, function(self, o)
  if o.content then return ask_once(self, o) end
  return conversation(self, o)
end)

--- Asks the current model one question and returns its answer. Nothing is remembered; `m:chat()` does that.
--- ```lua
--- lm.chat "What is the capital of France?"
--- ```
M.chat = define("lm.chat", {
  positional = { "content" },
  options = sampling.with({ name = "content", type = "string", required = true, doc = "what the user says" },
    system_field, tools_field,
    generate.model_field, generate.context_field),
  background = true, returns = "string",
}, function(o)
  return ask_once(require("lm.model").of(o.model), o)
end)

return M
