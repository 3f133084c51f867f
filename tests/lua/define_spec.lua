local define = require("lm.define")
local errors = require("lm.errors")
local sample = require("sample")
local make = require("shell").userdata

local function line_here() return debug.getinfo(2, "l").currentline end

describe("define", function()
  it("takes positional values, an options table, or both", function()
    assert.equal("m", sample.train("m").model)
    assert.equal(3, sample.train({ model = "m", epochs = 3 }).epochs)
    local o = sample.train("m", { epochs = 4 })
    assert.equal("m", o.model)
    assert.equal(4, o.epochs)
    assert.equal(3, sample.add(1, 2))
    assert.equal(2, sample.add(1))
  end)

  it("points at the caller's line and says all that is wrong", function()
    local line
    local e = assert.raises("2 problems", function()
      line = line_here() + 1
      sample.train({ model = "m", lr = 3, precison = "bf16" })
    end)
    assert.equal("bad_option", e.code)
    assert.matches("define_spec%.lua:" .. line .. "$", e.where)
    assert.matches('precison: unknown option, did you mean "precision"%?', e.message)
    assert.matches("help: %?sample%.train$", tostring(e))
  end)

  it("refuses a value given twice and too many values", function()
    assert.raises("given twice", sample.train, "m", { model = "n" })
    assert.raises("at most 1 value and an options table, got 2 values", sample.train, "m", "n")
    assert.raises("at most 2 values, got 3", sample.add, 1, 2, 3)
    assert.raises("required (a number) -- left", sample.add)
  end)

  it("checks across fields", function()
    assert.raises("exclude each other", sample.train, { model = "m", stream = true, on_step = print })
  end)

  it("defines methods for userdata metatables", function()
    local object = make("lm.Sample", { say = sample.say })
    assert.equal("hihi", object:say("hi", { times = 2 }))
    assert.equal("hi", object:say({ text = "hi" }))
    assert.raises("with a colon", function() return object.say("hi") end)
  end)

  it("registers by name and by value", function()
    assert.equal(define.get("sample.train"), define.get(sample.train))
    assert.equal("Sample", define.get("Sample:say").class)
    assert.equal("Trains a sample; it returns its options.", define.doc(define.get("sample.train")).summary)
    assert.equal("sample.add(a, b?)", define.signature(define.get("sample.add")))
    assert.matches("^sample%.train%(model, {epochs=, lr=, .*%.%.%.}%)$", define.signature(define.get("sample.train")))
  end)

  it("adds the option background where it is declared", function()
    assert.equal(false, sample.train("m").background)
    -- The sample is no library module, so it cannot run in a worker; library modules are covered in jobs_spec.
    assert.raises("only functions of library modules", sample.train, "m", { background = true })
  end)

  it("keeps errors of the implementation as they are", function()
    local f = define.define("sample.fail", { internal = true }, function() errors.raise("denied", "no") end)
    assert.equal("denied", assert.raises("no", f).code)
  end)

  it("returns all results", function()
    local f = define.define("sample.many", { internal = true }, function() return 1, nil, 3 end)
    assert.equal(3, select("#", f()))
  end)

  it("treats a list as a value where a list is allowed", function()
    local f = define.define("sample.list", { internal = true, positional = { "messages" }, options = {
      { name = "messages", type = "string|array", required = true, doc = "d" }, { name = "n", type = "integer", doc = "d" },
    } }, function(o) return o end)
    assert.same({ "a", "b" }, f({ "a", "b" }).messages)
    assert.same({ messages = { "a" }, n = 2 }, f({ "a" }, { n = 2 }))
    assert.same({ messages = "a", n = 2 }, f({ messages = "a", n = 2 }))
    assert.same({ messages = { "a" }, n = 2 }, f({ { "a" }, n = 2 }))
    assert.same({ messages = "a", n = 2 }, f({ "a", n = 2 }))
    assert.raises("given twice", f, { "a", messages = "b" })
    assert.raises("unexpected value without a name", f, "x", { "y", n = 2 })
    local ids = define.define("sample.ids", { internal = true, positional = { "ids" }, options = {
      { name = "ids", type = "array", required = true, doc = "d" },
    } }, function(o) return o end)
    assert.same({ ids = {} }, ids({}))
    assert.raises("required", f, {})
  end)
end)
