--- Speed of the tokenizers beside their peers, in one run: `taskset -c 1 lmfast scripts/bench/tokenizers.lua [rounds]`.
---
--- Prints one JSON line for each tokenizer: seconds to encode 10 MB of mixed text (half English, a quarter code, a
--- quarter other languages) and milliseconds to load, ours and those of `tokenizers` (Rust) and `tiktoken`, and the
--- ratios. Rounds alternate between the programs, the best of each counts; all times are processor time of one thread.
--- LMFAST_BENCH_PYTHON names a Python that has both packages (default python3), LMFAST_TEST_DATA the data,
--- LMFAST_TEST_MODELS a folder with the Gemma model (left out when it is not there).

local json = require("lm.json")

local data = os.getenv("LMFAST_TEST_DATA") or "../shared/data"
local python = os.getenv("LMFAST_BENCH_PYTHON") or "python3"
local rounds = tonumber(arg and arg[1]) or 3
local names = { "gpt2", "llama3", "qwen2.5" }
local peers_script = "scripts/bench/tokenizer_peers.py"

local function peers(command, path)
  local pipe = assert(io.popen(("'%s' %s %s '%s' '%s'"):format(python, peers_script, command, data, path)))
  local text = pipe:read("*a")
  pipe:close()
  return text
end

local function read_documents(path)
  local file = assert(io.open(path, "rb"))
  local documents, bytes = {}, 0
  for line in function() return file:read("*l") end do
    local text = file:read(tonumber(line))
    documents[#documents + 1] = text
    bytes = bytes + #text
  end
  file:close()
  return documents, bytes
end

-- Best processor time of opening a tokenizer, and of encoding all documents.
local function time_load(path)
  local best = math.huge
  local tokenizer
  for _ = 1, 3 do
    local start = os.clock()
    tokenizer = lm.tokenizer(path)
    best = math.min(best, os.clock() - start)
  end
  return best, tokenizer
end

local function time_encode(tokenizer, documents)
  local start, ids = os.clock(), 0
  for _, text in ipairs(documents) do ids = ids + tokenizer:count(text, { special = false }) end
  return os.clock() - start, ids
end

local function ours(row, documents)
  local load, tokenizer = time_load(("%s/tokenizers/%s/tokenizer.json"):format(data, row.name))
  local seconds, ids = time_encode(tokenizer, documents)
  row.load_ms = math.min(row.load_ms or math.huge, load * 1e3)
  row.seconds = math.min(row.seconds or math.huge, seconds)
  row.ids = ids
end

local function take_peer(rows, line)
  local result = json.decode(line)
  local row = rows[result.name]
  local peer = result.peer:match("^%S+")
  assert(result.ids == row.ids, ("%s gives %d ids for %s, ours %d"):format(result.peer, result.ids, row.name, row.ids))
  row[peer .. "_seconds"] = math.min(row[peer .. "_seconds"] or math.huge, result.seconds)
  row[peer .. "_load_ms"] = math.min(row[peer .. "_load_ms"] or math.huge, result.load_ms)
  row[peer] = result.peer:match("%S+$")
end

local function gemma()
  local path = (os.getenv("LMFAST_TEST_MODELS") or "") .. "/gemma-3-270m-q4_k_m.gguf"
  local file = io.open(path, "rb")
  if not file then return end
  file:close()
  print(json.encode({ name = "gemma-3 (GGUF)", load_ms = time_load(path) * 1e3 }))
end

local function main()
  local path = os.tmpname()
  peers("text", path)
  local documents, bytes = read_documents(path)
  local rows = {}
  for _, name in ipairs(names) do rows[name] = { name = name, text_mb = bytes / 1e6 } end
  for _ = 1, rounds do
    for _, name in ipairs(names) do ours(rows[name], documents) end
    for line in peers("time", path):gmatch("[^\n]+") do take_peer(rows, line) end
  end
  os.remove(path)
  for _, name in ipairs(names) do
    local row = rows[name]
    for _, peer in ipairs({ "tokenizers", "tiktoken" }) do
      if row[peer] then row["times_faster_than_" .. peer] = row[peer .. "_seconds"] / row.seconds end
    end
    print(json.encode(row))
  end
  gemma()
end

main()
