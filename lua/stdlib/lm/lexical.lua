--- Lexical search: texts ranked by the words that they share with a query (BM25, Robertson and Zaragoza 2009, with
--- Lucene's never-negative idf).

local M = {}

-- Lucene's defaults.
local K1, B = 1.2, 0.75

--- Splits a text into words in lower case: letters, digits and all that is not ASCII.
--- @param text string
--- @return string[]
function M.words(text)
  local list = {}
  for word in text:lower():gmatch("[%w\128-\255]+") do list[#list + 1] = word end
  return list
end

--- Puts scored texts in order; of equal ones the earlier comes first.
--- @param scores table<integer, number>  by the texts' numbers
--- @param most integer
--- @return table[] hits  {number, score}, best first
function M.best(scores, most)
  local hits = {}
  for number, score in pairs(scores) do hits[#hits + 1] = { number = number, score = score } end
  table.sort(hits, function(a, b)
    if a.score ~= b.score then return a.score > b.score end
    return a.number < b.number
  end)
  for i = #hits, most + 1, -1 do hits[i] = nil end
  return hits
end

local methods = {}
local meta = { __index = methods }

--- Adds a text.
--- @param text string
--- @return integer number  by which `search` names it, from 1
function methods:add(text)
  local number, words, counts = #self.lengths + 1, M.words(text), {}
  for _, word in ipairs(words) do counts[word] = (counts[word] or 0) + 1 end
  for word, count in pairs(counts) do
    local list = self.lists[word] or {}
    self.lists[word] = list
    list[#list + 1] = { number, count }
  end
  self.lengths[number], self.total = #words, self.total + #words
  return number
end

--- Finds the best texts: those that share a word with the query.
--- @param query string
--- @param most integer
--- @return table[] hits  {number, score}, best first
function methods:search(query, most)
  local scores, n, seen = {}, #self.lengths, {}
  for _, word in ipairs(M.words(query)) do
    local list = not seen[word] and self.lists[word] or {}
    seen[word] = true
    local idf = math.log(1 + (n - #list + 0.5) / (#list + 0.5))
    for _, entry in ipairs(list) do
      local number, count = entry[1], entry[2]
      local norm = K1 * (1 - B + B * self.lengths[number] * n / self.total)
      scores[number] = (scores[number] or 0) + idf * count / (count + norm)
    end
  end
  return M.best(scores, most)
end

--- Makes an index without texts.
--- @return table index
function M.new() return setmetatable({ lists = {}, lengths = {}, total = 0 }, meta) end

return M
