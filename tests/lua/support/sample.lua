--- Functions defined for the specs, as a library module would define them.

local define = require("lm.define")

local M = {}

M.options = {
  { name = "model", type = "string|userdata", class = "lm.Model", required = true, kind = "model", doc = "model name or path" },
  { name = "epochs", type = "integer", default = 1, min = 1, max = 1000, doc = "passes over the data" },
  { name = "lr", type = "number", default = 2e-4, min = 0, max = 1, doc = "peak learning rate" },
  { name = "precision", type = "string", enum = { "fp32", "bf16", "fp16" }, default = "bf16", doc = "number format" },
  { name = "stream", type = "boolean", default = false, doc = "print tokens as they come" },
  { name = "stop", type = "array", items = { type = "string" }, max = 4, doc = "texts that end the answer" },
  { name = "on_step", type = "function", doc = "called after each step" },
  { name = "passes", deprecated = "epochs" },
  { name = "lora", type = "table", doc = "low-rank adapters", fields = {
    { name = "rank", type = "integer", default = 16, min = 1, max = 512, doc = "rank" },
    { name = "alpha", type = "number", default = 32, above = 0, doc = "scale" },
    { name = "dropout", type = "number", default = 0, min = 0, max = 1, doc = "share of inputs dropped" },
  } },
}

--- Trains a sample; it returns its options.
---
--- The second paragraph speaks of perplexity.
M.train = define("sample.train", {
  positional = { "model" }, options = M.options, returns = "table", background = true,
  check = function(o)
    if o.stream and o.on_step then return "stream and on_step exclude each other" end
  end,
}, function(o)
  return o
end)

--- Adds two numbers.
M.add = define("sample.add", {
  args = {
    { name = "a", type = "number", required = true, doc = "left" },
    { name = "b", type = "number", default = 1, doc = "right" },
  },
  returns = "number",
}, function(a, b)
  return a + b
end)

--- Says a text.
M.say = define("Sample:say", {
  positional = { "text" },
  options = {
    { name = "text", type = "string", required = true, doc = "what to say" },
    { name = "times", type = "integer", default = 1, min = 1, doc = "repetitions" },
  },
  returns = "string",
}, function(_, o)
  return o.text:rep(o.times)
end)

return M
