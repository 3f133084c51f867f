#!/usr/bin/env lmfast
--- Shows text while the model makes it, then the numbers of the run.
---
--- Run: lmfast examples/02_stream.lua
---
--- `m:stream` continues a text as it is, without a chat template. `on_token` gets pieces that are complete UTF-8; a
--- piece may hold a part of a word or several characters. Returning false from `on_token` ends the run.

local lm = require("lmfast")

local m = lm.load("smollm2")
local prompt = "The three primary colors are"

io.write(prompt)
local record = m:stream({
  prompt = prompt,
  max_tokens = 24,
  stop = "\n",
  on_token = function(piece)
    io.write(piece)
    io.flush()
  end,
})
print()

print(("prompt   %d tokens in %.3f s"):format(record.usage.prompt_tokens, record.prompt_seconds))
print(("answer   %d tokens in %.3f s, %.0f tokens/s"):format(
  record.usage.completion_tokens, record.decode_seconds, record.usage.completion_tokens / record.decode_seconds))
print("ended by " .. record.finish_reason)
