local define = require("lm.define")
local host = require("lm.host")
local jobs = require("lm.jobs")
local lm = require("lm")
local shell = require("shell")

-- These read what was written and steer jobs and Ctrl-C; the real host is tested over a pty.
if not require("lm.host").take then pending("needs the stand-in host") end

-- Stands for a library module with a background function: define sees a stdlib chunk name.
local function library_function(seen)
  local chunk = assert(loadstring([[
    local define, seen = ...
    local M = {}
    M.slow = define("lm.slow", { positional = { "n" }, background = true, options = {
      { name = "n", type = "integer", default = 1, doc = "a number" } } },
      function(o) seen.o = o return o.n * 2 end)
    return M]], (debug.getinfo(define.define, "S").source:gsub("define", "slow"))))
  local module = chunk(define, seen)
  package.loaded["lm.slow"] = module
  return module.slow
end

describe("jobs", function()
  before_each(function() host.jobs, host.stuck = {}, false end)

  it("runs functions without upvalues by their source", function()
    local job = lm.start(function(a, b) return a + b, "x" end, 2, 3)
    assert.equal("running", job.state)
    local sum, x = job:result()
    assert.equal(5, sum)
    assert.equal("x", x)
    assert.equal("done", job.state)
    assert.equal("Job 1  job  done", tostring(job))
  end)

  it("runs source text", function()
    assert.equal(3, lm.start("local a = ... return a + 1", 2):result())
    assert.raises("does not compile", lm.start, "return = 1")
  end)

  it("picks the right one of several functions on a line", function()
    local f, g = function() return 1 end, function() return 2 end
    assert.equal("function() return 2 end", jobs.source_text(g))
    assert.equal("function() return 1 end", jobs.source_text(f))
  end)

  it("runs named functions typed at the prompt", function()
    shell.type("function triple(n)\n  if n then return 3 * n end\nend")
    assert.equal(12, lm.start(require("lm.env").get("triple"), 4):result())
  end)

  it("refuses what cannot travel, with advice", function()
    local outer = 1
    local e = assert.raises("uses `outer` from outside", lm.start, function() return outer end)
    assert.contains("pass values as arguments", e.hint)
    assert.raises("source text of the function is not known", lm.start, loadstring("return 1", "=gone"))
    assert.raises("argument 1.f is a function", lm.start, "return 1", { f = print })
  end)

  it("reports failures, stops and unknown ids", function()
    local job = lm.start("error('bad')")
    assert.raises("bad", function() job:result() end)
    assert.equal("failed", job.state)
    job = lm.start("return 1")
    assert.equal("interrupted", job:stop():wait())
    assert.raises("interrupted", function() job:result() end)
    assert.raises("there is no job 99", lm.job, 99)
    assert.equal(job, lm.job(2))
  end)

  it("waits with a limit and passes Ctrl-C on", function()
    host.stuck = true
    local job = lm.start("return 1")
    assert.equal("running", job:wait(0.01))
    host.pending = true
    assert.raises("interrupted", function() job:wait() end)
    host.pending = false
  end)

  it("lists jobs and writes the status line", function()
    assert.equal("no jobs", tostring(lm.jobs()))
    assert.equal("", lm.status_line())
    host.job_spawn({ name = "train" })
    host.jobs[1].progress, host.jobs[1].eta_s, host.jobs[1].message = 0.24, 72, "loss 1.93"
    assert.equal("[1] train  running  24%  loss 1.93  eta 01:12", lm.status_line(80))
    assert.equal("[1] train  r...", lm.status_line(15))
    assert.matches("id  name   state    progress  eta_s  message\n 1  train  running      0%.24     72  loss 1%.93", tostring(lm.jobs()))
    assert.same({ "job 1 (train)" }, jobs.running())
  end)

  it("runs defined functions in the background", function()
    local seen = {}
    local slow = library_function(seen)
    local job = slow(21, { background = true })
    assert.equal("lm.slow", job.name)
    assert.equal("lm.jobs", host.jobs[1].spec.module)
    assert.equal("run_defined", host.jobs[1].spec.fn)
    assert.equal(42, job:result())
    assert.same({ n = 21 }, seen.o)
    assert.equal(42, slow(21))
    package.loaded["lm.slow"] = nil
    define.remove("lm.slow")
  end)
end)
