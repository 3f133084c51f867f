--- The options of every function that generates text, and how they reach the engine. One list, so that `lm.chat`,
--- `m:generate` and `m:stream` cannot drift apart. The numeric ones come from the engine's own list.

local engine = require("lm.engine.generate")

local M = {}

--- Schema fields that say what an answer must satisfy; see `lm.constraint`.
M.constraint_fields = {
  { name = "schema", type = "string|table", min = 1,
    doc = "a JSON Schema, as JSON or as a table, that the answer satisfies; it comes back parsed as `value`" },
  { name = "regex", type = "string", doc = "a regular expression that the whole answer matches" },
  { name = "grammar", type = "string", min = 1,
    doc = "a grammar in llama.cpp's GBNF whose rule `root` the answer follows" },
  { name = "choices", type = "array", min = 1, items = { type = "string", min = 1 },
    doc = "the answer is one of these" },
}

-- Texts that say "off" better than the value does.
local special = {
  seed = { default = false, min = 0, default_text = "a new one each time" },
}

local function engine_fields()
  local fields = engine.sampling_options()
  for _, field in ipairs(fields) do
    for key, value in pairs(special[field.name] or {}) do field[key] = value or nil end
  end
  return fields
end

local function check_bias(bias)
  for id, number in pairs(bias) do
    local whole = tonumber(id)
    if not whole or whole < 0 or whole ~= math.floor(whole) then
      return ("expected token ids as keys, got %s"):format(tostring(id))
    end
    if type(number) ~= "number" or number ~= number then
      return ("expected a number for token %s, got %s"):format(tostring(id), tostring(number))
    end
  end
end

local function ids_field(name, doc)
  return { name = name, type = "array", items = { type = "integer", min = 0 }, doc = doc }
end

local first = {
  { name = "max_tokens", type = "integer", default = 512, min = 0, max = 1e9, doc = "tokens to produce at most" },
}

local last = {
  { name = "samplers", type = "string|array", items = { type = "string" },
    doc = 'order of the samplers: "transformers", "llama.cpp", "vllm" or a list of names (see samplers.md)',
    default_text = '"transformers"' },
  { name = "logit_bias", type = "table", check = check_bias, doc = "token id -> number added to its logit" },
  ids_field("allowed_token_ids", "only these tokens may be chosen"),
  ids_field("suppress_tokens", "these tokens are never chosen"),
  ids_field("forced_token_ids", "the answer begins with these tokens"),
  { name = "bad_words", type = "array", items = { type = "string|array", min = 1 },
    doc = "texts, or lists of token ids, that the answer must not contain" },
  { name = "dry_sequence_breakers", type = "array", items = { type = "string", min = 1 },
    doc = "DRY: texts across which no repeat reaches", default = { "\n", ":", "\"", "*" } },
  { name = "logprobs", type = "integer", min = 0, max = 1000,
    doc = "record the log-probability of each token and of this many best ones" },
  { name = "on_logits", type = "function",
    doc = "on_logits(ids, logits) may edit the logits of the next token before samplers see them" },
  { name = "stop", type = "string|array", items = { type = "string", min = 1 },
    doc = "text or texts that end the answer; not part of it" },
  ids_field("stop_token_ids", "tokens that end the answer; not part of it"),
  { name = "adapters", type = "array", items = { type = "string", min = 1 },
    doc = "names of the model's adapters to work with, {} for none", default_text = "all that the model has" },
  { name = "speculation", type = "string|userdata", class = "lm.Model",
    doc = 'guess tokens and check several in one pass: "lookup" takes what followed earlier in the text, a smaller '
      .. "model with the same vocabulary guesses itself; the answer is the same" },
  { name = "max_draft_tokens", type = "integer", default = 7, min = 1, max = 7,
    doc = "tokens that are guessed at once" },
  { name = "overflow", type = "string", enum = { "stop", "shift" }, default = "stop",
    doc = "when the context is full: stop, or shift: forget the older half and go on" },
  { name = "keep", type = "integer", default = 0, min = 0, max = 2 ^ 31,
    doc = "tokens at the beginning that a shift does not forget" },
  { name = "priority", type = "integer", default = 0, min = -2 ^ 31, max = 2 ^ 31,
    doc = "among answers made at the same time, lower comes first" },
  { name = "ignore_eos", type = "boolean", default = false, doc = "go on after the model's end token" },
  { name = "constraint", type = "userdata", class = "lm.Constraint",
    doc = "what lm.constraint made, to use it again" },
}

--- Schema fields of sampling and stopping.
M.fields = {}
for _, list in ipairs({ first, engine_fields(), last, M.constraint_fields }) do
  for _, field in ipairs(list) do M.fields[#M.fields + 1] = field end
end

--- Returns the sampling fields followed by others.
--- @param ... table  more fields, put first
--- @return table[]
function M.with(...)
  local fields = { ... }
  for _, field in ipairs(M.fields) do fields[#fields + 1] = field end
  return fields
end

--- Returns fields followed by the sampling fields without defaults: absent ones are taken from elsewhere.
--- @param default_text string  says from where
--- @param ... table  more fields, put first
--- @return table[]
function M.with_optional(default_text, ...)
  local fields = { ... }
  for _, field in ipairs(M.fields) do
    local copy = {}
    for key, value in pairs(field) do copy[key] = value end
    copy.default, copy.default_text = nil, default_text
    fields[#fields + 1] = copy
  end
  return fields
end

--- Completes options: those given, else those of `base`, else the defaults.
--- @param o table
--- @param base? table
--- @return table
function M.complete(o, base)
  local complete = {}
  for _, field in ipairs(M.fields) do
    local value = o[field.name]
    if value == nil and base then value = base[field.name] end
    if value == nil then value = field.default end
    complete[field.name] = value
  end
  return complete
end

-- A word inside a text has other tokens than the same word at its beginning: both are forbidden.
local function token_sequences(words, tokenize)
  local sequences = {}
  for _, word in ipairs(words or {}) do
    if type(word) == "table" then
      sequences[#sequences + 1] = word
    else
      local bare = word:gsub("^ +", "")
      sequences[#sequences + 1] = tokenize(bare)
      sequences[#sequences + 1] = tokenize(" " .. bare)
    end
  end
  return sequences
end

local function list_of(value)
  if type(value) == "string" then return { value } end
  return value
end

--- Picks the engine's options out of a complete options table.
--- @param o table
--- @param tokenize fun(text: string): integer[]
--- @return table
function M.engine_options(o, tokenize)
  local options = {}
  for _, field in ipairs(M.fields) do options[field.name] = o[field.name] end
  options.stop, options.samplers = list_of(options.stop), list_of(options.samplers)
  options.bad_words = token_sequences(options.bad_words, tokenize)
  options.on_logits = nil
  return options
end

return M
