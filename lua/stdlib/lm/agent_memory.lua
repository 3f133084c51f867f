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

return M
