--- Shapes of new models: from a number of parameters to the sizes of a decoder.

local errors = require("lm.errors")
local text = require("lm.text")

local M = {}

local units = { [""] = 1, k = 1e3, m = 1e6, b = 1e9 }

--- Reads "10M", "1.5B", "300k" or a number.
--- @param value string|number
--- @return number? parameters  nil for what is no such number
function M.parse_count(value)
  if type(value) == "number" then return value end
  local digits, unit = value:lower():match("^%s*([%d%.]+)%s*([kmb]?)%s*$")
  return tonumber(digits) and tonumber(digits) * units[unit]
end

--- Chooses how many tokens a tokenizer for so many parameters should have: the embedding stays a small part.
--- @param parameters number
--- @return integer
function M.vocab_for(parameters)
  for _, row in ipairs({ { 3e6, 2048 }, { 15e6, 4096 }, { 60e6, 8192 }, { 200e6, 16384 } }) do
    if parameters <= row[1] then return row[2] end
  end
  return 32768
end

local function round_to(value, unit)
  return math.max(unit, math.floor(value / unit + 0.5) * unit)
end

-- Width over depth of published small models lies between 20 (SmolLM2) and 128 (GPT-3); what it is matters little
-- (Kaplan et al. 2020, arXiv:2001.08361, section 3.1).
local RATIO = 48

--- Chooses sizes for about so many parameters: heads of 64 (32 in narrow models), a gated MLP of 8/3 of the width,
--- which makes a layer 12 width^2 parameters, width and depth near the ratio that small models have.
--- @param parameters number  embedding included
--- @param vocab_size integer
--- @return table shape  hidden_size, n_layers, n_heads, n_kv_heads, ffn_size
function M.for_parameters(parameters, vocab_size)
  local best, best_cost
  for hidden = 64, 8192, 32 do
    local head = hidden < 256 and 32 or 64
    if hidden % head == 0 then
      local ffn = round_to(hidden * 8 / 3, 32)
      local layer = 4 * hidden * hidden + 3 * hidden * ffn + 2 * hidden
      local layers = math.max(1, math.floor((parameters - vocab_size * hidden) / layer + 0.5))
      local total = vocab_size * hidden + layers * layer + hidden
      local cost = 8 * math.abs(math.log(total / parameters)) + math.abs(math.log(hidden / layers / RATIO))
      if not best or cost < best_cost then
        best_cost = cost
        best = { hidden_size = hidden, n_layers = layers, n_heads = hidden / head, n_kv_heads = hidden / head,
          ffn_size = ffn }
      end
    end
  end
  return best
end

--- Fills what a user's shape leaves open: sizes that follow from others.
--- @param shape table  at least hidden_size and n_layers
--- @return table shape
function M.complete(shape)
  local out = {}
  for key, value in pairs(shape) do out[key] = value end
  for _, name in ipairs({ "hidden_size", "n_layers" }) do
    if not out[name] then
      errors.raise("bad_option", ("lm.pretrain: shape.%s: required; or give params = %s instead of a shape"):format(
        name, text.quote("10M")), { help = "lm.pretrain" })
    end
  end
  local head = out.head_dim or (out.hidden_size < 256 and 32 or 64)
  out.n_heads = out.n_heads or math.max(1, math.floor(out.hidden_size / head))
  local gated = (out.architecture or "llama") ~= "gpt2"
  out.ffn_size = out.ffn_size or (gated and round_to(out.hidden_size * 8 / 3, 32) or 4 * out.hidden_size)
  return out
end

--- The learning rate for a model of so many parameters (Kaplan et al. 2020, arXiv:2001.08361, equation D.1), for Adam
--- and batches of half a million tokens; smaller batches bear it for small models.
--- @param parameters number
--- @return number
function M.learning_rate(parameters)
  return math.max(1e-4, 0.003239 - 0.0001395 * math.log(parameters))
end

return M
