--- Fine-tunes a model on examples, with an adapter or all of its weights; an interrupted run goes on with --resume.
---
--- The data are JSONL, JSON, CSV or text: conversations, prompts with completions, Alpaca, plain text.
--- The run's folder gets options, history.jsonl, checkpoints, and the adapter in PEFT's format (or the new model).
--- `--lora.rank 0` trains all weights. Options are those of lm.train.
---
--- Example: lmfast run sft smollm2 --data chat.jsonl --lora.rank 16 --epochs 1

local train = require("lm.train")

local M = {}

M.positional = { "model" }

--- Leaves out of a schema what a command line cannot give.
--- @param fields table[]
--- @return table[]
function M.for_command_line(fields)
  local out = {}
  for _, field in ipairs(fields) do
    local kept = (field.type or ""):gsub("|?function", ""):gsub("|?userdata", "")
    if kept ~= "" then
      local copy = {}
      for key, value in pairs(field) do copy[key] = value end
      copy.type, copy.class = kept, nil
      out[#out + 1] = copy
    end
  end
  return out
end

M.options = M.for_command_line(train.options)

--- Trains as lm.train does.
--- @param o table  complete options
--- @return table record  output, adapter, steps, loss, eval_loss, seconds, stopped
function M.run(o)
  if not o.resume and (o.method or "auto") == "auto" then
    o.lora = o.lora or {}
    o.lora.rank = o.lora.rank or 16
  end
  local _, record = train.train(o)
  return record
end

return M
