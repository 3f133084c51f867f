#!/usr/bin/env lmfast
--- Looks inside: tokens of a text, the likeliest next tokens, the probability of a whole text.
---
--- Run: lmfast examples/04_probabilities.lua
---
--- `m:logits` returns one number for each token of the vocabulary; token 0 is at index 1. With `top` it returns records
--- of the best tokens, with `all` one list after every token of the prompt.

local lm = require("lmfast")

local m = lm.load("smollm2")
local prompt = "The capital of France is"

local ids = m:tokenize(prompt)
for i, id in ipairs(ids) do
  print(("%d  %6d  %q"):format(i, id, m:detokenize({ id })))
end
assert(m:detokenize(ids) == prompt)

print()
for _, row in ipairs(m:logits({ prompt = prompt, top = 5 })) do
  print(("%5.1f %%  %q"):format(row.probability * 100, row.text))
end

-- The logarithm of the probability that the model gives to a text: a sum over its tokens but the first.
local function log_probability(text)
  local tokens, total = m:tokenize(text), 0
  local rows = m:logits({ prompt = tokens, all = true })
  for i = 1, #tokens - 1 do
    local largest, sum = -math.huge, 0
    for _, logit in ipairs(rows[i]) do largest = math.max(largest, logit) end
    for _, logit in ipairs(rows[i]) do sum = sum + math.exp(logit - largest) end
    total = total + rows[i][tokens[i + 1] + 1] - largest - math.log(sum)
  end
  return total
end

print()
for _, text in ipairs({ "Cats like to drink milk.", "Cats like to drink cars." }) do
  print(("%6.1f  %s"):format(log_probability(text), text))
end
