--- Talks with a model in the terminal, one line at a time.
---
--- Reads your lines from standard input and writes nothing but answers to standard output, while they are made, so it
--- can be piped. An empty line or the end of input leaves.
---
--- Example: lmfast run chat smollm2 --system "Answer briefly."

local lm = require("lmfast")

local M = {}

M.positional = { "model" }

M.options = {
  { name = "model", type = "string", default = "smollm2-135m-instruct", kind = "model", doc = "model name or path" },
  { name = "system", type = "string", doc = "system message that starts the conversation" },
  { name = "max_tokens", type = "integer", default = 512, min = 1, max = 1e9, doc = "longest answer, in tokens" },
  { name = "temperature", type = "number", default = 0, min = 0, max = 2,
    doc = "randomness; 0 always takes the likeliest" },
  { name = "seed", type = "integer", min = 0, doc = "makes answers repeatable", default_text = "a new one each time" },
}

local function write_piece(piece)
  io.write(piece)
  io.flush()
end

--- Runs the conversation until the input ends.
--- @param o table  complete options
function M.run(o)
  local conversation = lm.load(o.model):chat({ system = o.system })
  for line in io.lines() do
    if not line:find("%S") then break end
    conversation:say(line, {
      max_tokens = o.max_tokens, temperature = o.temperature, seed = o.seed, on_token = write_piece,
    })
    write_piece("\n")
  end
end

return M
