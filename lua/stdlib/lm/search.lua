--- Ways to answer other than one draw after the other: beams, several samples, a second model or prompt that steers.

local engine = require("lm.engine.generate")
local handles = require("lm.engine.model")
local prompts = require("lm.prompt")

local M = {}

--- Schema fields of `generate` for all of these.
M.fields = {
  { name = "n", type = "integer", default = 1, min = 1, max = 10000,
    doc = "answers to draw; all of them are in `choices`" },
  { name = "best_of", type = "integer", min = 1, max = 10000, default_text = "n",
    doc = "answers to draw, of which the n most likely are returned (by mean log-probability)" },
  { name = "num_beams", type = "integer", default = 1, min = 1, max = 1024,
    doc = "beam search: sequences that are followed at once; 1 is off" },
  { name = "num_return_sequences", type = "integer", default = 1, min = 1, max = 1024,
    doc = "beam search: sequences to return; all of them are in `choices`" },
  { name = "num_beam_groups", type = "integer", default = 1, min = 1, max = 1024,
    doc = "beam search: groups that search different texts; a divisor of num_beams" },
  { name = "diversity_penalty", type = "number", default = 0, min = 0, max = 1000,
    doc = "beam search: taken from a token's log-probability for each earlier group that took it at this place" },
  { name = "penalty_alpha", type = "number", default = 0, min = 0, max = 1,
    doc = "contrastive search among the top_k tokens: how much to avoid what resembles the text so far; 0 is off" },
  { name = "length_penalty", type = "number", default = 1, min = -100, max = 100,
    doc = "beam search: the score is the sum of log-probabilities / length^length_penalty" },
  { name = "early_stopping", type = "boolean|string", enum = { "never" }, default = false,
    doc = 'beam search: true ends when num_beams sequences are complete, "never" when no other can be better' },
  { name = "guidance_scale", type = "number", default = 1, min = -100, max = 100,
    doc = "classifier-free guidance: how far to go away from negative_prompt; 1 is off" },
  { name = "negative_prompt", type = "string|array", items = { type = "integer", min = 0 },
    doc = "classifier-free guidance: what the answer should be unlike", default_text = "the prompt's last token" },
  { name = "amateur", type = "userdata|string", class = "lm.Model", kind = "model",
    doc = "contrastive decoding: a weaker model with the same vocabulary whose habits are avoided" },
  { name = "contrastive_alpha", type = "number", default = 0.1, above = 0, max = 1,
    doc = "contrastive decoding: leave out tokens less likely than this share of the best one" },
}

-- What searches cannot do.
local function search_problem(o, option, name)
  for _, other in ipairs({ "on_logits", "logprobs", "stop", "best_of", "amateur", "negative_prompt", "adapters",
    "speculation" }) do
    if o[other] ~= nil then return ("%s and %s exclude each other"):format(option, other) end
  end
  if o.temperature > 0 then return name .. " draws nothing; temperature must be 0" end
  if o.n > 1 then return ("%s and n exclude each other"):format(option) end
end

local function beam_problem(o)
  local problem = search_problem(o, "num_beams", "beam search")
  if problem then return problem end
  if o.penalty_alpha > 0 then return "num_beams and penalty_alpha exclude each other" end
  if o.num_return_sequences > o.num_beams then return "num_return_sequences is larger than num_beams" end
end

--- The rules across these options, for a definition's `check`.
--- @param o table
--- @return string? problem
function M.check(o)
  if o.num_beams > 1 then return beam_problem(o) end
  if o.penalty_alpha > 0 then
    if o.top_k < 2 then return "penalty_alpha chooses among top_k tokens; top_k must be at least 2" end
    return search_problem(o, "penalty_alpha", "contrastive search")
  end
  if o.num_return_sequences > 1 then return "num_return_sequences needs num_beams above 1; n draws several answers" end
  if o.best_of and o.best_of < o.n then return "best_of is smaller than n" end
  if o.amateur and (o.guidance_scale ~= 1 or o.negative_prompt) then
    return "amateur and guidance_scale exclude each other"
  end
  if o.negative_prompt and o.guidance_scale == 1 then return "negative_prompt needs a guidance_scale other than 1" end
  if (o.best_of or o.n) > 1 and o.temperature == 0 then
    return "several answers need a temperature above 0; they would all be the same"
  end
end

--- What the engine needs to steer by a second stream, or nil.
--- @param model userdata
--- @param ids integer[]  the prompt
--- @param o table  complete options
--- @return table?
function M.guidance(model, ids, o)
  if o.amateur then
    local amateur = require("lm.model").of(o.amateur)
    return { contrastive = true, context = engine.context(amateur, 0), prompt = ids, alpha = o.contrastive_alpha }
  end
  if o.guidance_scale == 1 then return nil end
  local negative = o.negative_prompt or { ids[#ids] }
  if type(negative) == "string" then negative = prompts.of_text(model, negative) end
  return { context = engine.context(model, 0), prompt = negative, scale = o.guidance_scale }
end

-- Text and reason for what a search found.
local function complete(model, choice)
  choice.text = handles.detokenize(model, choice.ids, true)
  choice.finish_reason = choice.stopped and "stop" or "length"
  choice.stopped = nil
end

--- Runs a beam search.
--- @param model userdata
--- @param ids integer[]
--- @param o table  complete options
--- @param engine_options table  from lm.sampling
--- @param progress fun(tokens: integer)
--- @return table[] choices  {text, ids, score, finish_reason}, best first
function M.beams(model, ids, o, engine_options, progress)
  for _, name in ipairs({ "num_beams", "num_beam_groups", "diversity_penalty", "num_return_sequences",
    "length_penalty" }) do
    engine_options[name] = o[name]
  end
  engine_options.early_stopping = tostring(o.early_stopping)
  local choices = engine.beam_search(model, ids, engine_options, o.context or 0, progress)
  for _, choice in ipairs(choices) do complete(model, choice) end
  return choices
end

--- Runs a contrastive search.
--- @param model userdata
--- @param ids integer[]
--- @param o table  complete options
--- @param engine_options table  from lm.sampling
--- @param progress fun(tokens: integer)
--- @return table[] choices  one {text, ids, finish_reason}
function M.contrastive(model, ids, o, engine_options, progress)
  engine_options.penalty_alpha = o.penalty_alpha
  local choice = engine.contrastive_search(model, ids, engine_options, o.context or 0, progress)
  complete(model, choice)
  return { choice }
end

--- Orders answers by the mean log-probability of their tokens, best first.
--- @param choices table[]  with `logprobs`
function M.rank(choices)
  for i, choice in ipairs(choices) do
    local sum = 0
    for _, step in ipairs(choice.logprobs or {}) do sum = sum + step.logprob end
    choice.score = #choice.ids > 0 and sum / #choice.ids or -math.huge
    choice.place = i
  end
  table.sort(choices, function(a, b)
    if a.score ~= b.score then return a.score > b.score end
    return a.place < b.place
  end)
  for _, choice in ipairs(choices) do choice.place = nil end
end

return M
