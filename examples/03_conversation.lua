#!/usr/bin/env lmfast
--- A conversation with a system prompt: the model sees what was said before.
---
--- Run: lmfast examples/03_conversation.lua
---
--- A conversation is an ordinary table with a list `messages`. Only new text is evaluated; earlier turns stay in the
--- context. `c:reset()` forgets everything but the system prompt.

local lm = require("lmfast")

local m = lm.load("smollm2")
local c = m:chat({ system = "You are a geography teacher. Answer in one short sentence." })

for _, question in ipairs({ "What is the capital of Italy?", "Which river flows through it?" }) do
  print("you:   " .. question)
  print("model: " .. c:say(question, { max_tokens = 40 }))
end

print()
for i, message in ipairs(c.messages) do
  print(("%d  %-9s  %s"):format(i, message.role, message.content))
end

c:reset()
print(("after reset: %d message"):format(#c.messages))
