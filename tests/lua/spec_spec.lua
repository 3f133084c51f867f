local spec = require("lm.spec")

-- Runs a spec text of its own and returns its output and counts.
local function run(code, o)
  local path = os.tmpname() .. "_spec.lua"
  local file = io.open(path, "w")
  file:write(code)
  file:close()
  local out = {}
  o = o or {}
  o.write = function(s) out[#out + 1] = s end
  local state = spec.new(o)
  spec.file(state, path)
  local code_of_exit = spec.finish(state)
  os.remove(path)
  return table.concat(out), code_of_exit, path
end

describe("spec", function()
  it("counts, and prints the failing path with file and line", function()
    local out, code, path = run([[
      describe("outer", function()
        describe("inner", function()
          it("works", function() assert.equal(1, 1) end)
          it("fails", function() assert.equal(1, 2) end)
          it("waits", function() pending("no network") end)
          it("crashes", function() local x = nil; return x.y end)
        end)
      end)]])
    assert.equal(1, code)
    assert.contains("FAIL outer > inner > fails\n  " .. path .. ":4: expected 1, got 2\n", out)
    assert.contains("SKIP outer > inner > waits: no network\n", out)
    assert.contains("attempt to index local 'x'", out)
    assert.matches("1 passed, 2 failed, 1 skipped\n$", out)
  end)

  it("runs before_each of all groups, outermost first, and after_each", function()
    local out = run([[
      local order = {}
      describe("a", function()
        before_each(function() order[#order + 1] = "a" end)
        describe("b", function()
          before_each(function() order[#order + 1] = "b" end)
          after_each(function() order[#order + 1] = "z" end)
          it("one", function() assert.same({ "a", "b" }, order) end)
          it("two", function() assert.same({ "a", "b", "z", "a", "b" }, order) end)
        end)
        it("three", function() assert.equal(7, #order) end)
      end)]])
    assert.matches("3 passed, 0 failed", out)
  end)

  it("filters by tags and by text", function()
    local code = [[it("quick", function() end) it("slow one #slow", function() error("x") end)]]
    assert.matches("0 passed, 1 failed", (run(code, { tags = "slow" })))
    assert.matches("1 passed, 0 failed", (run(code, { filter = "quick" })))
  end)

  it("reports files that do not compile, groups that raise, and leaking globals", function()
    assert.matches("0 passed, 1 failed", (run("x = = 1")))
    assert.matches("FAIL g\n.*0 passed, 1 failed", (run("describe('g', function() error('no') end)")))
    assert.contains("must not set the global leak", (run("leak = 1")))
  end)

  it("compares", function()
    assert.same({ a = { 1, { 2 } } }, { a = { 1, { 2 } } })
    assert.raises("expected {1}", function() assert.same({ 1 }, { 2 }) end)
    assert.raises("expected", function() assert.same({ 1 }, { 1, 2 }) end)
    assert.near(1, 1.0001, 1e-3)
    assert.raises("+-", function() assert.near(1, 0 / 0, 1) end)
    assert.raises("there was none", function() assert.raises("x", function() end) end)
    assert.raises("containing \"x\"", function() assert.raises("x", error, "y") end)
    assert.raises("matching", function() assert.matches("^b", "abc") end)
    assert.raises("true value", function() assert.truthy(nil) end)
    assert.equal(3, assert(3))
  end)
end)
