--- Vectors of texts, and the order of documents for a query.

local define = require("lm.define")
local engine = require("lm.engine.embed")
local handles = require("lm.engine.model")

local M = {}

local methods = handles.model_methods

-- One for each model: it keeps its scratch memory between calls.
local embedders = setmetatable({}, { __mode = "k" })

local function embedder_of(model)
  local embedder = embedders[model]
  if not embedder then
    embedder = engine.embedder(model)
    embedders[model] = embedder
  end
  return embedder
end

local vector_meta = { __name = "lm.Embedding" }

local function dot(a, b)
  local sum = 0
  for i = 1, #a do sum = sum + a[i] * b[i] end
  return sum
end

function vector_meta.__mul(a, b) return dot(a, b) end

function vector_meta.__tostring(v)
  local first = {}
  for i = 1, math.min(4, #v) do first[i] = ("%.4f"):format(v[i]) end
  return ("Embedding  %d numbers  length %.4f  [%s, ...]"):format(#v, math.sqrt(dot(v, v)), table.concat(first, ", "))
end

local function embed(model, texts, o)
  local vectors = engine.embed(embedder_of(model), texts, o.pooling, o.normalize, o.dimensions, o.truncate)
  for _, vector in ipairs(vectors) do setmetatable(vector, vector_meta) end
  return vectors
end

local truncate_field = {
  name = "truncate", type = "boolean", default = false, doc = "cut texts that are longer than the model takes",
}

--- Turns a text into a vector, or a list of texts into a list of vectors.
---
--- Vectors multiply: `a * b` is the sum of the products, the cosine of the angle for vectors of length 1. Texts are
--- evaluated together; each gets the vector that it gets alone. Lists may hold token ids instead of texts.
--- ```lua
--- a, b = unpack(m:embed{ "a cat", "a kitten" })
--- print(a * b)
--- ```
methods.embed = define("Model:embed", {
  positional = { "text" },
  options = {
    { name = "text", type = "string|array", required = true, items = { type = "string|array" },
      doc = "a text, or a list of texts" },
    { name = "pooling", type = "string", enum = { "mean", "cls", "last" }, default_text = "what the model's files say",
      doc = "which hidden states become the vector: the mean of all, the first, the last" },
    { name = "normalize", type = "boolean", default_text = "what the model's files say",
      doc = "divide the vector by its length" },
    { name = "dimensions", type = "integer", min = 1, max = 2 ^ 20, default_text = "all",
      doc = "keep only the first numbers, for models trained for it (Matryoshka)" },
    truncate_field,
  },
  returns = "lm.Embedding",
}, function(self, o)
  if type(o.text) == "string" then return embed(self, { o.text }, o)[1] end
  local vectors = embed(self, o.text, o)
  return vectors
end)

-- What a cross-encoder says of each document, or how near its vector is to the query's.
local function relevance(model, o)
  if not engine.has_head(model) then
    local texts = { o.query }
    for i, document in ipairs(o.documents) do texts[i + 1] = document end
    local vectors, scores = embed(model, texts, { normalize = true, truncate = o.truncate }), {}
    for i = 1, #o.documents do scores[i] = vectors[1] * vectors[i + 1] end
    return scores, scores
  end
  local outputs, scores, probabilities = engine.scores(embedder_of(model), o.query, o.documents, o.truncate), {}, {}
  for i, output in ipairs(outputs) do
    scores[i] = output[1]
    probabilities[i] = 1 / (1 + math.exp(-output[1]))
  end
  return scores, probabilities
end

--- Orders documents by how well they answer a query, best first.
---
--- Returns records with `index` (in `documents`, from 1), `document`, `score` (what the model says) and
--- `relevance_score` (0 to 1: the sigmoid of the score). A model without a reranking head compares embeddings: then
--- both are the cosine.
--- ```lua
--- lm.rerank{ query = "capital of France", documents = { "Rome is in Italy.", "Paris is the capital of France." } }
--- ```
M.rerank = define("lm.rerank", {
  options = {
    { name = "query", type = "string", required = true, doc = "what is looked for" },
    { name = "documents", type = "array", required = true, items = { type = "string" }, doc = "texts to order" },
    { name = "model", type = "userdata|string", class = "lm.Model", kind = "model",
      doc = "a loaded model, or a name to load", default_text = "the current model" },
    { name = "top_n", type = "integer", min = 1, max = 2 ^ 31, doc = "return only this many", default_text = "all" },
    truncate_field,
  },
  returns = "table[]",
}, function(o)
  if #o.documents == 0 then return {} end
  local scores, relevances = relevance(require("lm.model").of(o.model), o)
  local rows = {}
  for i, document in ipairs(o.documents) do
    rows[i] = { index = i, document = document, score = scores[i], relevance_score = relevances[i] }
  end
  table.sort(rows, function(a, b)
    if a.score ~= b.score then return a.score > b.score end
    return a.index < b.index
  end)
  for i = #rows, (o.top_n or #rows) + 1, -1 do rows[i] = nil end
  return rows
end)

return M
