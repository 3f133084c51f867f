--- Tokenizers: text to token ids and back, from any of the formats in which models ship them.

local define = require("lm.define")
local engine = require("lm.engine.tokenizer")
local errors = require("lm.errors")
local host = require("lm.host")

local M = {}

local methods = engine.tokenizer_methods
local stream_methods = engine.stream_methods

-- What a handle answers besides its methods; read once for each.
local infos = setmetatable({}, { __mode = "k" })

local function info_of(tokenizer)
  local info = infos[tokenizer]
  if not info then
    info = engine.info(tokenizer)
    infos[tokenizer] = info
  end
  return info
end

local property_types = {
  vocab_size = "number", kind = "string", bos = "number", eos = "number", ends = "table", pad = "number",
  unk = "number", add_bos = "boolean", warning = "string",
}

function engine.tokenizer_meta.properties(tokenizer, name)
  if property_types[name] then return info_of(tokenizer)[name] end
end

function engine.tokenizer_meta.__tostring(tokenizer)
  local ok, info = pcall(info_of, tokenizer)
  if not ok then return "Tokenizer (freed)" end
  local parts = { "Tokenizer", info.kind, ("%d tokens"):format(info.vocab_size) }
  for _, name in ipairs({ "bos", "eos", "pad", "unk" }) do
    local id = info[name]
    if id then parts[#parts + 1] = ("%s %d %s"):format(name, id, (engine.token(tokenizer, id))) end
  end
  return table.concat(parts, "  ")
end

--- Opens a tokenizer.
---
--- Accepts a tokenizer.json, a folder of a model, a SentencePiece `.model`, a tiktoken file, a tekken.json, an RWKV
--- vocabulary, a BERT vocab.txt, a llama2.c tokenizer `.bin`, a `.gguf` file, or a loaded model. The result knows its
--- `vocab_size`, `kind`, and the ids `bos`, `eos`, `pad`, `unk` where there are such; `ends` lists all ids that end a
--- text.
--- ```lua
--- t = lm.tokenizer(lm.load "smollm2")     -- or lm.tokenizer "tokenizer.json"
--- t:decode(t:encode "Hello")
--- ```
local open = define("lm.tokenizer", {
  positional = { "path" },
  options = {
    { name = "path", type = "string|userdata", class = "lm.Model", required = true, min = 1,
      doc = "file, folder, or a loaded model" },
  },
  returns = "lm.Tokenizer",
}, function(o)
  if type(o.path) == "userdata" then return engine.of_model(o.path) end
  local ok, tokenizer = pcall(engine.open, o.path)
  if not ok then
    local e = tokenizer
    if not errors.is(e) or e.code == "interrupted" then error(e, 0) end
    local message = e.message:gsub("^load: ", "")
    errors.raise(e.code, "lm.tokenizer: " .. message, { hint = e.hint, help = "lm.tokenizer" })
  end
  local warning = engine.info(tokenizer).warning
  if warning then host.write_err("warning: " .. warning .. "\n") end
  return tokenizer
end)

local special_field = { name = "special", type = "boolean", default = true,
  doc = "add the tokens that the model wants around a text (BOS, [CLS] ...)" }
local parse_field = { name = "parse_special", type = "boolean", default = false,
  doc = "special tokens written in the text become those tokens; else they are plain text" }

--- Turns a text into token ids.
--- ```lua
--- lm.tokenizer(lm.load "smollm2"):encode("Hello world", { special = false })
--- ```
methods.encode = define("Tokenizer:encode", {
  positional = { "text" },
  options = { { name = "text", type = "string", required = true, doc = "any bytes" }, special_field, parse_field },
  returns = "integer[]",
}, function(self, o)
  return engine.encode(self, o.text, o.special, o.parse_special)
end)

--- Counts the tokens of a text without making a list of them.
methods.count = define("Tokenizer:count", {
  positional = { "text" },
  options = { { name = "text", type = "string", required = true, doc = "any bytes" }, special_field, parse_field },
  returns = "integer",
}, function(self, o)
  return engine.count(self, o.text, o.special, o.parse_special)
end)

--- Turns two texts into one sequence, as rerankers and BERT read them. Returns the ids and, of the same length, the
--- token types: which text a token is of.
--- ```lua
--- ids, types = lm.tokenizer(lm.load "smollm2"):encode_pair("What is AI?", "A field of study.")
--- ```
methods.encode_pair = define("Tokenizer:encode_pair", {
  positional = { "first", "second" },
  options = {
    { name = "first", type = "string", required = true, doc = "the first text" },
    { name = "second", type = "string", required = true, doc = "the second text" },
    special_field, parse_field,
  },
  returns = "integer[], integer[]",
}, function(self, o)
  return engine.encode_pair(self, o.first, o.second, o.special, o.parse_special)
end)

--- Turns token ids into text. Bytes that are no characters become U+FFFD.
--- ```lua
--- lm.tokenizer(lm.load "smollm2"):decode({ 19556, 905 })
--- ```
methods.decode = define("Tokenizer:decode", {
  positional = { "ids" },
  options = {
    { name = "ids", type = "array", required = true, doc = "token ids" },
    { name = "skip_special", type = "boolean", default = true, doc = "leave out control tokens" },
  },
  returns = "string",
}, function(self, o)
  return engine.decode(self, o.ids, o.skip_special)
end)

--- Looks a token up by its id. Returns its text as the vocabulary spells it, the bytes it adds to a text (perhaps a
--- part of a character), and whether it is special.
methods.token = define("Tokenizer:token", {
  args = { { name = "id", type = "integer", required = true, min = 0, doc = "token id" } },
  returns = "string, string, boolean",
}, function(self, id)
  return engine.token(self, id)
end)

--- Returns the id of a token spelled as in its vocabulary ("Ġthe", "▁the"), or nil.
methods.id = define("Tokenizer:id", {
  args = { { name = "text", type = "string", required = true, doc = "a token as its vocabulary spells it" } },
  returns = "integer?",
}, function(self, text)
  return engine.id(self, text)
end)

--- Starts turning ids into text one by one: `s:push(id)` returns the text that the id completes, `s:finish()` the
--- rest. The pieces add up to what `decode` gives, however the ids come.
--- ```lua
--- t = lm.tokenizer(lm.load "smollm2")
--- s = t:stream()
--- for _, id in ipairs(t:encode "naïve") do io.write(s:push(id)) end
--- io.write(s:finish())
--- ```
methods.stream = define("Tokenizer:stream", {
  options = {
    { name = "skip_special", type = "boolean", default = true, doc = "control tokens add no text" },
    { name = "at_text_start", type = "boolean", default = true,
      doc = "the first id begins a text: drop the space that stands for its beginning" },
  },
  returns = "lm.TokenStream",
}, function(self, o)
  return engine.stream(self, o.skip_special, o.at_text_start)
end)

--- Adds an id; returns the text that it completes, which may be empty.
stream_methods.push = define("TokenStream:push", {
  args = { { name = "id", type = "integer", required = true, min = 0, doc = "token id" } },
  returns = "string",
}, function(self, id)
  return engine.stream_push(self, id)
end)

--- Ends the text and returns what is left: an incomplete character becomes U+FFFD.
stream_methods.finish = define("TokenStream:finish", { args = {}, returns = "string" }, function(self)
  return engine.stream_finish(self)
end)

local function announce(meta, own, more)
  local names = {}
  for name, what in pairs(more or {}) do names[name] = what end
  for name, method in pairs(own) do names[name] = method end
  meta.__complete = names
end
announce(engine.tokenizer_meta, methods, property_types)
announce(engine.stream_meta, stream_methods)

-- Shows the phase, how far it is and how long it will take.
local function report()
  local phase, start, shown = nil, 0, 0
  return function(name, fraction)
    local now = host.now()
    if name ~= phase then phase, start = name, now end
    if now - shown < 0.2 then return end
    shown = now
    local eta_s = fraction > 0.02 and (now - start) * (1 - fraction) / fraction or nil
    host.job_progress(fraction, name, eta_s)
    host.pump()
  end
end

--- Trains a tokenizer, with progress, and returns it.
--- @param files string[]
--- @param o table  as lm.tokenizer.train takes them, complete; `rows`: more rows as JSON texts
--- @return lm.Tokenizer
function M.train_on(files, o)
  local ok, tokenizer = pcall(engine.train, files, o, report())
  host.progress("")
  if ok then return tokenizer end
  local e = tokenizer
  if not errors.is(e) or e.code == "interrupted" then error(e, 0) end
  errors.raise(e.code, "lm.tokenizer.train: " .. e.message:gsub("^train: ", ""),
    { hint = e.hint, help = "lm.tokenizer.train" })
end

--- Trains a tokenizer on files and returns it; with `output` it is also written as a tokenizer.json, which
--- Hugging Face's tokenizers load too.
---
--- `bpe` learns the merges and ids that Hugging Face's trainer learns from the same lines; with the pre_tokenizers
--- gpt2, llama3 and qwen2 its tokens are bytes, so that every text can be written. `wordpiece` is BERT's; `unigram` is
--- SentencePiece's default.
--- ```lua norun
--- t = lm.tokenizer.train{ files = "corpus.txt", vocab_size = 8000, output = "tokenizer.json" }
--- ```
local train = define("lm.tokenizer.train", {
  positional = { "files" },
  options = {
    { name = "files", type = "string|array", required = true, kind = "file",
      doc = "text files, read line by line, or files of rows (.jsonl, .csv, .parquet ...), of which their texts" },
    { name = "kind", type = "string", enum = { "bpe", "unigram", "wordpiece" }, default = "bpe",
      doc = "how tokens are chosen" },
    { name = "vocab_size", type = "integer", min = 1, max = 4194304, default = 30000,
      doc = "tokens at most, special tokens and single characters included" },
    { name = "min_frequency", type = "integer", min = 0, default = 0,
      doc = "pairs that occur less often are not merged" },
    { name = "special_tokens", type = "array", items = { type = "string", min = 1, doc = "a token" }, default = {},
      doc = "get the first ids, in order" },
    { name = "pre_tokenizer", type = "string",
      enum = { "auto", "gpt2", "llama3", "qwen2", "metaspace", "bert", "whitespace" }, default = "auto",
      doc = "how text is cut into words; auto: gpt2 for bpe, metaspace for unigram, bert for wordpiece" },
    { name = "initial_alphabet", type = "array", items = { type = "string", min = 1, doc = "a character" },
      default = {}, doc = "characters to include whether they occur or not" },
    { name = "limit_alphabet", type = "integer", min = 1, doc = "characters to keep at most" },
    { name = "max_token_length", type = "integer", min = 1, doc = "characters of a token at most" },
    { name = "unk_token", type = "string",
      doc = "stands for what the vocabulary lacks; [UNK] for wordpiece, <unk> for unigram, none for bpe" },
    { name = "output", type = "string", min = 1, doc = "the tokenizer.json to write" },
  },
  background = true, returns = "lm.Tokenizer",
}, function(o)
  return M.train_on(type(o.files) == "string" and { o.files } or o.files, o)
end)

-- lm.tokenizer is called to open one, and has the field `train`.
M.tokenizer = setmetatable({ train = train }, {
  __name = "lm.tokenizer",
  __call = function(_, ...)
    local tokenizer = open(...)
    return tokenizer
  end,
  __tostring = function()
    return "lm.tokenizer: opens a tokenizer; lm.tokenizer.train makes one\n?lm.tokenizer explains it"
  end,
})

return M
