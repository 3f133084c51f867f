--- Training: adapters or whole models, from files of examples to a model that answers.

local define = require("lm.define")
local engine = require("lm.engine.train")
local errors = require("lm.errors")
local history = require("lm.train_history")
local host = require("lm.host")
local json = require("lm.json")
local model_engine = require("lm.engine.model")
local new_model = require("lm.engine.new_model")
local models = require("lm.models")
local text = require("lm.text")

local M = {}

-- The engine fills in what is not given, so that a resumed run can tell its own options from new ones.
local function without_defaults(fields)
  for _, field in ipairs(fields) do
    local value = field.default
    field.default, field.default_text = nil, type(value) == "number" and text.number(value) or tostring(value)
  end
  return fields
end

local train_fields, lora_fields = engine.fields()
local names = { type = "string", min = 1 }
lora_fields = without_defaults(lora_fields)
lora_fields[1].default_text = "16"
lora_fields[#lora_fields + 1] = {
  name = "targets", type = "array", items = names, default_text = "all matrices of the layers",
  doc = "matrices that get an adapter, by the ends of their names (\"q_proj\")",
}

local options = {
  { name = "model", type = "string|userdata", class = "lm.Model", min = 1, kind = "model",
    doc = "what to start from: name, file, folder or model" },
  { name = "data", type = "string|array|function", min = 1, kind = "file",
    doc = "file, folder or pattern, a list of them or of {path, weight = 0.5}, a list of rows (tables), or a function "
      .. "returning the next row" },
  { name = "eval_data", type = "string|array", min = 1, kind = "file", doc = "files for evaluation" },
  { name = "lora", type = "table", fields = lora_fields, doc = "adapter to train; without it all weights are trained" },
  { name = "output", type = "string", min = 1, doc = "folder of the run", default_text = "runs/<date>-<model>" },
  { name = "resume", type = "string", min = 1, kind = "file",
    doc = "folder of a run to go on with, from its newest checkpoint; its options hold unless given again" },
  { name = "new_tokens", type = "array", items = names,
    doc = "special tokens to add to the model and its tokenizer, which begin as the mean of the others" },
  { name = "prompt_text", type = "string", min = 1, default_text = "tokens by chance",
    doc = "prompt and prefix: what the virtual tokens begin as, repeated or cut to their number" },
  { name = "init_adapter", type = "string", min = 1, kind = "file", doc = "adapter folder to start from" },
  { name = "train_only", type = "array", items = names, doc = "parts of the names of the only weights to train" },
  { name = "freeze", type = "array", items = names, doc = "parts of the names of weights that stay as they are" },
  { name = "no_decay", type = "array", items = names, doc = "parts of the names of weights without weight_decay" },
  { name = "on_step", type = "function", doc = "called with each step's record; returning false ends the run" },
  { name = "on_eval", type = "function", doc = "called with each evaluation's record" },
  { name = "on_save", type = "function", doc = "called with each checkpoint's record" },
  { name = "quiet", type = "boolean", default = false, doc = "write nothing about data and plan" },
}
for _, field in ipairs(without_defaults(train_fields)) do options[#options + 1] = field end

--- The schema of lm.train's options, for recipes.
M.options = options

local function fail(code, message, hint)
  errors.raise(code, "lm.train: " .. message, { hint = hint, help = "lm.train" })
end

local function encode_rows(list)
  local rows = {}
  for i, row in ipairs(list) do
    local ok, line = pcall(json.encode, row)
    if not ok then fail("bad_option", ("data[%d] cannot be written as JSON: %s"):format(i, tostring(line))) end
    rows[i] = line
  end
  return rows
end

-- "chat.jsonl", {"code.jsonl", weight = 0.5} or, as JSON has it, {path = "code.jsonl", weight = 0.5} -> path, weight;
-- nil for a row.
local function source_of(source)
  if type(source) == "string" then return source, 1 end
  local path = source[1] or (source.weight and source.path)
  for key in pairs(source) do
    if key ~= 1 and key ~= "path" and key ~= "weight" then return nil end
  end
  if type(path) == "string" then return path, source.weight or 1 end
end

-- A list of these -> paths, weights; nil for a list of rows.
local function take_sources(list)
  local paths, weights = {}, {}
  for i, source in ipairs(list) do
    local path, weight = source_of(source)
    if not path then return nil end
    if type(weight) ~= "number" or not (weight > 0 and weight <= 1e6) then
      fail("bad_option", ("data[%d].weight is %s; expected a number above 0"):format(i, tostring(weight)))
    end
    paths[i], weights[i] = path, weight
  end
  return paths, weights
end

--- Turns `data` and `eval_data` as users write them into lists of paths with weights, or of rows as JSON texts.
--- @param o table  options; gets data and weights, or rows
function M.take_data(o)
  local data = o.data
  if type(data) == "string" then data = { data } end
  if type(data) == "function" then
    local rows = {}
    for row in data do rows[#rows + 1] = row end
    data = rows
  end
  if data then
    o.data, o.weights = take_sources(data)
    o.rows = not o.data and encode_rows(data) or nil
  end
  if type(o.eval_data) == "string" then o.eval_data = { o.eval_data } end
end

local function read_json(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local content = file:read("*a")
  file:close()
  return json.decode(content)
end

local function overlay(saved, o)
  for key, value in pairs(saved) do
    if o[key] == nil then
      o[key] = value
    elseif key == "lora" then
      for name, inner in pairs(value) do
        if o.lora[name] == nil then o.lora[name] = inner end
      end
    end
  end
end

local function take_resume(o)
  local saved = read_json(o.resume .. "/options.json")
  if type(saved) ~= "table" then
    fail("not_found", ("%s is not the folder of a run; it has no options.json"):format(text.quote(o.resume)))
  end
  overlay(saved, o)
  if o.data and #o.data == 0 then o.data = nil end
  o.output, o.resume = o.resume, true
  if not (o.data or o.rows) then fail("bad_option", "the run's rows came from Lua; pass the same `data` again") end
end

local function fresh_output(name)
  local base = name:match("([^/]+)/*$"):gsub("%.gguf$", "")
  local path = ("runs/%s-%s"):format(os.date("%Y-%m-%d-%H%M%S"), base)
  return path
end

local function prepare(o)
  M.take_data(o)
  if o.resume then take_resume(o) end
  if not o.model then fail("bad_option", "model: required -- what to start from") end
  if not (o.data or o.rows) then fail("bad_option", "data: required -- the examples to learn from") end
  if type(o.model) == "userdata" then
    o.model_name = o.model_name or model_engine.info(o.model).path
    o.model = o.model_name
  else
    o.model_name = o.model_name or o.model
    o.model = models.resolve(o.model)
  end
  -- lora = {} means an adapter, too.
  if o.lora and not o.lora.rank then o.lora.rank = 16 end
  o.output = o.output or fresh_output(o.model_name)
  -- Of the processes of one run (torchrun's variables) the first one speaks.
  if (os.getenv("RANK") or "0") ~= "0" and (os.getenv("WORLD_SIZE") or "1") ~= "1" then o.quiet = true end
end

local function step_line(e)
  local parts = { ("step %d/%d"):format(e.step, e.n_steps), ("loss %.4f"):format(e.loss), ("lr %.2e"):format(
    e.learning_rate), ("norm %.2f"):format(e.grad_norm), ("%.0f tokens/s"):format(e.tokens_per_s), text.bytes(
    e.memory) }
  return table.concat(parts, "  ")
end

-- What the engine calls during a run.
local function callbacks(o)
  local on = { step = o.on_step, eval = o.on_eval, save = o.on_save }
  local sink = {}
  function sink.on_event(e)
    if e.kind == "step" then
      host.job_progress(e.step / e.n_steps, step_line(e), e.eta_s)
    elseif e.kind == "eval" and not o.quiet then
      host.write(("step %d  evaluation loss %.4f  accuracy %.1f %%\n"):format(e.step, e.loss, 100 * e.accuracy))
    end
    local go_on = not on[e.kind] or on[e.kind](e)
    host.pump()
    if go_on == false then return false end
  end
  function sink.on_note(line)
    if not o.quiet then host.write(line .. "\n") end
  end
  local begin = host.now()
  function sink.on_wait(line, fraction)
    local eta_s = fraction > 0.01 and (host.now() - begin) * (1 - fraction) / fraction or nil
    host.job_progress(fraction, line, eta_s)
    host.pump()
  end
  return sink
end

-- The model with its new tokens becomes the run's own, the folder base/.
local function add_tokens(o)
  local folder = o.output .. "/base"
  local n = new_model.add_tokens(o.model, o.new_tokens, folder)
  if not o.quiet then host.write(("%d new tokens; the model with them is %s\n"):format(n, folder)) end
  o.model, o.model_name, o.new_tokens = folder, folder, nil
end

local function train_here(o)
  if o.new_tokens and not o.resume then add_tokens(o) end
  return engine.train(o, callbacks(o))
end

local function run_engine(o)
  local ok, result = pcall(train_here, o)
  host.progress("")
  if ok then return result end
  if not errors.is(result) then error(result, 0) end
  errors.raise(result.code, "lm.train: " .. result.message:gsub("^training: ", ""),
    { hint = result.hint, help = "lm.train" })
end

local function tell(result, o)
  if o.quiet and not result.stopped then return end
  local ending = result.loss ~= result.loss and ("the run was at its end, step %d, in %s"):format(result.steps,
      result.output)
    or result.stopped and ("stopped after step %d; lm.train{ resume = %q } goes on"):format(result.steps, result.output)
    or ("%d steps in %s, loss %.4f, in %s"):format(result.steps, text.seconds(result.seconds), result.loss,
      result.output)
  host.write(ending .. "\n")
end

--- Runs what `prepare` made complete, here and now.
--- @param o table
--- @return lm.Model model
--- @return table record
function M.run(o)
  local result = run_engine(o)
  require("lm.run_report").write(result.output)
  tell(result, o)
  local model = require("lm.model").load({ model = result.model })
  if result.adapter then model:add_adapter(result.adapter) end
  return model, result
end

--- Trains a model on examples and returns it, ready to use, and a record of the run: `output`, `adapter`, `steps`,
--- `loss`, `eval_loss`, `seconds`, `stopped`.
---
--- Data are JSONL, JSON, CSV, Parquet or text: conversations (`messages`, ShareGPT), prompt and completion, Alpaca,
--- plain text. The kind is detected and shown with one example, in which « » marks what is trained on.
--- `lora` trains an adapter beside the weights (with its fields `dora`, `init`, `rslora` and `lr_ratio` for its kin),
--- `method` one of another kind (IA3, prompt and prefix tuning), neither of them the weights themselves.
--- The run's folder holds its options, `history.jsonl`, checkpoints, `report.html` with its curves, and the result:
--- `adapter/` as PEFT writes and reads it (`m:merge()` puts it into the weights), or, without `lora`, the whole new
--- model as the Hugging Face folder `model/`, which `lm.load`, `lm.serve` and transformers open and `m:save "new.gguf"`
--- turns into GGUF.
--- Ctrl-C (or `job:stop()`) finishes the step and saves; `resume` continues exactly as if nothing had happened.
--- ```lua norun
--- m = lm.train{ model = "smollm2", data = "chat.jsonl", lora = { rank = 16 }, epochs = 1 }
--- job = lm.train{ model = "smollm2", data = "chat.jsonl", lora = { rank = 16 }, background = true }
--- print(job.loss); job:plot(); m = job:result()
--- lm.train{ resume = "runs/2026-11-25-101500-smollm2" }
--- ```
M.train = define("lm.train", {
  options = options, background = true, returns = "lm.Model", prepare = prepare, job = history.of_job,
}, M.run)

return M
