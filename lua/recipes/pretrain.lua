--- Trains a new model on texts, from random weights; an interrupted run goes on with --resume.
---
--- `--params 10M` chooses the sizes, `--shape.hidden_size` and its like say them, `--like` takes them from a model.
--- Without `--tokenizer` one is learned from the data; `--tokenizer.vocab_size` says how large. The run's folder gets
--- options, history.jsonl, checkpoints and the new model as a Hugging Face folder. Options are those of lm.pretrain.
---
--- Example: lmfast run pretrain stories.jsonl --params 10M --epochs 3 --output runs/stories

local pretrain = require("lm.pretrain")
local sft = require("recipes.sft")

local M = {}

M.positional = { "data" }
M.options = sft.for_command_line(pretrain.options)

--- Trains as lm.pretrain does.
--- @param o table  complete options
--- @return table record  output, model, steps, loss, eval_loss, seconds, stopped
function M.run(o)
  local _, record = pretrain.pretrain(o)
  return record
end

return M
