#!/usr/bin/env lmfast
--- Looks inside: tokens of a text, the likeliest next tokens, the probability of a whole text.
---
--- Run: lmfast examples/04_probabilities.lua
---
--- `m:logits` returns one number for each token of the vocabulary; token 0 is at index 1. With `top` it returns records
--- of the best tokens. `m:score` adds up the log-probabilities of the tokens of a text.

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

print()
for _, text in ipairs({ "Cats like to drink milk.", "Cats like to drink cars." }) do
  print(("%6.1f  %s"):format(m:score({ completion = text }).sum, text))
end
