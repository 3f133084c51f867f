--- Running a model on a prompt: generate, stream, logits.

local define = require("lm.define")
local engine = require("lm.engine.generate")
local handles = require("lm.engine.model")
local host = require("lm.host")
local live = require("lm.live")
local sampling = require("lm.sampling")

local M = {}

-- Methods of "lm.Model" handles; the metatable is the engine's.
local methods = handles.model_methods

--- The option that names a model.
M.model_field = {
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

--- Runs a generation for a function that returns text: streams when the prompt asked for it, else shows progress.
--- @param context userdata
--- @param ids integer[]
--- @param o table  complete sampling options
--- @param on_piece? fun(piece: string)
--- @return string text
--- @return table stats
function M.answer(context, ids, o, on_piece)
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
  local ids = handles.tokenize(model, prompt, true, true)
  if #ids == 0 then ids = { handles.info(model).bos or handles.info(model).eos[1] or 0 } end
  return ids
end

local prompt_field = {
  name = "prompt", type = "string|array", required = true, items = { type = "integer", min = 0 },
  doc = "text to continue, or token ids; special tokens in the text count as such",
}
--- The option that limits the context.
M.context_field = {
  name = "context", type = "integer", min = 1, max = 2 ^ 31, doc = "tokens that prompt and answer may take together",
  default_text = "what the model was made for",
}

local function generate(model, o)
  local context = engine.context(model, o.context or 0)
  local whole = M.answer(context, prompt_ids(model, o.prompt), o)
  return whole
end

--- Continues a text and returns what follows.
---
--- The prompt is taken as it is, without a chat template. `temperature = 0` gives the same text every time.
--- ```lua
--- m:generate{ prompt = "Once upon a time", max_tokens = 40 }
--- ```
methods.generate = define("Model:generate", {
  positional = { "prompt" }, options = sampling.with(prompt_field, M.context_field), background = true,
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
  positional = { "prompt" }, options = sampling.with(prompt_field, M.model_field, M.context_field), background = true,
  returns = "string",
}, function(o)
  local whole = generate(require("lm.model").of(o.model), o)
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
  options = sampling.with(prompt_field, M.context_field, {
    name = "on_token", type = "function", required = true, doc = "called with each piece of text; return false to stop",
  }),
  returns = "table",
}, function(self, o)
  local context = engine.context(self, o.context or 0)
  local whole, record = run(context, prompt_ids(self, o.prompt), o, o.on_token)
  record.text = whole
  return record
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
      token = index - 1, text = handles.detokenize(model, { index - 1 }, false), logit = values[index],
      probability = math.exp(values[index] - largest) / total,
    }
  end
  return rows
end

return M
