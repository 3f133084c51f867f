#!/usr/bin/env -S lmfast run
--- Asks several questions in a background job, shows progress, prints a table of the answers.
---
--- Run: lmfast run examples/05_batch.lua
--- Run: lmfast run examples/05_batch.lua --topic color --max_tokens 12
--- Run: lmfast run examples/05_batch.lua --help
---
--- This file is a recipe: it returns its options and a function `run`. `lmfast run` checks the command line by the
--- options and writes `--help` from them; `lm.run("examples/05_batch.lua", { topic = "color" })` does the same in Lua.

local host = require("lm.host")
local lm = require("lmfast")

local M = {}

M.options = {
  { name = "topic", type = "string", enum = { "capital", "color" }, default = "capital", doc = "what is asked" },
  { name = "max_tokens", type = "integer", default = 24, min = 1, max = 1000, doc = "longest answer, in tokens" },
}

local questions = {
  capital = { "What is the capital of France?", "What is the capital of Japan?", "What is the capital of Egypt?" },
  color = { "What color is the sky?", "What color is grass?" },
}

-- Runs in a Lua state of its own: it gets copies of its arguments and the shared model, not the locals here.
local function ask_all(model, list, max_tokens)
  local progress = require("lm.host").job_progress
  local rows = {}
  for i, question in ipairs(list) do
    rows[i] = { question = question, answer = model:chat():say(question, { max_tokens = max_tokens }) }
    progress(i / #list, ("%d of %d questions"):format(i, #list))
  end
  return rows
end

--- Runs the job and shows its progress on a terminal while it runs.
--- @param o table  complete options
--- @return string table  of questions and answers
function M.run(o)
  local job = lm.start(ask_all, lm.load("smollm2"), questions[o.topic], o.max_tokens)
  while job:wait(0.2) == "running" do
    if job.progress then host.progress(("%d%%  %s"):format(job.progress * 100, job.message)) end
  end
  host.progress("")
  return lm.table(job:result(), { "question", "answer" })
end

return M
