-- The loop of agents, with answers written down here in place of a model.
if not pcall(require, "lm.engine.generate") then
  pending("needs the engine")
  return
end

local json = require("lm.json")
local lm = require("lmfast")

local function call(name, arguments, id)
  return { id = id or "c1", type = "function", complete = true,
    ["function"] = { name = name, arguments = json.encode(arguments) } }
end

-- Gives the answers one after the other and keeps what it was asked.
local function scripted(answers)
  local model = { asked = {} }
  function model:turn(messages, tools, o)
    local copy = {}
    for i, m in ipairs(messages) do copy[i] = m end
    self.asked[#self.asked + 1] = { messages = copy, n_tools = #tools, tool_choice = o.tool_choice }
    local answer = answers[#self.asked] or answers[#answers]
    return { role = "assistant", content = answer.content or "", tool_calls = answer.tool_calls },
      { prompt_tokens = 10, completion_tokens = 5 }
  end
  return model
end

local counted
local function add() return lm.tool{ name = "add", doc = "Adds.", params = { type = "object",
  properties = { a = { type = "number" }, b = { type = "number" } }, required = { "a", "b" } },
  run = function(a, b)
    counted = counted + 1
    return a + b
  end } end

before_each(function() counted = 0 end)

describe("lm.agent", function()
  it("answers, calls, answers", function()
    local model = scripted{ { tool_calls = { call("add", { a = 1, b = 2 }) } }, { content = "It is 3." } }
    local steps = {}
    local a = lm.agent{ model = model, tools = { add() }, instructions = "Be brief.",
      on_step = function(s) steps[#steps + 1] = s end }
    local result = a:run "1 + 2?"
    assert.equal("It is 3.", result.text)
    assert.equal("It is 3.", tostring(result))
    assert.equal(2, #steps)
    assert.equal(3, steps[1].results[1].value)
    local second = model.asked[2].messages
    assert.equal("Be brief.", second[1].content)
    assert.equal("tool", second[4].role)
    assert.equal('{"result":3}', second[4].content)
    assert.equal(30, result.usage.prompt_tokens + result.usage.completion_tokens)
  end)
  it("feeds errors back: unknown tools, wrong arguments, refusals", function()
    local model = scripted{ { tool_calls = { call("addd", {}), call("add", { a = 1 }), call("add", { a = 1, b = 1 }) } },
      { content = "done" } }
    lm.agent{ model = model, tools = { add() }, approve = function(what) return what.arguments.a ~= 1, "not 1" end }:run "x"
    local m = model.asked[2].messages
    assert.matches("no tool \"addd\"; did you mean add", m[#m - 2].content)
    assert.matches("not approved: not 1", m[#m].content)
    assert.equal(0, counted)
  end)
  it("stops going round in circles, at max_steps and over budget", function()
    local model = scripted{ { tool_calls = { call("add", { a = 1, b = 2 }) } } }
    local a = lm.agent{ model = model, tools = { add() } }
    assert.falsy((pcall(a.run, a, "x")))
    assert.equal(3, #model.asked)
    assert.equal("none", model.asked[3].tool_choice)
    model = scripted{ { tool_calls = { call("add", { a = 1, b = 2 }) } } }
    a = lm.agent{ model = model, tools = { add() }, budget = { tokens = 20 } }
    local fine, e = pcall(a.run, a, "x")
    assert.falsy(fine)
    assert.matches("budget: tokens", e.message)
    assert.equal(2, #model.asked)
  end)
  it("makes typed answers and checks them", function()
    local schema = { type = "object", properties = { n = { type = "integer" } }, required = { "n" } }
    local model = scripted{ { content = "three" }, { content = '{"n": 3}' } }
    assert.equal(3, lm.agent{ model = model, output = schema }:run("x").value.n)
    model = scripted{ { content = "no" }, { content = "good" } }
    local a = lm.agent{ model = model, check = function(text) return text == "good", "not good" end }
    assert.equal("good", a:run("x").text)
    assert.matches("not good", model.asked[2].messages[#model.asked[2].messages].content)
  end)
  it("hands over and delegates", function()
    local expert = lm.agent{ name = "expert", model = scripted{ { content = "42" } }, instructions = "You know." }
    local first = scripted{ { tool_calls = { call("transfer_to_expert", {}) } } }
    local result = lm.agent{ model = first, handoffs = { expert }, instructions = "Ask." }:run "?"
    assert.equal("42", result.text)
    assert.equal("expert", result.agent)
    local boss = scripted{ { tool_calls = { call("expert", { task = "?" }) } }, { content = "He says 42." } }
    assert.equal("He says 42.", lm.agent{ model = boss, tools = { expert:as_tool() } }:run("?").text)
    assert.equal("42", boss.asked[2].messages[#boss.asked[2].messages].content)
  end)
  it("writes code in the sandbox", function()
    local model = scripted{ { content = "```lua\nx = add(1, 2)\nprint(x)\n```" }, { content = "```lua\nfinal_answer(add(x, 1))\n```" } }
    local result = lm.agent{ model = model, tools = { add() }, style = "code" }:run "x"
    assert.equal("4", result.text)
    assert.equal("3\n", result.steps[1].observation)
    assert.equal("add", result.steps[1].calls[1].name)
    model = scripted{ { content = "```lua\nio.open('/etc/passwd')\n```" }, { content = "```lua\nfinal_answer({a = 1})\n```" } }
    result = lm.agent{ model = model, style = "code" }:run "x"
    assert.equal('{"a":1}', result.text)
    assert.matches("nil value", result.steps[1].observation)
    model = scripted{ { content = "```lua\nprint(7)\n```" } }
    assert.equal("7", lm.agent{ model = model, style = "code" }:run("x").text)
    local same = { content = "```lua\nprint({ n = 7 })\n```" }
    model = scripted{ same, same, { content = "It is seven." } }
    assert.equal("It is seven.", lm.agent{ model = model, style = "code" }:run("x").text)
    assert.matches('{"n":7}.*plain words', model.asked[3].messages[#model.asked[3].messages].content)
    same = { content = "```lua\nno_such()\n```" }
    model = scripted{ same, same, { content = "I do not know." } }
    assert.equal("I do not know.", lm.agent{ model = model, style = "code" }:run("x").text)
    assert.falsy(require("lm.json").encode(model.asked[3].messages):find("no_such", 1, true))
  end)
  it("reasons and acts", function()
    local model = scripted{ { content = 'Thought: add\nAction: add\nAction Input: {"a": 1, "b": 2}' },
      { content = "Thought: done\nFinal Answer: 3" } }
    local result = lm.agent{ model = model, tools = { add() }, style = "react" }:run "x"
    assert.equal("3", result.text)
    assert.equal("Observation: 3", model.asked[2].messages[#model.asked[2].messages].content)
  end)
  it("remembers as much as it is told to", function()
    local model = scripted{ { content = "A" } }
    local a = lm.agent{ model = model, memory = 2 }
    for i = 1, 4 do a:run("task " .. i) end
    local seen = {}
    for i, m in ipairs(model.asked[4].messages) do seen[i] = m.content end
    assert.same({ "task 2", "A", "task 3", "A", "task 4" }, seen)
  end)
  it("sums up what was long ago", function()
    local model = scripted{ { content = "A" } }
    local turn = model.turn
    function model:turn(messages, tools, o)
      if messages[1].content:find("^Sum up") then
        self.summed = (self.summed or 0) + 1
        self.told = messages[1].content
        assert.equal(0, #tools)
        return { role = "assistant", content = " Summary " .. self.summed .. ". " }, {}
      end
      return turn(self, messages, tools, o)
    end
    local a = lm.agent{ model = model, memory = "summary" }
    for i = 1, 12 do a:run("task " .. i) end
    assert.equal(2, model.summed)
    assert.matches("Earlier: Summary 1%.", model.told)
    assert.matches("The user: task 8\nThe assistant: A", model.told)
    assert.falsy(model.told:find("task 3"))  -- in the first summary already
    local seen = {}
    for i, m in ipairs(model.asked[12].messages) do seen[i] = m.content end
    assert.same({ "What was done before, in short:\nSummary 2.", "I remember.", "task 9", "A", "task 10", "A", "task 11",
      "A", "task 12" }, seen)
    local fine, e = pcall(lm.agent, { model = model, memory = "all" })
    assert.falsy(fine)
    assert.matches("summary", e.message)
  end)
  it("goes on from its journal without calling a tool twice", function()
    local path = os.tmpname()
    os.remove(path)
    local answers = { { tool_calls = { call("add", { a = 1, b = 2 }) } }, { content = "3" } }
    local broken = scripted{ answers[1] }
    local turn = broken.turn
    function broken:turn(...)
      if #self.asked == 1 then error("killed") end
      return turn(self, ...)
    end
    local options = { journal = path }
    assert.falsy((pcall(function() lm.agent{ model = broken, tools = { add() } }:run("x", options) end)))
    assert.equal(1, counted)
    local torn = io.open(path, "ab")
    torn:write('{"kind":"answer","step":2,"mess')
    torn:close()
    local model = scripted{ answers[2] }
    assert.equal("3", lm.agent{ model = model, tools = { add() } }:run("x", options).text)
    assert.equal(1, counted)
    assert.equal(1, #model.asked)
    local untouched = scripted{ { content = "never" } }
    assert.equal("3", lm.agent{ model = untouched, tools = { add() } }:run("x", options).text)
    assert.equal(0, #untouched.asked)
    assert.falsy((pcall(function() lm.agent{ model = model }:run("another task", options) end)))
    os.remove(path)
  end)
end)
