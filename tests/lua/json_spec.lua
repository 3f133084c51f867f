local json = require("lm.json")

describe("json", function()
  it("writes sorted keys and shortest numbers", function()
    assert.equal('{"a":[1,2.5,0.1],"b":null,"c":"x\\n\\"\\u0001"}',
      json.encode({ c = 'x\n"\1', b = json.null, a = { 1, 2.5, 0.1 } }))
    assert.equal("[]", json.encode(json.array()))
    assert.equal("{}", json.encode({}))
    assert.equal('{\n  "a": [\n    1\n  ]\n}', json.encode({ a = { 1 } }, 2))
    assert.equal("-0.30000000000000004", json.encode(-(0.1 + 0.2)))
  end)

  it("reads what it wrote", function()
    local text = '{"a":[],"b":{},"c":[1,-2,1e+30,true,false,null],"d":"\195\164\240\159\152\128"}'
    assert.equal(text, json.encode(json.decode(text)))
    assert.equal("\195\164\240\159\152\128/", json.decode('"\\u00e4\\ud83d\\ude00\\/"'))
  end)

  it("refuses wrong text with line and column", function()
    local wrong = {
      ["{"] = "expected a key", ["[1,]"] = "expected a value", ["01"] = "not a number", ["[1 2]"] = "expected , or ]",
      ['{"a":1,"a":2}'] = "comes twice", ['"\\ud800"'] = "high surrogate", ['"a'] = "does not end", ["nul"] = "got \"nul\"",
      ['"\1"'] = "control character", ["1 2"] = "more text", [""] = "ends too early", ['{"a" 1}'] = "expected :",
      ["-"] = "not a number", ['"\\x"'] = "unknown escape", ["{'a':1}"] = "expected a key in quotes",
    }
    for text, part in pairs(wrong) do
      local value, message = json.decode(text)
      assert.equal(nil, value, text)
      assert.contains(part, message)
      assert.contains("line 1, column", message)
    end
    assert.contains("line 2, column 3", select(2, json.decode("[1,\n  x]")))
  end)

  it("limits depth both ways, and refuses what is not data", function()
    assert.contains("deeper than 200", select(2, json.decode(("["):rep(100000))))
    local deep = {}
    for _ = 1, 300 do deep = { deep } end
    assert.raises("deeper than 200", json.encode, deep)
    local cycle = {}
    cycle[1] = cycle
    assert.raises("contains itself", json.encode, cycle)
    assert.raises("must be finite", json.encode, 1 / 0)
    assert.raises("a function cannot", json.encode, print)
    assert.raises("keys must be strings", json.encode, { 1, nil, 3 })
  end)

  it("keeps key order, and digits that numbers cannot hold", function()
    local text = '{"b":1,"a":{"z":1,"y":2},"c":[{"2":0,"1":0}]}'
    local value = json.decode(text)
    assert.equal(text, json.encode(value))
    value.b, value.d, value.aa = nil, 1, 2
    assert.equal('{"a":{"z":1,"y":2},"c":[{"2":0,"1":0}],"aa":2,"d":1}', json.encode(value))
    assert.equal('{"b":1,"a":2,"c":3}', json.encode(json.object({ a = 2, b = 1, c = 3 }, { "b", "a", "x" })))
    for _, digits in ipairs({ "9007199254740993", "-9007199254740993", "9223372036854775807", "-9223372036854775808",
      "9223372036854775808", "18446744073709551615", "18446744073709551616", "-9223372036854775809",
      "123456789012345678901234567890", "1234567890123456" }) do
      assert.equal("[" .. digits .. "]", json.encode(json.decode("[" .. digits .. "]")))
    end
    assert.equal("number", type(json.decode("9007199254740991")))
    assert.equal(true, json.decode("9007199254740993") == 9007199254740993LL)
    assert.equal("123456789012345678901234567890", tostring(json.decode("123456789012345678901234567890")))
  end)
end)
