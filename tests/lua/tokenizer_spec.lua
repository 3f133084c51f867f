-- lm.tokenizer and lm.template on the shared test data; expected ids and texts are the references'.
local json = require("lm.json")

if not pcall(require, "lm.engine.tokenizer") then
  pending("needs the engine")
  return
end

local data = os.getenv("LMFAST_TEST_DATA") or "../shared/data"

local function path_of(path)
  local file = io.open(data .. "/" .. path, "rb")
  if not file then pending("shared test data is missing: " .. path) end
  file:close()
  return data .. "/" .. path
end

local function read(path)
  local file = io.open(path_of(path), "rb")
  local text = file:read("*a")
  file:close()
  return text
end

local function first_vectors(path, n)
  local list = {}
  for line in read(path):gmatch("[^\n]+") do
    list[#list + 1] = json.decode(line)
    if #list == n then break end
  end
  return list
end

local function error_of(f, ...)
  local fine, e = pcall(f, ...)
  assert.falsy(fine)
  return e
end

describe("lm.tokenizer", function()
  it("opens every format and gives the reference's ids", function()
    local rows = {
      { "gpt2/tokenizer.json", "gpt2/vectors.jsonl" },
      { "t5-small/spiece.model", "t5-small/sentencepiece-vectors.jsonl" },
      { "llama2/tokenizer.model", "llama2/sentencepiece-vectors.jsonl" },
      { "tiktoken/p50k_base.tiktoken", "tiktoken/p50k_base-vectors.jsonl" },
      { "mistral-tekken/tekken_240718.json", "mistral-tekken/vectors.jsonl" },
      { "rwkv-world/rwkv_vocab_v20230424.txt", "rwkv-world/vectors.jsonl" },
      { "all-minilm-l6-v2", "all-minilm-l6-v2/vectors.jsonl" },
      { "gguf-vocabs/ggml-vocab-llama-spm.gguf", "llama2/sentencepiece-vectors.jsonl" },
    }
    for _, row in ipairs(rows) do
      path_of("tokenizers/" .. row[2])
      local t = lm.tokenizer(data .. "/tokenizers/" .. row[1])
      for _, case in ipairs(first_vectors("tokenizers/" .. row[2], 20)) do
        assert.same(case.ids, json.array(t:encode(case.text, { special = false })), row[1])
      end
    end
  end)

  it("knows its size, its special ids and its tokens", function()
    local t = lm.tokenizer(path_of("tokenizers/llama2/tokenizer.model"))
    assert.equal(32000, t.vocab_size)
    assert.equal(1, t.bos)
    assert.equal(2, t.eos)
    assert.same({ 2 }, t.ends)
    assert.equal(0, t.unk)
    assert.equal("bpe (SentencePiece)", t.kind)
    assert.equal(true, t.add_bos)
    assert.equal(15043, t:id("▁Hello"))
    assert.equal(nil, t:id("no such token"))
    local text, bytes, special = t:token(15043)
    assert.equal("▁Hello", text)
    assert.equal(" Hello", bytes)
    assert.equal(false, special)
    assert.equal(true, (select(3, t:token(1))))
    assert.contains("32000 tokens", tostring(t))
    assert.same({ 1, 15043 }, t:encode("Hello"))
    assert.same({ 1, 1, 15043 }, t:encode("<s>Hello", { parse_special = true }))
    assert.equal("Hello", t:decode(t:encode("Hello")))
    assert.equal("<s> Hello", t:decode(t:encode("<s>Hello", { parse_special = true, special = false }),
      { skip_special = false }))
    assert.equal("", t:decode({}))
    assert.equal(2, t:count("Hello"))
    assert.equal(1, t:count("Hello", { special = false }))
  end)

  it("encodes pairs with token types and decodes streams", function()
    local t = lm.tokenizer(path_of("tokenizers/all-minilm-l6-v2/tokenizer.json"))
    local pair = json.decode(read("tokenizers/all-minilm-l6-v2/pairs.json"))[1]
    local ids, types = t:encode_pair(pair.a, pair.b)
    assert.same(pair.ids, json.array(ids))
    assert.same(pair.type_ids, json.array(types))
    local gpt2 = lm.tokenizer(path_of("tokenizers/gpt2/tokenizer.json"))
    local text = "naïve 中文 😀!"
    local s, parts = gpt2:stream(), {}
    for _, id in ipairs(gpt2:encode(text)) do parts[#parts + 1] = s:push(id) end
    assert.equal(text, table.concat(parts) .. s:finish())
  end)

  it("names what is wrong", function()
    assert.contains("lm.tokenizer: ", error_of(lm.tokenizer, "/no/such/file").message)
    local t = lm.tokenizer(path_of("tokenizers/gpt2/tokenizer.json"))
    assert.contains("50256", error_of(t.decode, t, { 50257 }).message)
    assert.contains("token 2", error_of(t.decode, t, { 1, "x" }).message)
    assert.contains("unknown", error_of(t.encode, t, "x", { specials = true }).message)
    assert.equal(nil, t.no_such_field)
  end)

  it("is the loaded model's", function()
    path_of("models/stories260K/golden.json")
    local m = lm.load(data .. "/models/stories260K/gguf/stories260K-F32.gguf")
    assert.equal(512, lm.tokenizer(m).vocab_size)
  end)
end)

describe("lm.template", function()
  it("renders text with tools, variables and time", function()
    local t = lm.template("{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
      .. "{% if tools %}{{ tools | tojson }}{% endif %}{% if add_generation_prompt %}>{% endif %}{{ x }}"
      .. "{{ strftime_now('%Y') }}")
    assert.equal('[user]Hi[{"type": "function", "function": {"name": "f"}}]>71970', t:render({
      messages = { { role = "user", content = "Hi" } }, add_generation_prompt = true, x = 7, now = 0,
      tools = { { type = "function", ["function"] = { name = "f" } } },
    }))
    assert.contains("{% for m", t.source)
    assert.contains("Template", tostring(t))
  end)

  it("takes the template of folders, configurations and model files", function()
    local contexts = json.decode(read("chat_templates/contexts.json")).contexts
    local expected = json.decode(read("chat_templates/expected/Qwen-Qwen3-0.6B.json"))
    local t = lm.template(path_of("chat_templates/Qwen-Qwen3-0.6B.jinja"))
    for name, result in pairs(expected) do
      local variables = contexts[name]
      variables.bos_token, variables.eos_token = "<s>", "</s>"
      if result.output then assert.equal(result.output, t:render(variables), name) end
    end
    path_of("tokenizers/qwen2.5/tokenizer_config.json")
    local folder = lm.template(data .. "/tokenizers/qwen2.5")
    assert.contains("<|im_start|>user\nHi<|im_end|>", folder:render({ messages = { { role = "user", content = "Hi" } } }))
    assert.equal(folder.source, lm.template(data .. "/tokenizers/qwen2.5/tokenizer_config.json").source)
    assert.equal("<|im_end|>", folder.eos_token)
  end)

  it("returns what the assistant says as byte ranges", function()
    local t = lm.template("{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
      .. "{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}")
    local text, spans = t:render_spans({ messages = {
      { role = "user", content = "qä" }, { role = "assistant", content = "yes" } } })
    assert.equal("qäyes", text)
    assert.same({ { 4, 6 } }, spans)
    assert.equal("yes", text:sub(spans[1][1], spans[1][2]))
  end)

  it("names the line of what is wrong", function()
    assert.contains("line 2", error_of(lm.template, "a\n{% if %}").message)
    local t = lm.template("a\n{{ raise_exception('only users') }}")
    assert.contains("line 2: only users", error_of(t.render, t, {}).message)
    assert.contains("lm.template: ", error_of(lm.template, "no/such.jinja").message)
    assert.contains("messages is a string", error_of(t.render, t, { messages = "Hi" }).message)
  end)
end)

describe("lm.tokenizer.train", function()
  local corpus = (arg and arg[0] or ""):match("^(.*)tests/lua/run%.lua$") or ""
  corpus = corpus .. "tests/data/bpe_training/mixed.txt"

  it("trains every kind, writes a tokenizer.json and returns it", function()
    for kind, size in pairs({ bpe = 300, wordpiece = 130, unigram = 120 }) do
      local path = os.tmpname() .. ".json"
      local t = lm.tokenizer.train({ files = corpus, kind = kind, vocab_size = size, output = path,
        special_tokens = { "<pad>" } })
      assert.equal(size, t.vocab_size, kind)
      local again = lm.tokenizer(path)
      os.remove(path)
      assert.same(t:encode("the quick fox"), again:encode("the quick fox"))
      assert.equal("the quick fox", again:decode(again:encode("the quick fox")))
      assert.truthy(t:id("<pad>"))
    end
    assert.equal(260, lm.tokenizer.train({ corpus, vocab_size = 260 }).vocab_size)
  end)

  it("names what is wrong", function()
    assert.contains("lm.tokenizer.train: ", error_of(lm.tokenizer.train, { files = "/no/such" }).message)
    assert.contains("expected", error_of(lm.tokenizer.train, { files = corpus, kind = "words" }).message)
  end)
end)
