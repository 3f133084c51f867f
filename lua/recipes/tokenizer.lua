--- Trains a tokenizer on texts and writes it as a tokenizer.json, which Hugging Face's tokenizers load too.
---
--- Files are text, read line by line, or rows (.jsonl, .csv, .parquet ...), of which their texts. Options are those of
--- lm.tokenizer.train.
---
--- Example: lmfast run tokenizer corpus.txt --vocab_size 8000 --special_tokens "<|endoftext|>" --output tokenizer.json

local define = require("lm.define")
local tokenizers = require("lm.tokenizer")

local M = {}

local train = define.get("lm.tokenizer.train")

M.positional = { "files" }
M.options = {}
for _, field in ipairs(train.options) do
  local needed = field.name == "output" and { required = true } or {}
  if field.name ~= "background" then M.options[#M.options + 1] = setmetatable(needed, { __index = field }) end
end

--- Trains as lm.tokenizer.train does.
--- @param o table  complete options
--- @return table record  output, kind, vocab_size
function M.run(o)
  local t = tokenizers.tokenizer.train(o)
  return { output = o.output, kind = t.kind, vocab_size = t.vocab_size }
end

return M
