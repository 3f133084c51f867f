--- What a model thinks of a text: logits of the next token, log-probabilities of given ones.

local define = require("lm.define")
local engine = require("lm.engine.generate")
local handles = require("lm.engine.model")
local prompts = require("lm.prompt")

local M = {}

local methods = handles.model_methods

--- Returns the logits after a prompt: one number for each token of the vocabulary, the first being token 0.
---
--- With `last = false`, a list of such lists, one after every token of the prompt. With `top = n`, the n best as
--- records `{token, text, logit, probability}`.
--- ```lua
--- m:logits{ prompt = "The capital of France is", top = 5 }
--- ```
methods.logits = define("Model:logits", {
  positional = { "prompt" },
  options = prompts.with({
    { name = "last", type = "boolean", default = true, doc = "after the last token only, not after every one" },
    { name = "top", type = "integer", min = 1, max = 1000, doc = "return only this many best tokens, as records" },
  }),
  check = function(o)
    if not o.last and o.top then return "last = false and top exclude each other" end
    return prompts.check(o)
  end,
  returns = "number[]",
}, function(self, o)
  local context = engine.context(self, 0)
  local ids = prompts.ids(self, o)
  if not o.last then return define.pass(engine.all_logits(context, ids)) end
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
      token = index - 1, text = handles.token_bytes(model, index - 1), logit = values[index],
      probability = math.exp(values[index] - largest) / total,
    }
  end
  return rows
end

local score_meta = { __name = "lm.Score" }

function score_meta.__tostring(s)
  return ("Score  %d tokens  sum %.4f  mean %.4f  perplexity %.4f"):format(#s.ids, s.sum, s.mean, s.perplexity)
end

local function common_prefix(a, b)
  local n = 0
  while n < #a and n < #b and a[n + 1] == b[n + 1] do n = n + 1 end
  return n
end

local function joined(a, b)
  local out = { unpack(a) }
  for _, id in ipairs(b) do out[#out + 1] = id end
  return out
end

-- All ids and how many of them are given. Without a prompt the first token is. Texts are split as a whole, as they
-- would stand in a document: a token that reaches across the border belongs to the completion.
local function split(model, prompt, completion)
  if prompt == nil then
    local ids = type(completion) == "table" and completion or prompts.of_text(model, completion)
    return ids, 1
  end
  if type(prompt) == "string" and type(completion) == "string" then
    local ids = prompts.of_text(model, prompt .. completion)
    return ids, math.max(1, common_prefix(prompts.of_text(model, prompt), ids))
  end
  local given = type(prompt) == "table" and prompt or prompts.of_text(model, prompt)
  if type(completion) == "string" then completion = handles.tokenize(model, completion, false, true) end
  return joined(given, completion), #given
end

local function score(model, context, prompt, completion, top)
  local ids, n_prompt = split(model, prompt, completion)
  local steps = engine.score(context, ids, n_prompt, math.max(top or 0, 1))
  local s = { ids = {}, texts = {}, logprobs = {}, top = top and {} or nil, sum = 0, is_greedy = true }
  for i, step in ipairs(steps) do
    s.ids[i], s.logprobs[i] = step.id, step.logprob
    s.texts[i] = handles.token_bytes(model, step.id)
    if top then s.top[i] = step.top end
    s.sum = s.sum + step.logprob
    s.is_greedy = s.is_greedy and step.top[1].id == step.id
  end
  s.mean = #steps > 0 and s.sum / #steps or 0
  s.perplexity = math.exp(-s.mean)
  return setmetatable(s, score_meta)
end

-- A list of texts or of lists of ids is a batch; a list of numbers is one completion.
local function is_batch(completion)
  return type(completion) == "table" and type(completion[1]) ~= "number"
end

--- Returns the log-probabilities of a completion after a prompt.
---
--- The record has, for each token of the completion, `ids`, `texts` and `logprobs` (natural logarithms), and of all
--- `sum`, `mean`, `perplexity` (exp of -mean) and `is_greedy` (every token is the most likely one); with `top = n` also
--- `top`, the n best of each step. A list of completions gives a list of records; the prompt is evaluated once for
--- short ones. Without a prompt, all tokens of `completion` but the first are scored. `ids` is another name for a
--- completion of token ids without a prompt.
--- ```lua
--- m:score{ prompt = "The capital of France is", completion = " Paris." }
--- ```
methods.score = define("Model:score", {
  options = {
    { name = "prompt", type = "string|array", items = { type = "integer", min = 0 }, doc = "what comes before" },
    { name = "completion", type = "string|array", items = { type = "string|integer|array", min = 0 },
      doc = "what is scored: a text, token ids, or a list of these" },
    { name = "ids", type = "array", items = { type = "integer", min = 0 },
      doc = "instead of prompt and completion: tokens of which all but the first are scored" },
    { name = "top", type = "integer", min = 0, max = 1000, doc = "also list this many best tokens of each step" },
  },
  check = function(o)
    if (o.ids ~= nil) == (o.completion ~= nil) then return "expected either completion or ids" end
    if o.ids and o.prompt then return "prompt and ids exclude each other" end
  end,
  returns = "lm.Score",
}, function(self, o)
  local context = engine.context(self, 0)
  local completion = o.ids or o.completion
  if not is_batch(completion) then return define.pass(score(self, context, o.prompt, completion, o.top)) end
  local rows = {}
  for i, one in ipairs(completion) do rows[i] = score(self, context, o.prompt, one, o.top) end
  return rows
end)

return M
