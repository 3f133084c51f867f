--- Pre-training: a model from nothing but texts.

local define = require("lm.define")
local engine = require("lm.engine.new_model")
local errors = require("lm.errors")
local history = require("lm.train_history")
local host = require("lm.host")
local models = require("lm.models")
local shapes = require("lm.model_shape")
local text = require("lm.text")
local tokenizers = require("lm.tokenizer")
local train = require("lm.train")

local M = {}

local size = { type = "integer", min = 1 }
local function sized(name, doc, default_text)
  return { name = name, type = size.type, min = size.min, doc = doc, default_text = default_text }
end

local shape_fields = {
  { name = "architecture", type = "string", enum = engine.architectures(), default = "llama", doc = "kind of decoder" },
  sized("hidden_size", "width: numbers of each token's state"),
  sized("n_layers", "layers"),
  sized("n_heads", "heads of attention", "hidden_size / 64, in models narrower than 256 / 32"),
  sized("n_kv_heads", "heads of keys and values, each shared by several of attention", "n_heads"),
  sized("head_dim", "numbers of a head", "hidden_size / n_heads"),
  sized("ffn_size", "width of the MLP", "8/3 hidden_size; gpt2: 4 hidden_size"),
  sized("context_length", "tokens that the model can read", "max_length"),
  { name = "rope_theta", type = "number", above = 0, default = 10000, doc = "base of the rotary positions" },
  { name = "tie_embeddings", type = "boolean", default = true, doc = "the output matrix is the embedding" },
}

local tokenizer_fields = {
  { name = "vocab_size", type = "integer", min = 257, max = 4194304, doc = "tokens at most",
    default_text = "by the model's size" },
  { name = "kind", type = "string", enum = { "bpe", "unigram", "wordpiece" }, default = "bpe",
    doc = "how tokens are chosen" },
  { name = "pre_tokenizer", type = "string", default = "auto", doc = "how text is cut into words" },
  { name = "special_tokens", type = "array", items = { type = "string", min = 1 }, default = {},
    doc = "more tokens of their own; <|endoftext|> is always one" },
}

local options = {
  { name = "data", type = "string|array|function", min = 1, kind = "file",
    doc = "texts: file, folder or pattern, a list of them or of {path, weight = 0.5}, a list of rows (tables), or a "
      .. "function returning the next row" },
  { name = "params", type = "string|number", default_text = "10M", doc = "parameters of the model, about: \"10M\"" },
  { name = "shape", type = "table", fields = shape_fields, doc = "sizes of the model, instead of params" },
  { name = "like", type = "string", min = 1, kind = "model",
    doc = "model whose shape and tokenizer the new one has, instead of params, shape and tokenizer" },
  { name = "tokenizer", type = "string|table", min = 1, kind = "model", fields = tokenizer_fields,
    doc = "a model's, a file's, or a new one that is trained on the data: {vocab_size = 4096}" },
}

-- What of lm.train's options means nothing here, or is asked otherwise.
local not_here = {
  model = true, data = true, lora = true, init_adapter = true, quantize = true, new_tokens = true, method = true,
  virtual_tokens = true, prompt_text = true,
}
-- Defaults of GPT-3 (Brown et al. 2020, arXiv:2005.14165, appendix B), at the sizes that a laptop trains.
local defaults = {
  schedule = "cosine_min", min_learning_rate = 0.1, weight_decay = 0.1, beta2 = 0.95, batch_size = 32, train_on = "all",
  max_length = 512, save_every = 200,
}

for _, field in ipairs(train.options) do
  if not not_here[field.name] then
    local copy = {}
    for key, value in pairs(field) do copy[key] = value end
    if defaults[field.name] ~= nil then copy.default_text = tostring(defaults[field.name]) end
    if field.name == "learning_rate" then copy.doc = "highest learning rate; 0: by the model's size" end
    options[#options + 1] = copy
  end
end

--- The schema of lm.pretrain's options, for recipes.
M.options = options

local function fail(message, hint)
  errors.raise("bad_option", "lm.pretrain: " .. message, { hint = hint, help = "lm.pretrain" })
end

-- What a tokenizer's name stands for: a file or folder as it is, else a model.
local function tokenizer_path(name)
  local file = io.open(name, "rb")
  if file then
    file:close()
    return name
  end
  return models.resolve(name)
end

local function prepare(o)
  if o.resume then
    o.output = o.resume
    return
  end
  if not o.data then fail("data: required -- the texts to learn from") end
  train.take_data(o)
  if o.like and (o.shape or o.params or o.tokenizer) then
    fail("like: takes shape and tokenizer from a model; `params`, `shape` and `tokenizer` say other ones")
  end
  if o.shape and o.params then fail("shape and params: expected one of them") end
  o.params = shapes.parse_count(o.params or "10M")
  if not o.params or o.params < 1e4 then fail("params: expected a number of parameters, such as \"10M\"") end
  for name, value in pairs(defaults) do
    if o[name] == nil then o[name] = value end
  end
  local wanted = o.shape and o.shape.context_length
  if wanted and wanted < o.max_length then o.max_length = wanted end
  if o.like then o.like = models.resolve(o.like) end
  if type(o.tokenizer) == "string" then o.tokenizer = tokenizer_path(o.tokenizer) end
  o.output = o.output or ("runs/%s-new"):format(os.date("%Y-%m-%d-%H%M%S"))
end

local END = "<|endoftext|>"

-- Trains a tokenizer on the data; returns its file.
local function new_tokenizer(o, wanted)
  local path = o.output .. "/tokenizer.json"
  local special = { END }
  for _, token in ipairs(wanted.special_tokens or {}) do special[#special + 1] = token end
  local t = tokenizers.train_on(o.data or {}, {
    kind = wanted.kind or "bpe", pre_tokenizer = wanted.pre_tokenizer or "auto", special_tokens = special,
    vocab_size = wanted.vocab_size or shapes.vocab_for(o.params), output = path, rows = o.rows,
  })
  if not o.quiet then host.write(("tokenizer: %d tokens, learned from the data\n"):format(t.vocab_size)) end
  return path
end

local function shape_of(o, path)
  local shape
  if o.shape then
    shape = shapes.complete(o.shape)
  else
    shape = shapes.for_parameters(o.params, tokenizers.tokenizer(path).vocab_size)
  end
  shape.context_length = shape.context_length or o.max_length
  return shape
end

-- Writes the model that training starts from; returns its folder.
local function start_model(o)
  local folder = o.output .. "/start"
  local request = { like = o.like, seed = o.seed or 42, folder = folder }
  if not o.like then
    request.tokenizer = type(o.tokenizer) == "string" and o.tokenizer or new_tokenizer(o, o.tokenizer or {})
    request.shape = shape_of(o, request.tokenizer)
  end
  local n, vocab_size = engine.write(request)
  if not o.quiet then
    local s = request.shape
    local sizes = s and (", %d layers of %d, %d heads"):format(s.n_layers, s.hidden_size, s.n_heads) or ""
    host.write(("new model: %s parameters, %d tokens%s\n"):format(text.count(n), vocab_size, sizes))
  end
  return folder, n
end

--- Trains a new model on texts, from random weights, and returns it, ready to use, and a record of the run as
--- lm.train does.
---
--- `params` chooses sizes for about so many parameters, `shape` says them, `like` takes them from a model. Without
--- `tokenizer` one is learned from the data. Texts end with the end-of-text token and are cut into rows of
--- `max_length`; rows hold several texts, which do not see each other.
--- Everything else is as with lm.train: the run's folder, checkpoints, Ctrl-C, lm.pretrain{ resume = ... }, the report.
--- The result is the Hugging Face folder `model/` of the run; `m:save "new.gguf"` makes GGUF of it.
--- To train a model further on plain texts, give it to lm.train.
--- ```lua norun
--- m = lm.pretrain{ data = "stories.jsonl", params = "10M", epochs = 3 }
--- m:generate "Once upon a time"
--- m = lm.pretrain{ data = "code/*.txt", shape = { hidden_size = 256, n_layers = 8 }, tokenizer = "gpt2/" }
--- m = lm.pretrain{ data = "texts/", like = "smollm2-135m", max_steps = 10000, background = true }
--- ```
M.pretrain = define("lm.pretrain", {
  options = options, background = true, returns = "lm.Model", prepare = prepare, job = history.of_job,
}, function(o)
  if o.resume then
    o.background = nil
    return train.train(o)
  end
  local ok, folder, n = pcall(start_model, o)
  host.progress("")
  if not ok then
    local e = folder
    if not errors.is(e) or e.code == "interrupted" then error(e, 0) end
    errors.raise(e.code, "lm.pretrain: " .. e.message:gsub("^lm%.[%w_.]+: ", ""),
      { hint = e.hint, help = "lm.pretrain" })
  end
  if (o.learning_rate or 0) == 0 then o.learning_rate = shapes.learning_rate(n) end
  for _, name in ipairs({ "params", "shape", "like", "tokenizer" }) do o[name] = nil end
  o.model, o.model_name = folder, folder
  return train.run(o)
end)

return M
