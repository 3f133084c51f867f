--- Fine-tuning: `lm.train` with data of any usual shape, an adapter or all weights, checkpoints and resuming.

local define = require("lm.define")
local engine = require("lm.engine.train")
local errors = require("lm.errors")
local handles = require("lm.engine.model")
local host = require("lm.host")
local json = require("lm.json")
local models = require("lm.models")
local text = require("lm.text")

local M = {}

local train_fields, lora_fields = engine.fields()
lora_fields[#lora_fields + 1] = {
  name = "targets", type = "array", items = { type = "string", min = 1 },
  doc = "matrices that get an adapter, by Hugging Face's names: q_proj, k_proj, ...",
  default_text = "all of the layers",
}

local function strings_field(name, doc, default_text)
  return { name = name, type = "string|array", min = 1, items = { type = "string", min = 1 }, doc = doc,
    default_text = default_text }
end

local fields = {
  { name = "model", type = "userdata|string", class = "lm.Model", kind = "model",
    doc = "the model to train: a loaded one, or a name, file or folder", default_text = "the current model" },
  { name = "data", type = "string|array", kind = "file", min = 1, items = { type = "string|table" },
    doc = "files, folders or patterns with rows, or a list of rows as tables" },
  { name = "lora", type = "table", fields = lora_fields, doc = "train an adapter instead of the weights" },
  { name = "resume", type = "string", min = 1, kind = "file",
    doc = "folder of an earlier run that goes on from its newest checkpoint; all other options are taken from it" },
  { name = "output", type = "string", min = 1, kind = "file", doc = "folder of the run",
    default_text = "runs/DATE-TIME-MODEL" },
  strings_field("eval_data", "files for evaluation", "eval_split"),
  strings_field("train_only", "without lora: train only tensors whose names contain one of these"),
  strings_field("freeze", "without lora: do not train tensors whose names contain one of these"),
  { name = "init_adapter", type = "string", min = 1, kind = "file", doc = "adapter folder to start from" },
  { name = "on_step", type = "function", doc = "called with each step's numbers; returning false ends the run" },
  { name = "on_eval", type = "function", doc = "called with each evaluation's numbers" },
  { name = "on_save", type = "function", doc = "called with each checkpoint's path" },
}
for _, field in ipairs(train_fields) do fields[#fields + 1] = field end

local function clock(seconds)
  if seconds >= 3600 then return ("%d:%02d:%02d"):format(seconds / 3600, seconds % 3600 / 60, seconds % 60) end
  return ("%d:%02d"):format(seconds / 60, seconds % 60)
end

local function step_line(e)
  return ("step %d/%d  loss %.4f  lr %.2e  grad %.3f  %.0f tok/s  %s  %s left"):format(e.step, e.n_steps, e.loss,
    e.learning_rate, e.grad_norm, e.tokens_per_s, text.bytes(e.memory), clock(e.eta_s))
end

local function list(value)
  return type(value) == "string" and { value } or value
end

-- Rows given as tables become JSON; names stay files.
local function split_data(data)
  local paths, rows = {}, {}
  for _, item in ipairs(list(data)) do
    if type(item) == "string" then paths[#paths + 1] = item else rows[#rows + 1] = json.encode(item) end
  end
  return paths, rows
end

local function model_path(model)
  if type(model) == "userdata" then
    local info = handles.info(model)
    return info.path, info.path
  end
  if model then return models.resolve(model), model end
  local info = handles.info(require("lm.model").current())
  return info.path, info.path
end

local function run_folder(name)
  local stem = name:gsub("/+$", ""):match("[^/]+$"):gsub("[^%w%.%-_]", "_"):gsub("%.gguf$", "")
  return ("runs/%s-%s"):format(os.date("%Y%m%d-%H%M%S"), stem)
end

local function read_all(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local content = file:read("*a")
  file:close()
  return content
end

-- The options of the run that is to go on; those that take functions are the caller's.
local function resumed(o)
  local folder = o.resume:gsub("/+$", "")
  local content = read_all(folder .. "/options.json")
  local saved = content and json.decode(content)
  if type(saved) ~= "table" then
    errors.raise("not_found", ("lm.train: %s is not the folder of a run; it has no options.json"):format(
      text.quote(folder)), { help = "lm.train" })
  end
  saved.resume, saved.output = true, folder
  saved.on_step, saved.on_eval, saved.on_save = o.on_step, o.on_eval, o.on_save
  return saved
end

local function prepared(o)
  if o.resume then return resumed(o) end
  if not o.data then
    errors.raise("bad_option", "lm.train: no data; expected files, or a list of rows",
      { hint = 'lm.train{ data = "chat.jsonl", lora = { rank = 16 } }', help = "lm.train" })
  end
  local ready = {}
  for key, value in pairs(o) do ready[key] = value end
  ready.model, ready.model_name = model_path(o.model)
  ready.data, ready.rows = split_data(o.data)
  for _, name in ipairs({ "eval_data", "train_only", "freeze" }) do ready[name] = list(o[name]) end
  ready.output = o.output or run_folder(ready.model_name)
  return ready
end

-- Saved before the run begins, so that a killed one can be resumed.
local function write_options(o)
  local saved = {}
  for key, value in pairs(o) do
    if type(value) ~= "function" and key ~= "background" then saved[key] = value end
  end
  engine.write_options(o.output, json.encode(saved, 2) .. "\n")
end

local function sink(o)
  local shown = 0
  local function show(fraction, line)
    local now = host.now()
    if now - shown >= 0.2 then
      shown = now
      host.progress(line)
      host.job_progress(fraction, line)
    end
    host.pump()
  end
  local calls = { step = o.on_step, eval = o.on_eval, save = o.on_save }
  local s = {}
  function s.on_event(e)
    if e.kind == "step" then show(e.step / e.n_steps, step_line(e)) end
    if e.kind == "eval" then
      host.write_err(("step %d  evaluation: loss %.4f, %.1f %% of tokens right\n"):format(e.step, e.loss,
        100 * e.accuracy))
    end
    return calls[e.kind] and calls[e.kind](e)
  end
  function s.on_note(line) host.write_err(line .. "\n") end
  function s.on_wait(line) show(0, line) end
  return s
end

local function run(o)
  write_options(o)
  local ok, r = pcall(engine.train, o, sink(o))
  host.progress("")
  if not ok then
    if not errors.is(r) then error(r, 0) end
    errors.raise(r.code, "lm.train: " .. r.message, { hint = r.hint, help = "lm.train" })
  end
  if r.stopped then
    errors.raise("interrupted", ("lm.train: stopped after step %d; the checkpoint is in %s"):format(r.steps, r.output),
      { hint = ("lm.train{ resume = %q } goes on"):format(r.output) })
  end
  host.write_err(("trained %d steps in %s, loss %.4f; %s\n"):format(r.steps, clock(r.seconds), r.loss,
    r.adapter or r.model))
  return r
end

--- Trains a model and returns it, trained: with its adapter, or, without `lora`, with new weights.
---
--- `data` are files (.jsonl, .json, .csv, .tsv, .txt, .md, also .gz), folders, patterns, or a list of rows; chat messages
--- (OpenAI), ShareGPT, prompt and completion, Alpaca, questions and answers and plain text are recognised. What counts
--- is shown before the first step. Everything is kept in the run's folder: options, `history.jsonl`, checkpoints, and the
--- adapter in PEFT's format or the new model as a Hugging Face folder. Ctrl-C ends the run after its step, with a
--- checkpoint; `resume` goes on from there with the same numbers as if it had not stopped.
--- ```lua norun
--- m = lm.train{ model = "smollm2", data = "chat.jsonl", lora = { rank = 16 }, epochs = 1 }
--- m:chat "Hello!"
--- lm.train{ resume = "runs/20260101-120000-smollm2" }
--- ```
M.train = define("lm.train", {
  options = fields, background = true, returns = "lm.Model",
}, function(o)
  local r = run(prepared(o))
  local model = require("lm.model").load(r.model)
  if r.adapter then handles.add_adapter(model, r.adapter, "", 1) end
  return model
end)

return M
