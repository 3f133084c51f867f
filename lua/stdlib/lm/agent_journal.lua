--- What an agent did, one JSON line each: answers of the model and results of tools, written and synced before the next
--- step. Reading it again gives the same steps without asking or calling anything.

local errors = require("lm.errors")
local json = require("lm.json")

local M = {}

local methods = {}
local meta = { __index = methods, __name = "lm.Journal" }

local function read_lines(path)
  local file = io.open(path, "rb")
  if not file then return {} end
  local entries, whole = {}, file:read("*a")
  file:close()
  -- A line that a crash cut off must not become one with the next.
  if whole ~= "" and whole:sub(-1) ~= "\n" then require("lm.engine.files").append(path, "\n") end
  for line in whole:gmatch("[^\n]+") do
    local entry = json.decode(line)
    -- A line that was cut off by a crash is the last one, and its step is done again.
    if type(entry) == "table" then entries[#entries + 1] = entry end
  end
  return entries
end

--- Opens a journal, new or to go on with.
--- @param path string
--- @param name string  the agent
--- @param task string
--- @return table journal
function M.open(path, name, task)
  local journal = setmetatable({ path = path, answers = {}, results = {}, begun = {} }, meta)
  local entries = read_lines(path)
  for _, entry in ipairs(entries) do
    if entry.kind == "task" and (entry.task ~= task or entry.agent ~= name) then
      errors.raise("bad_option", ("Agent:run: the journal %q is of another task: %s"):format(path, entry.task),
        { hint = "name another file, or remove this one" })
    elseif entry.kind == "answer" then
      journal.answers[entry.step] = entry
    elseif entry.kind == "result" then
      journal.results[entry.step .. ":" .. entry.call] = entry.outcome
    elseif entry.kind == "call" then
      journal.begun[entry.step .. ":" .. entry.call] = true
    end
  end
  if #entries == 0 then journal:write{ kind = "task", agent = name, task = task } end
  return journal
end

--- Writes an entry.
--- @param entry table
function methods:write(entry)
  require("lm.engine.files").append(self.path, json.encode(entry) .. "\n")
end

--- Returns the answer of a step that was taken before.
--- @param step integer
--- @return table? entry  {message, stats}
function methods:answer(step) return self.answers[step] end

--- Keeps the answer of a step.
--- @param step integer
--- @param message table
--- @param stats table
function methods:keep_answer(step, message, stats)
  self:write{ kind = "answer", step = step, message = message,
    stats = { prompt_tokens = stats.prompt_tokens, completion_tokens = stats.completion_tokens } }
end

--- Returns the result of a call that was made before. A call that was begun and has no result is not made again: nobody
--- knows what it did.
--- @param step integer
--- @param call integer
--- @return table? outcome
function methods:result(step, call)
  local key = step .. ":" .. call
  if self.results[key] then return self.results[key] end
  if self.begun[key] then
    return { text = "Error: the call was interrupted, and what it did is not known", error = "interrupted" }
  end
end

--- Notes that a call begins.
--- @param step integer
--- @param call integer
--- @param what table
function methods:begin_result(step, call, what)
  self:write{ kind = "call", step = step, call = call, name = what["function"].name,
    arguments = what["function"].arguments }
end

--- Keeps the result of a call.
--- @param step integer
--- @param call integer
--- @param outcome table
function methods:keep_result(step, call, outcome)
  self:write{ kind = "result", step = step, call = call,
    outcome = { text = outcome.text, error = outcome.error, seconds = outcome.seconds } }
end

return M
