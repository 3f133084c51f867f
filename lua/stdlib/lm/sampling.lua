--- The options of every function that generates text, and how they reach the engine. One list, so that `lm.chat`,
--- `m:generate` and `m:stream` cannot drift apart.

local M = {}

--- Schema fields of sampling and stopping.
M.fields = {
  { name = "max_tokens", type = "integer", default = 512, min = 0, max = 1e9, doc = "tokens to produce at most" },
  { name = "temperature", type = "number", default = 0, min = 0, max = 100,
    doc = "0 takes the most likely token each time; higher is more varied" },
  { name = "top_k", type = "integer", default = 0, min = 0, max = 1e9,
    doc = "choose among this many best tokens; 0 is off" },
  { name = "top_p", type = "number", default = 1, min = 0, max = 1,
    doc = "choose among the best tokens that together have this probability; 1 is off" },
  { name = "min_p", type = "number", default = 0, min = 0, max = 1,
    doc = "leave out tokens less likely than this share of the best one's probability; 0 is off" },
  { name = "repetition_penalty", type = "number", default = 1, min = 0.01, max = 100,
    doc = "makes tokens of the last `penalty_window` less likely; 1 is off" },
  { name = "presence_penalty", type = "number", default = 0, min = -100, max = 100,
    doc = "taken once from the logit of every token that occurred" },
  { name = "frequency_penalty", type = "number", default = 0, min = -100, max = 100,
    doc = "taken from a token's logit for every time it occurred" },
  { name = "penalty_window", type = "integer", default = 64, min = -1, max = 1e9,
    doc = "last tokens that the three penalties look at; -1 is all" },
  { name = "seed", type = "integer", min = 0, max = 2 ^ 53, doc = "the same seed gives the same text",
    default_text = "a new one each time" },
  { name = "stop", type = "string|array", items = { type = "string", min = 1 },
    doc = "text or texts that end the answer; not part of it" },
  { name = "ignore_eos", type = "boolean", default = false, doc = "go on after the model's end token" },
}

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

--- Picks the engine's options out of a complete options table.
--- @param o table
--- @return table
function M.engine_options(o)
  local options = {}
  for _, field in ipairs(M.fields) do options[field.name] = o[field.name] end
  if type(options.stop) == "string" then options.stop = { options.stop } end
  return options
end

return M
