--- Fine-tunes a model whose own weights lie in 4 bits (QLoRA): little memory, an adapter as the result.
---
--- The matrices of the layers become NF4 with double quantisation when the model is loaded, from whatever its file has,
--- and stay as they are; `--quantize int8` takes 8 bits. Data, options, the run's folder and --resume are those of sft.
---
--- Example: lmfast run qlora smollm2 --data chat.jsonl --lora.rank 16 --epochs 1

local sft = require("recipes.sft")

local M = {}

M.positional = sft.positional
M.options = {}
for i, field in ipairs(sft.options) do
  M.options[i] = field.name == "quantize" and setmetatable({ default_text = "nf4" }, { __index = field }) or field
end

--- Trains as lm.train does with `quantize = "nf4"`.
--- @param o table  complete options
--- @return table record  output, adapter, steps, loss, eval_loss, seconds, stopped
function M.run(o)
  if not o.resume then o.quantize = o.quantize or "nf4" end
  return sft.run(o)
end

return M
