--- Answers every prompt of a file and writes the answers as JSON lines; an interrupted run continues where it stopped.
---
--- The prompts file holds one prompt per line, as plain text or as JSON with a `prompt` (and maybe an `id`).
--- Each output line is `{"id", "prompt", "text"}`; prompts whose id is already in the output are skipped.
---
--- Example: lmfast run generate smollm2 --prompts questions.txt --out answers.jsonl

local host = require("lm.host")
local json = require("lm.json")
local lm = require("lmfast")

local M = {}

M.positional = { "model" }

M.options = {
  { name = "model", type = "string", default = "smollm2-135m-instruct", kind = "model", doc = "model name or path" },
  { name = "prompts", type = "string", required = true, kind = "file", doc = "file with one prompt per line" },
  { name = "out", type = "string", default = "answers.jsonl", kind = "file", doc = "file the answers are appended to" },
  { name = "max_tokens", type = "integer", default = 256, min = 1, max = 1e9, doc = "longest answer, in tokens" },
  { name = "temperature", type = "number", default = 0, min = 0, max = 2,
    doc = "randomness; 0 always takes the likeliest" },
  { name = "chat", type = "boolean", default = true,
    doc = "ask through the model's chat template; false continues the text of the prompt" },
  { name = "restart", type = "boolean", default = false, doc = "forget earlier answers and start again" },
}

-- A line of JSON with a prompt, or plain text; the line number identifies prompts without an id.
local function read_prompt(line, number)
  local record = line:find("^%s*{") and json.decode(line)
  if type(record) == "table" and type(record.prompt) == "string" then
    return { id = tostring(record.id or number), prompt = record.prompt }
  end
  return { id = tostring(number), prompt = line }
end

local function read_prompts(path)
  local file, message = io.open(path, "rb")
  if not file then error("generate: " .. message, 0) end
  local prompts, number = {}, 0
  for line in file:lines() do
    number = number + 1
    if line:find("%S") then prompts[#prompts + 1] = read_prompt(line, number) end
  end
  file:close()
  return prompts
end

-- Ids that are answered. Also returns how many bytes hold whole records: a killed run may leave half a line.
local function read_answered(path)
  local file = io.open(path, "rb")
  local answered, whole = {}, {}
  if not file then return answered, nil end
  local text = file:read("*a")
  file:close()
  for line in text:gmatch("([^\n]*)\n") do
    local record = json.decode(line)
    if type(record) == "table" and record.id ~= nil then
      answered[tostring(record.id)] = true
      whole[#whole + 1] = line .. "\n"
    end
  end
  local kept = table.concat(whole)
  return answered, kept ~= text and kept or nil
end

local function replace_file(path, content)
  local file = assert(io.open(path .. ".tmp", "wb"))
  assert(file:write(content))
  assert(file:close())
  assert(os.rename(path .. ".tmp", path))
end

local function answer(model, prompt, o)
  local sampling = { max_tokens = o.max_tokens, temperature = o.temperature }
  if o.chat then return model:chat():say(prompt, sampling) end
  return model:generate(prompt, sampling).text
end

--- Generates the missing answers.
--- @param o table  complete options
--- @return {written: integer, skipped: integer, out: string}
function M.run(o)
  local prompts = read_prompts(o.prompts)
  if o.restart then os.remove(o.out) end
  local answered, mended = read_answered(o.out)
  if mended then replace_file(o.out, mended) end
  local model, written, skipped = lm.load(o.model), 0, 0
  local out = assert(io.open(o.out, "ab"))
  for i, entry in ipairs(prompts) do
    if answered[entry.id] then
      skipped = skipped + 1
    else
      out:write(json.encode({ id = entry.id, prompt = entry.prompt, text = answer(model, entry.prompt, o) }), "\n")
      -- Flushed per answer, so that an interrupt loses at most the one being made.
      out:flush()
      written = written + 1
    end
    host.job_progress(i / #prompts, ("%d/%d prompts"):format(i, #prompts))
    host.pump()
  end
  out:close()
  return { written = written, skipped = skipped, out = o.out }
end

return M
