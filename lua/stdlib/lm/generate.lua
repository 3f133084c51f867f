--- Running a model on a prompt: generate and stream.

local constraints = require("lm.constraint")
local define = require("lm.define")
local engine = require("lm.engine.generate")
local handles = require("lm.engine.model")
local host = require("lm.host")
local live = require("lm.live")
local prompts = require("lm.prompt")
local sampling = require("lm.sampling")
local search = require("lm.search")
local vision = require("lm.vision")

local M = {}

-- Methods of "lm.Model" handles; the metatable is the engine's.
local methods = handles.model_methods

--- The option that names a model.
M.model_field = {
  name = "model", type = "userdata|string", class = "lm.Model", kind = "model",
  doc = "a loaded model, or a name to load", default_text = "the current model",
}
--- The option that limits the context.
M.context_field = {
  name = "context", type = "integer", min = 1, max = 2 ^ 31, doc = "tokens that prompt and answer may take together",
  default_text = "what the model was made for",
}

-- What generate returns shows as its text.
local result_meta = { __name = "lm.Generation" }

function result_meta.__tostring(result) return result.text end
function result_meta.__concat(a, b) return tostring(a) .. tostring(b) end

-- The record of a finished generation.
local function result_of(whole, stats, o)
  return setmetatable({
    text = whole, value = constraints.value(whole, o),
    ids = stats.ids, finish_reason = stats.finish_reason, logprobs = stats.logprobs, seed = stats.seed,
    usage = {
      prompt_tokens = stats.prompt_tokens, completion_tokens = stats.completion_tokens,
      total_tokens = stats.prompt_tokens + stats.completion_tokens,
    },
    draft_tokens = stats.draft_tokens > 0 and stats.draft_tokens or nil,
    accepted_tokens = stats.draft_tokens > 0 and stats.accepted_tokens or nil,
    prompt_seconds = stats.prompt_seconds, decode_seconds = stats.decode_seconds,
  }, result_meta)
end

-- A job's result is a copy without its metatable.
local function restore(result)
  for _, choice in ipairs(result.choices or {}) do setmetatable(choice, result_meta) end
  return setmetatable(result, result_meta)
end

-- The engine takes functions only.
local function hook_of(o)
  local hook = o.on_logits
  if type(hook) == "table" then return function(...) return hook(...) end end
  return hook
end

local function engine_options(model, o)
  return sampling.engine_options(o, function(text) return handles.tokenize(model, text, false, false) end)
end

-- One context of each draft model serves all answers that it guesses for.
local draft_contexts = setmetatable({}, { __mode = "k" })

local function speculation_of(o)
  if not o.speculation then return nil end
  local speculation = { max_draft_tokens = o.max_draft_tokens }
  if type(o.speculation) == "userdata" then
    draft_contexts[o.speculation] = draft_contexts[o.speculation] or engine.context(o.speculation, 0)
    speculation.context = draft_contexts[o.speculation]
  elseif o.speculation ~= "lookup" then
    require("lm.errors").raise("bad_option",
      ('speculation is %q; expected "lookup" or a model'):format(tostring(o.speculation)), { help = "Model:generate" })
  end
  return speculation
end

local function begin(model, context, ids, o)
  local options = engine_options(model, o)
  options.constraint = constraints.of_model(model, o)
  options.show_tokens = o.show_tokens
  options.guidance = o.guidance_scale and search.guidance(model, ids, o) or nil
  options.speculation = speculation_of(o)
  return engine.generation(context, ids, options)
end

-- Runs a generation to its end. on_piece(piece) may return false to stop. Returns the text and the engine's statistics.
local function finish(generation, o, on_piece)
  local parts, stopped, hook = {}, false, hook_of(o)
  while not stopped do
    local piece = engine.next(generation, hook)
    if not piece then break end
    parts[#parts + 1] = piece
    if on_piece and piece ~= "" then stopped = on_piece(piece) == false end
    host.pump()
  end
  local stats = engine.stats(generation)
  if stopped then stats.finish_reason = "callback" end
  return table.concat(parts), stats
end

local function run(model, context, ids, o, on_piece)
  return finish(begin(model, context, ids, o), o, on_piece)
end

--- Runs a generation for a function that does something with each piece.
--- @param model userdata
--- @param context userdata
--- @param ids integer[]
--- @param o table  complete sampling options; show_tokens: texts with control tokens that belong to the answer
--- @param on_piece fun(piece: string): boolean?  false ends it
--- @return string text
--- @return table stats
function M.pieces(model, context, ids, o, on_piece)
  return run(model, context, ids, o, on_piece)
end

--- Runs a generation for a function that returns its text: streams when the prompt asked for it, else shows progress.
--- @param model userdata
--- @param context userdata
--- @param ids integer[]
--- @param o table  complete sampling options
--- @param on_piece? fun(piece: string)
--- @return string text
--- @return table stats
function M.answer(model, context, ids, o, on_piece)
  local streaming = live.wanted()
  local start, shown, count = host.now(), host.now(), 0
  local whole, stats = run(model, context, ids, o, function(piece)
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

-- The first of several answers, with all of them in `choices` and the tokens of all in `usage`.
local function first_of(choices, prompt_tokens)
  local total = 0
  for _, choice in ipairs(choices) do
    total = total + #choice.ids
    setmetatable(choice, result_meta)
  end
  local result = {}
  for key, value in pairs(choices[1]) do result[key] = value end
  result.choices = choices
  result.usage = { prompt_tokens = prompt_tokens, completion_tokens = total, total_tokens = prompt_tokens + total }
  return setmetatable(result, result_meta)
end

-- find: search.beams or search.contrastive
local function run_search(find, model, ids, o)
  local start = host.now()
  local choices = find(model, ids, o, engine_options(model, o), function(tokens)
    host.job_progress(tokens / o.max_tokens, ("%d tokens"):format(tokens))
    host.pump()
  end)
  host.progress("")
  local result = first_of(choices, #ids)
  result.decode_seconds = host.now() - start
  return result
end

-- A context that sees the pictures of a prompt and works with the adapters asked for.
local function context_for(model, o, images)
  local context = engine.context(model, o.context or 0)
  if o.adapters then engine.choose_adapters(context, o.adapters) end
  vision.show(context, images)
  return context
end

-- Every answer has a seed of its own, so that each can be had again alone. They are made together; where Lua has a
-- part in them, one after the other.
local function draw_several(model, ids, o, images)
  local choices, count, generations, options = {}, o.best_of or o.n, {}, {}
  for i = 1, count do
    local one = {}
    for key, value in pairs(o) do one[key] = value end
    one.seed = o.seed and o.seed + i - 1
    if o.best_of then one.logprobs = o.logprobs or 0 end
    options[i] = one
    generations[i] = begin(model, context_for(model, o, images), ids, one)
    if not o.on_logits and not o.guidance_scale then engine.start(generations[i]) end
  end
  for i = 1, count do
    local whole, stats = finish(generations[i], options[i], function()
      host.job_progress((i - 1) / count, ("answer %d of %d"):format(i, count))
    end)
    choices[i] = result_of(whole, stats, o)
  end
  host.progress("")
  if o.best_of then search.rank(choices) end
  for _, choice in ipairs(choices) do
    if not o.logprobs then choice.logprobs = nil end
  end
  for i = o.n + 1, count do choices[i] = nil end
  return first_of(choices, #ids)
end

local function generate(model, o)
  if o.num_beams > 1 then return run_search(search.beams, model, prompts.ids(model, o), o) end
  if o.penalty_alpha > 0 then return run_search(search.contrastive, model, prompts.ids(model, o), o) end
  if o.amateur then prompts.ids(model, o) end  -- it would not see the images
  local ids, images = prompts.ids_and_images(model, o)
  if (o.best_of or o.n) > 1 then return draw_several(model, ids, o, images) end
  local whole, stats = M.answer(model, context_for(model, o, images), ids, o)
  return result_of(whole, stats, o)
end

-- The options that lm.generate and Model:generate share, after others.
local function generate_fields(...)
  local fields = prompts.with(sampling.with(...))
  for _, field in ipairs(search.fields) do fields[#fields + 1] = field end
  return fields
end

local function check(o)
  return prompts.check(o) or search.check(o) or constraints.check_search(o)
end

--- Continues a prompt and returns what follows, as a record that prints as its text.
---
--- The prompt is a text, taken as it is, or token ids, or `messages`, which go through the chat template. The record
--- has `text`, `ids`, `finish_reason` ("stop", "length"), `usage` (`prompt_tokens`, `completion_tokens`,
--- `total_tokens`), `seed`, `prompt_seconds`, `decode_seconds` and, with the option of that name, `logprobs`: for each
--- token `id`, `logprob` and `top`, a list of `{id, logprob}`. `temperature = 0` gives the same text every time.
---
--- `n` draws several answers, `num_beams` searches the most likely one; then the record is the first or best of them
--- and `choices` has all, with a `score` where they were ranked.
---
--- `schema`, `regex`, `grammar` or `choices` keep the answer within what they describe (see `lm.constraint`); with a
--- schema `value` is the answer as a table, absent when it was cut off.
---
--- `on_logits(ids, logits)` runs before each choice: `logits[id]` can be read and written (ids begin at 0), `#logits`
--- is the vocabulary, `logits:add(id, x)`, `logits:mask{ids}` and `logits:keep{ids}` forbid these or all other tokens,
--- `logits:top(n)` lists the best. An error in it ends the generation.
--- ```lua
--- m:generate{ prompt = "Once upon a time", max_tokens = 40 }
--- ```
methods.generate = define("Model:generate", {
  positional = { "prompt" }, options = generate_fields(M.context_field), check = check,
  background = true, restore = restore, returns = "lm.Generation",
}, function(self, o)
  local result = generate(self, o)
  return result
end)

--- Continues a prompt with the current model; see `Model:generate`.
--- ```lua
--- lm.generate{ prompt = "Once upon a time", max_tokens = 40 }
--- ```
M.generate = define("lm.generate", {
  positional = { "prompt" }, options = generate_fields(M.model_field, M.context_field), check = check,
  background = true, restore = restore, returns = "lm.Generation",
}, function(o)
  local result = generate(require("lm.model").of(o.model), o)
  return result
end)

--- Continues a prompt piece by piece and returns the same record as `Model:generate`.
---
--- `on_token(piece)` gets text that is complete UTF-8; when it returns false the generation ends with the
--- `finish_reason` "callback".
--- ```lua
--- m:stream{ prompt = "Once", max_tokens = 20, on_token = function(s) io.write(s) end }
--- ```
methods.stream = define("Model:stream", {
  positional = { "prompt" },
  options = prompts.with(sampling.with(M.context_field, {
    name = "on_token", type = "function", required = true, doc = "called with each piece of text; return false to stop",
  })),
  check = prompts.check, returns = "lm.Generation",
}, function(self, o)
  local ids, images = prompts.ids_and_images(self, o)
  local whole, stats = run(self, context_for(self, o, images), ids, o, o.on_token)
  return result_of(whole, stats, o)
end)

--- Tells what the model's scheduler has done: `steps`, `tokens` evaluated, `reused_tokens` that were known from texts
--- with the same beginning, `preemptions`, how many answers are `running` and `waiting` now, and the memory for keys
--- and values: `n_pages` of `page_tokens` tokens and `page_bytes` bytes each, of which `used_pages` are in use and
--- `cached_pages` kept for texts to come.
--- ```lua
--- m:stats().reused_tokens
--- ```
methods.stats = define("Model:stats", { args = {}, returns = "table" }, function(self)
  return engine.scheduler_stats(self)
end)

return M
