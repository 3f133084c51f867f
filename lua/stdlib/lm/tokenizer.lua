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
--- t = lm.tokenizer "models/qwen2.5/tokenizer.json"
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
--- t:encode("Hello world", { special = false })
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
--- ids, types = t:encode_pair("What is AI?", "A field of study.")
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
--- t:decode({ 1, 2, 3 })
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
--- s = t:stream()
--- for _, id in ipairs(ids) do io.write(s:push(id)) end
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

-- lm.tokenizer is called to open one.
M.tokenizer = setmetatable({}, {
  __name = "lm.tokenizer",
  __call = function(_, ...)
    local tokenizer = open(...)
    return tokenizer
  end,
  __tostring = function() return "lm.tokenizer: opens a tokenizer\n?lm.tokenizer explains it" end,
})

return M
