#!/usr/bin/env lmfast
--- Asks the first model one question and prints its answer.
---
--- Run: lmfast examples/01_hello.lua
--- Run: lmfast examples/01_hello.lua "What is the capital of Japan?"
---
--- `lm.chat` loads the model at the first call. The answer is the same every time, because `temperature` is 0 unless
--- you say otherwise.

local lm = require("lmfast")

local question = arg[1] or "What is the capital of France?"

print(lm.chat(question))
