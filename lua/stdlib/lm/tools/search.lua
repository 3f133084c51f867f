--- Search over the texts of a folder: passages by their words, and by their meaning where a model for embeddings is
--- given.

local errors = require("lm.errors")
local host = require("lm.host")
local json = require("lm.json")
local lexical = require("lm.lexical")
local roots = require("lm.tools.roots")

local M = {}

local MOST_BYTES, MOST_PASSAGES = 2 * 1024 * 1024, 20000
local PASSAGE = 800   -- bytes that a passage is filled up to
local RRF = 60        -- reciprocal rank fusion (Cormack and others 2009)
local FRESH = 30      -- seconds that an index is taken for that of the folder

-- Lines gathered into passages; visit(text, first line).
local function each_passage(content, visit)
  local lines, size, first, n = {}, 0, 1, 0
  local function flush()
    local text = table.concat(lines, "\n")
    if text:find("%S") then visit(text, first) end
    lines, size, first = {}, 0, n + 1
  end
  for line in (content:gsub("\r\n", "\n") .. "\n"):gmatch("([^\n]*)\n") do
    if size + #line > PASSAGE and size > 0 then flush() end
    n = n + 1
    lines[#lines + 1], size = line:sub(1, 4 * PASSAGE), size + #line + 1
  end
  flush()
end

local function build(config, resolve, start)
  local index = { words = lexical.new(), passages = {}, at = host.now() }
  roots.each_file(resolve, start, function(path, root)
    local file = io.open(path, "rb")
    local content = file and file:read(MOST_BYTES)
    if file then file:close() end
    if not content or content:find("%z") then return true end
    each_passage(content, function(text, line)
      index.passages[index.words:add(text)] = { path = path:sub(#root + 2), line = line, text = text }
    end)
    return #index.passages < MOST_PASSAGES
  end)
  if config.model and #index.passages > 0 then
    local texts = {}
    for i, passage in ipairs(index.passages) do texts[i] = passage.text end
    index.model = require("lm.model").of(config.model)
    index.vectors = index.model:embed(texts, { truncate = true, normalize = true })
  end
  return index
end

local function by_meaning(index, query, most)
  local wanted, hits = index.model:embed(query, { truncate = true, normalize = true }), {}
  for number, vector in ipairs(index.vectors) do hits[number] = { number = number, score = vector * wanted } end
  table.sort(hits, function(a, b) return a.score > b.score end)
  for i = #hits, most + 1, -1 do hits[i] = nil end
  return hits
end

-- Two rankings as one.
local function fused(lists, most)
  local scores = {}
  for _, list in ipairs(lists) do
    for rank, hit in ipairs(list) do scores[hit.number] = (scores[hit.number] or 0) + 1 / (RRF + rank) end
  end
  return lexical.best(scores, most)
end

--- @param config table  {roots = {"."}, model = for embeddings, most = 5}
--- @return table tool
function M.make(config)
  local resolve, most = roots.below(config.roots or { "." }), config.most or 5
  if config.model and not pcall(require, "lm.engine.embed") then
    errors.raise("unsupported", "lm.tool: this build has no embeddings")
  end
  local index
  return {
    name = "search", permissions = { "files" }, timeout = 120,
    doc = "Finds the passages of a folder's texts that fit a question best.",
    params = { type = "object", required = json.array{ "query" }, additionalProperties = false, properties = {
      query = { type = "string", minLength = 1, description = "what to look for, in a few words" } } },
    run = function(o)
      if not index or host.now() - index.at > FRESH then index = build(config, resolve, ".") end
      local wide = most * 4
      local hits = index.words:search(o.query, index.vectors and wide or most)
      if index.vectors then hits = fused({ hits, by_meaning(index, o.query, wide) }, most) end
      local found = json.array()
      for i, hit in ipairs(hits) do
        local passage = index.passages[hit.number]
        found[i] = json.object({ path = passage.path, line = passage.line, text = passage.text },
          { "path", "line", "text" })
      end
      return found
    end,
  }
end

return M
