-- Charts and reports of training runs.
local chart = require("lm.svg_chart")

describe("svg_chart", function()
  it("draws lines between round numbers and leaves out what is no number", function()
    assert.same({ 0, 2, 4, 6, 8, 10 }, chart.ticks(0, 10, 5))
    assert.same({ -1, -0.5, 0, 0.5 }, chart.ticks(-1.2, 0.7, 4))
    local svg = chart.lines({ { class = "one", points = { { 1, 4 }, { 2, 0 / 0 }, { 3, 2 } } } })
    -- The range of both axes ends at the first and last point.
    assert.contains('<polyline class="one" points="64.0,12.0 708.0,192.0"/>', svg)
    assert.equal(nil, chart.lines({ { class = "one", points = {} } }))
    assert.equal("a&lt;b&gt; &amp;&quot;", chart.escape('a<b> &"'))
    local many = {}
    for i = 1, 5000 do many[i] = { i, i } end
    local _, commas = chart.lines({ { class = "one", points = many } }):match("points=\"([^\"]+)\""):gsub(",", "")
    assert.equal(600, commas)
  end)
end)

describe("lm.report", function()
  local ok, report = pcall(require, "lm.run_report")
  if not ok then
    pending("needs the engine")
    return
  end

  it("writes one page with curves, data and options", function()
    local folder = os.tmpname()
    os.remove(folder)
    os.execute("mkdir -p " .. folder)
    local function put(name, content)
      local file = assert(io.open(folder .. "/" .. name, "w"))
      file:write(content)
      file:close()
    end
    put("options.json", '{"model_name": "<m>", "learning_rate": 0.001, "lora": {"rank": 4}}')
    put("data.json", '{"rows": 7, "format": "text"}')
    put("history.jsonl", table.concat({
      '{"kind":"step","step":1,"loss":3.5,"learning_rate":0.1,"grad_norm":2,"tokens":10,"tokens_per_s":5,"epoch":0.5}',
      '{"kind":"step","step":2,"loss":2.5,"learning_rate":0.05,"grad_norm":1,"tokens":20,"tokens_per_s":5,"epoch":1}',
      '{"kind":"eval","step":2,"loss":2.75}' }, "\n"))
    local path = require("lm").report(folder)
    assert.equal(folder .. "/report.html", path)
    local file = assert(io.open(path))
    local page = file:read("*a")
    file:close()
    for _, part in ipairs({ "&lt;m&gt;", "2.5000 (3.5000 at the first step)", "best 2.7500 at step 2", "4.0 s",
      "<td>lora</td><td>rank = 4</td>", "<td>rows</td><td>7</td>", "Length of the gradient" }) do
      assert.contains(part, page)
    end
    assert.falsy(page:find("http", 1, true), "the page asks for nothing else")
    put("history.jsonl", "")
    assert.contains("No steps yet", report.page(folder))
    os.execute("rm -r " .. folder)
    assert.raises("is not the folder of a run", require("lm").report, "no/such/run")
  end)
end)
