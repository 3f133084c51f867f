--- Models: load, chat, generate, stream, tokens and logits.

local define = require("lm.define")
local engine = require("lm.engine.model")
local errors = require("lm.errors")
local host = require("lm.host")
local json = require("lm.json")
local live = require("lm.live")
local models = require("lm.models")
local sampling = require("lm.sampling")
local text = require("lm.text")

local M = {}

-- Methods of "lm.Model" handles; the metatable is the engine's.
local methods = engine.model_methods

local function human_count(n)
  if n >= 1e9 then return ("%.2f B"):format(n / 1e9) end
  return ("%.1f M"):format(n / 1e6)
end

-- The catalogue's names of models that were loaded by one; the name in the file is often a title.
local known_names = setmetatable({}, { __mode = "k" })

local function info_of(model)
  local info = engine.info(model)
  info.title = info.name
  info.name = known_names[model] or info.name
  return info
end

function engine.model_meta.__tostring(model)
  local ok, info = pcall(info_of, model)
  if not ok then return "Model (freed)" end
  return ("Model %s  %s  %s params  %s  cpu  %s"):format(info.name, info.architecture, human_count(info.n_params),
    info.dtype,
    text.bytes(info.memory_bytes))
end

-- The model that lm.chat and lm.generate use when none is named.
local current

local function progress_while(name)
  local shown = host.now()
  return function(fraction)
    local now = host.now()
    if now - shown < 0.2 then return end
    shown = now
    host.progress(("loading %s  %d%%"):format(name, fraction * 100))
  end
end

local function load_model(o)
  local path, known = models.resolve(o.model)
  local ok, model = pcall(engine.load, path, o.compute, progress_while(o.model))
  host.progress("")
  if not ok then
    local e = model
    if not errors.is(e) or e.code == "interrupted" then error(e, 0) end
    errors.raise(e.code, "lm.load: " .. e.message, { hint = e.hint, help = "lm.load" })
  end
  known_names[model] = known
  local info = engine.info(model)
  if info.warning then host.write_err("warning: " .. info.warning .. "\n") end
  current = model
  return model
end

--- Loads a model and makes it the current one.
---
--- Accepts a name of `lm.models()`, a `.gguf` file, a Hugging Face folder (config.json and .safetensors, sharded or
--- not), or a llama2.c `.bin` file with its tokenizer beside it.
--- ```lua
--- m = lm.load "smollm2"
--- ```
M.load = define("lm.load", {
  positional = { "model" },
  options = {
    { name = "model", type = "string", required = true, min = 1, kind = "model", doc = "name, file or folder" },
    { name = "compute", type = "string", enum = { "auto", "f32" }, default = "auto",
      doc = "auto computes in the file's own types; f32 converts all weights, for exact comparisons" },
  },
  background = true, returns = "lm.Model",
}, function(o)
  local model = load_model(o)
  return model
end)

--- Returns the current model, loading the first of the catalogue when there is none.
--- @return userdata model
function M.current()
  if not current then load_model({ model = require("lm.catalogue")[1].name, compute = "auto" }) end
  return current
end

-- An option `model` may be a handle or a name.
local function model_of(o)
  if type(o.model) == "userdata" then return o.model end
  if o.model then return load_model({ model = o.model, compute = "auto" }) end
  return M.current()
end

local model_field = {
  name = "model", type = "userdata|string", class = "lm.Model", kind = "model",
  doc = "a loaded model, or a name to load", default_text = "the current model",
}

-- Runs a generation to its end. on_piece(piece) may return false to stop. Returns the text and the engine's statistics.
local function run(context, ids, o, on_piece)
  local generation = engine.generation(context, ids, sampling.engine_options(o))
  local parts, stopped = {}, false
  while not stopped do
    local piece = engine.next(generation)
    if not piece then break end
    parts[#parts + 1] = piece
    if on_piece and piece ~= "" then stopped = on_piece(piece) == false end
    host.pump()
  end
  local stats = engine.stats(generation)
  if stopped then stats.finish_reason = "callback" end
  return table.concat(parts), stats
end

-- Runs a generation for a function that returns text: streams when the prompt asked for it, else shows progress.
local function answer(context, ids, o, on_piece)
  local streaming = live.wanted()
  local start, shown, count = host.now(), host.now(), 0
  local whole, stats = run(context, ids, o, function(piece)
    count = count + 1
    if on_piece then on_piece(piece) end
    if streaming then return live.write(piece) end
    local now = host.now()
    if now - shown < 0.3 then return end
    shown = now
    host.job_progress(count / math.max(o.max_tokens, count), ("%d tokens  %.0f tok/s"):format(count,
      count / (now - start)))
  end)
  if streaming then live.finish(whole, stats) else host.progress("") end
  return whole, stats
end

local function prompt_ids(model, prompt)
  if type(prompt) == "table" then return prompt end
  local ids = engine.tokenize(model, prompt, true, true)
  if #ids == 0 then ids = { engine.info(model).bos or engine.info(model).eos[1] or 0 } end
  return ids
end

local prompt_field = {
  name = "prompt", type = "string|array", required = true, items = { type = "integer", min = 0 },
  doc = "text to continue, or token ids; special tokens in the text count as such",
}
local context_field = {
  name = "context", type = "integer", min = 1, max = 2 ^ 31, doc = "tokens that prompt and answer may take together",
  default_text = "what the model was made for",
}

local function generate(model, o)
  local context = engine.context(model, o.context or 0)
  local whole = answer(context, prompt_ids(model, o.prompt), o)
  return whole
end

--- Continues a text and returns what follows.
---
--- The prompt is taken as it is, without a chat template. `temperature = 0` gives the same text every time.
--- ```lua
--- m:generate{ prompt = "Once upon a time", max_tokens = 40 }
--- ```
methods.generate = define("Model:generate", {
  positional = { "prompt" }, options = sampling.with(prompt_field, context_field), background = true,
    returns = "string",
}, function(self, o)
  local whole = generate(self, o)
  return whole
end)

--- Continues a text with the current model and returns what follows.
--- ```lua
--- lm.generate{ prompt = "Once upon a time", max_tokens = 40 }
--- ```
M.generate = define("lm.generate", {
  positional = { "prompt" }, options = sampling.with(prompt_field, model_field, context_field), background = true,
  returns = "string",
}, function(o)
  local whole = generate(model_of(o), o)
  return whole
end)

--- Continues a text piece by piece and returns a record of the whole.
---
--- `on_token(piece)` gets text that is complete UTF-8; when it returns false the generation ends. The record
--- has `text`, `tokens`, `finish_reason` ("stop", "length", "callback"), `prompt_tokens`, `completion_tokens`,
--- `prompt_seconds`, `decode_seconds` and `seed`.
--- ```lua
--- m:stream{ prompt = "Once", max_tokens = 20, on_token = function(s) io.write(s) end }
--- ```
methods.stream = define("Model:stream", {
  positional = { "prompt" },
  options = sampling.with(prompt_field, context_field, {
    name = "on_token", type = "function", required = true, doc = "called with each piece of text; return false to stop",
  }),
  returns = "table",
}, function(self, o)
  local context = engine.context(self, o.context or 0)
  local whole, record = run(context, prompt_ids(self, o.prompt), o, o.on_token)
  record.text = whole
  return record
end)

--- Splits a text into token ids.
methods.tokenize = define("Model:tokenize", {
  positional = { "text" },
  options = {
    { name = "text", type = "string", required = true, doc = "any text" },
    { name = "add_special", type = "boolean", default = true, doc = "put the tokens around it that the model expects" },
    { name = "parse_special", type = "boolean", default = true, doc = "take special tokens in the text as such" },
  },
  returns = "integer[]",
}, function(self, o)
  local ids = engine.tokenize(self, o.text, o.add_special, o.parse_special)
  return ids
end)

--- Joins token ids to the text they stand for.
methods.detokenize = define("Model:detokenize", {
  positional = { "tokens" },
  options = {
    { name = "tokens", type = "array", required = true, items = { type = "integer", min = 0 }, doc = "token ids" },
    { name = "skip_special", type = "boolean", default = true, doc = "leave special tokens out" },
  },
  returns = "string",
}, function(self, o)
  local whole = engine.detokenize(self, o.tokens, o.skip_special)
  return whole
end)

--- Returns the logits after a prompt: one number for each token of the vocabulary, the first being token 0.
---
--- With `all = true`, a list of such lists, one after every token of the prompt. With `top = n`, the n best as records.
--- ```lua
--- m:logits{ prompt = "The capital of France is", top = 5 }
--- ```
methods.logits = define("Model:logits", {
  positional = { "prompt" },
  options = {
    prompt_field,
    { name = "all", type = "boolean", default = false, doc = "after every token, not only the last" },
    { name = "top", type = "integer", min = 1, max = 1000, doc = "return only this many best tokens, as records" },
  },
  check = function(o) if o.all and o.top then return "all and top exclude each other" end end,
  returns = "number[]",
}, function(self, o)
  local context = engine.context(self, 0)
  local ids = prompt_ids(self, o.prompt)
  if o.all then return define.pass(engine.all_logits(context, ids)) end
  local values = engine.logits(context, ids)
  if not o.top then return values end
  return define.pass(M.best(self, values, o.top))
end)

--- Picks the n best tokens of a list of logits.
--- @param model userdata
--- @param values number[]  logits of tokens 0, 1, ...
--- @param n integer
--- @return table[]  `{token, text, logit, probability}`, best first
function M.best(model, values, n)
  local order, largest, total = {}, -math.huge, 0
  for i, value in ipairs(values) do
    order[i] = i
    largest = math.max(largest, value)
  end
  for _, value in ipairs(values) do total = total + math.exp(value - largest) end
  table.sort(order, function(a, b)
    if values[a] ~= values[b] then return values[a] > values[b] end
    return a < b
  end)
  local rows = {}
  for i = 1, math.min(n, #order) do
    local index = order[i]
    rows[i] = {
      token = index - 1, text = engine.detokenize(model, { index - 1 }, false), logit = values[index],
      probability = math.exp(values[index] - largest) / total,
    }
  end
  return rows
end

--- Returns what is known about the model: name (its title in the file is `title`), sizes, types, path, special tokens.
methods.info = define("Model:info", { args = {}, returns = "table" }, function(self)
  local info = info_of(self)
  return info
end)

--- Gives the model's memory back now; later uses of this handle raise an error.
methods.free = define("Model:free", { args = {} }, function(self)
  if current == self then current = nil end
  engine.free(self)
end)

-- Conversations --------------------------------------------------------------------------------------------

local conversation_methods = {}
local conversation_meta = { __index = conversation_methods, __name = "lm.Conversation" }

function conversation_meta.__tostring(c)
  local n = #c.messages
  return ("Conversation  %d %s  %s"):format(n, n == 1 and "message" or "messages", tostring(c.model))
end

local function render_ids(c)
  local rendered = engine.render(c.model, json.encode(c.messages), c.tools and json.encode(c.tools) or nil, true)
  return engine.tokenize(c.model, rendered, false, true)
end

-- An answer that was interrupted before its first piece leaves nothing behind.
local function drop_empty_answer(messages)
  local last = messages[#messages]
  if last and last.role == "assistant" and last.content == "" then messages[#messages] = nil end
end

--- Says something and returns the answer; both become part of the conversation.
---
--- Only what is new is evaluated: the earlier turns stay in the context. Ctrl-C keeps what was said so far.
--- ```lua
--- c = lm.load("smollm2"):chat()
--- c:say "What is the capital of France?"
--- ```
conversation_methods.say = define("Conversation:say", {
  positional = { "content" },
  options = sampling.with_optional("as the conversation was started",
    { name = "content", type = "string", required = true, doc = "what the user says" },
    { name = "on_token", type = "function", doc = "called with each piece of the answer" }),
  returns = "string",
}, function(self, o)
  drop_empty_answer(self.messages)
  self.messages[#self.messages + 1] = { role = "user", content = o.content }
  local ids = render_ids(self)
  -- The answer grows in place, so that an interrupted one is kept as far as it came.
  local message = { role = "assistant", content = "" }
  self.messages[#self.messages + 1] = message
  local options = sampling.complete(o, self._sampling)
  local whole, stats = answer(self._context, ids, options, function(piece)
    message.content = message.content .. piece
    if o.on_token then o.on_token(piece) end
  end)
  message.content = whole
  self.stats = stats
  return whole
end)

--- Forgets everything said so far but the system prompt.
conversation_methods.reset = define("Conversation:reset", { args = {}, returns = "lm.Conversation" }, function(self)
  local first = self.messages[1]
  self.messages = first and first.role == "system" and { first } or {}
  return self
end)

local function conversation(model, o)
  if not engine.info(model).has_chat_template then
    errors.raise("unsupported",
      ("Model:chat: the model %s has no chat template"):format(text.quote(engine.info(model).name)),
      { hint = "m:generate{ prompt = ... } continues plain text", help = "Model:chat" })
  end
  local c = { model = model, messages = {}, _context = engine.context(model, o.context or 0),
    _sampling = sampling.complete(o) }
  if o.system then c.messages[1] = { role = "system", content = o.system } end
  for _, message in ipairs(o.messages or {}) do c.messages[#c.messages + 1] = message end
  return setmetatable(c, conversation_meta)
end

local system_field = { name = "system", type = "string", doc = "instructions for the whole conversation" }

--- Starts a conversation, which remembers what was said. The sampling options hold for every `say` that names no
--- others.
--- ```lua
--- c = m:chat{ system = "Answer in one word." }
--- c:say "What is the capital of France?"
--- ```
methods.chat = define("Model:chat", {
  options = sampling.with(system_field, context_field, {
    name = "messages", type = "array", doc = "earlier turns",
    items = { type = "table", fields = {
      { name = "role", type = "string", required = true, enum = { "system", "user", "assistant", "tool" },
        doc = "who speaks" },
      { name = "content", type = "string", required = true, doc = "what is said" },
    } },
  }),
  hint = 'm:chat():say "..." asks a question', returns = "lm.Conversation",
}, function(self, o)
  local c = conversation(self, o)
  return c
end)

--- Asks the current model one question and returns its answer. Nothing is remembered; `m:chat()` does that.
--- ```lua
--- lm.chat "What is the capital of France?"
--- ```
M.chat = define("lm.chat", {
  positional = { "content" },
  options = sampling.with({ name = "content", type = "string", required = true, doc = "what the user says" },
    system_field,
    model_field, context_field),
  background = true, returns = "string",
}, function(o)
  local c = conversation(model_of(o), o)
  c.messages[#c.messages + 1] = { role = "user", content = o.content }
  local whole = answer(c._context, render_ids(c), o)
  return whole
end)

return M
