--- What an agent remembers of earlier tasks.

local M = {}

local window_methods = {}
local window_meta = { __index = window_methods, __name = "lm.Memory" }

--- The messages that tell of earlier tasks.
--- @param _ string  the new task
--- @return table[]
function window_methods:recall(_)
  local messages = {}
  for _, entry in ipairs(self.entries) do
    messages[#messages + 1] = { role = "user", content = entry.task }
    messages[#messages + 1] = { role = "assistant", content = entry.answer }
  end
  return messages
end

--- Keeps a task and its answer.
--- @param task string
--- @param answer string
function window_methods:remember(task, answer)
  table.insert(self.entries, { task = task, answer = answer })
  while #self.entries > self.most do table.remove(self.entries, 1) end
end

--- Remembers the last tasks and answers as they were.
--- @param most integer
--- @return table memory
function M.window(most)
  return setmetatable({ most = most, entries = {} }, window_meta)
end

local summary_methods = {}
local summary_meta = { __index = summary_methods, __name = "lm.Memory" }

local KEPT = 3         -- tasks that are remembered as they were
local SUMMARY_TOKENS = 200

--- The messages that tell of earlier tasks: a summary of the older ones, the newer as they were.
--- @param task string
--- @return table[]
function summary_methods:recall(task)
  local messages = window_methods.recall(self, task)
  if self.text then
    table.insert(messages, 1, { role = "user", content = "What was done before, in short:\n" .. self.text })
    table.insert(messages, 2, { role = "assistant", content = "I remember." })
  end
  return messages
end

--- Keeps a task and its answer; the oldest go into the summary when there are too many.
--- @param task string
--- @param answer string
function summary_methods:remember(task, answer)
  table.insert(self.entries, { task = task, answer = answer })
  if #self.entries <= 2 * KEPT then return end
  local told = { self.text and "Earlier: " .. self.text or nil }
  while #self.entries > KEPT do
    local old = table.remove(self.entries, 1)
    told[#told + 1] = ("The user: %s\nThe assistant: %s"):format(old.task, old.answer)
  end
  local reply = self.ask({ { role = "user", content = "Sum up this conversation in a few sentences. Keep names, "
    .. "numbers and what was decided.\n\n" .. table.concat(told, "\n\n") } }, {}, { max_tokens = SUMMARY_TOKENS })
  self.text = (reply.content:gsub("^%s+", ""):gsub("%s+$", ""))
end

--- Remembers the last tasks and answers as they were, and what came before as a summary that the model writes.
--- @param ask fun(messages: table[], tools: table[], o: table): table  one answer of the model
--- @return table memory
function M.summary(ask)
  return setmetatable({ ask = ask, entries = {} }, summary_meta)
end

return M
