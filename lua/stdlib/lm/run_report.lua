--- The report of a training run: one HTML page that needs nothing else.

local chart = require("lm.svg_chart")
local define = require("lm.define")
local errors = require("lm.errors")
local files = require("lm.engine.files")
local history = require("lm.train_history")
local json = require("lm.json")
local text = require("lm.text")

local M = {}

local STYLE = [[
:root { --ink: #1c2330; --dim: #667085; --line: #e3e7ee; --page: #fff; --one: #2563eb; --two: #d9480f;
  --soft: #a9c3f7 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ef; --dim: #98a2b3; --line: #2b3342; --page: #12161f; --one: #6ea8fe; --two: #ff9f6b;
    --soft: #34507f }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 760px;
  margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem; margin-bottom: 0 } h2 { font-size: 1.05rem; margin: 1.8rem 0 .3rem }
p.dim, .key { color: var(--dim) }
svg { width: 100%; height: auto } svg text { font-size: 11px; fill: var(--dim) } .grid { stroke: var(--line) }
polyline { fill: none; stroke-width: 1.8 } circle.two { fill: var(--two) }
.one { stroke: var(--one) } .two { stroke: var(--two) } .soft { stroke: var(--soft) }
.key b.one { color: var(--one) } .key b.two { color: var(--two) } .key b.soft { color: var(--soft) }
table { border-collapse: collapse; width: 100% }
td { border-bottom: 1px solid var(--line); padding: .2rem .6rem .2rem 0; vertical-align: top; overflow-wrap: anywhere }
td:first-child { white-space: nowrap; color: var(--dim) }
]]

local function read_json(path)
  local file = io.open(path, "rb")
  if not file then return {} end
  local ok, value = pcall(json.decode, file:read("*a"))
  file:close()
  return ok and type(value) == "table" and value or {}
end

local function column(records, key)
  local points = {}
  for _, record in ipairs(records) do points[#points + 1] = { record.step, record[key] } end
  return points
end

-- A mean that follows slowly: single steps jump too much to be read.
local function smoothed(points)
  local out, mean, weight = {}, 0, 0
  local keep = #points < 20 and 0 or 1 - 1 / math.max(5, math.min(50, #points / 40))
  for i, point in ipairs(points) do
    if type(point[2]) ~= "number" then return {} end
    mean, weight = keep * mean + (1 - keep) * point[2], keep * weight + 1 - keep
    out[i] = { point[1], mean / weight }
  end
  return out
end

local function figure(title, key, svg)
  if not svg then return "" end
  return ('<h2>%s</h2>\n<p class="key">%s</p>\n%s\n'):format(title, key, svg)
end

local function show(value)
  if type(value) ~= "table" then return tostring(value) end
  if #value > 0 or next(value) == nil then
    local parts = {}
    for i, item in ipairs(value) do parts[i] = show(item) end
    return table.concat(parts, ", ")
  end
  local parts = {}
  for _, key in ipairs(text.sorted_keys(value)) do parts[#parts + 1] = key .. " = " .. show(value[key]) end
  return table.concat(parts, ", ")
end

local function rows_of(pairs_list)
  local out = {}
  for _, row in ipairs(pairs_list) do
    local value = row[2] ~= nil and row[2] ~= "" and show(row[2]) or nil
    if value and value ~= "" then
      out[#out + 1] = ("<tr><td>%s</td><td>%s</td></tr>"):format(chart.escape(row[1]), chart.escape(value))
    end
  end
  return "<table>\n" .. table.concat(out, "\n") .. "\n</table>\n"
end

local function sorted_rows(values)
  local out = {}
  for _, key in ipairs(text.sorted_keys(values)) do out[#out + 1] = { key, values[key] } end
  return rows_of(out)
end

local function summary(steps, evals)
  local last, best = steps[#steps], nil
  for _, e in ipairs(evals) do
    if not best or e.loss < best.loss then best = e end
  end
  local seconds = 0
  for i, record in ipairs(steps) do
    local tokens = record.tokens - (i > 1 and steps[i - 1].tokens or 0)
    seconds = seconds + tokens / math.max(record.tokens_per_s, 1e-9)
  end
  return rows_of({
    { "steps", last.step }, { "epochs", ("%.2f"):format(last.epoch) },
    { "loss", ("%.4f (%.4f at the first step)"):format(last.loss, steps[1].loss) },
    { "evaluation", best and ("best %.4f at step %d, last %.4f"):format(best.loss, best.step, evals[#evals].loss) },
    { "tokens", text.count(last.tokens) }, { "time in steps", text.seconds(seconds) },
    { "tokens/s", ("%.0f"):format(last.tokens / math.max(seconds, 1e-9)) },
    { "memory at most", text.bytes(last.memory or 0) },
  })
end

--- Writes the page of a run so far.
--- @param folder string
--- @return string html
function M.page(folder)
  local steps, evals = {}, {}
  for _, record in ipairs(history.read(folder)) do
    if record.kind == "step" then steps[#steps + 1] = record end
    if record.kind == "eval" then evals[#evals + 1] = record end
  end
  local options, data = read_json(folder .. "/options.json"), read_json(folder .. "/data.json")
  local out = { '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
    ("<title>%s</title>\n<style>\n%s</style>\n</head>\n<body>\n"):format(chart.escape(folder), STYLE),
    ('<h1>%s</h1>\n<p class="dim">%s</p>\n'):format(chart.escape(folder:match("([^/]+)/*$") or folder),
      chart.escape(options.model_name or options.model or "")) }
  if #steps == 0 then
    out[#out + 1] = "<p>No steps yet.</p>\n"
  else
    local loss = column(steps, "loss")
    out[#out + 1] = summary(steps, evals)
    out[#out + 1] = figure("Loss", '<b class="soft">each step</b>, <b class="one">smoothed</b>'
      .. (#evals > 0 and ', <b class="two">evaluation</b>' or ""), chart.lines({
        { class = "soft", points = loss }, { class = "one", points = smoothed(loss) },
        { class = "two", points = column(evals, "loss"), dots = true } }))
    for _, f in ipairs({ { "Learning rate", "learning_rate" }, { "Length of the gradient", "grad_norm" },
      { "Tokens per second", "tokens_per_s" } }) do
      out[#out + 1] = figure(f[1], "by step", chart.lines({ { class = "one", points = column(steps, f[2]) } },
        { from_zero = true }))
    end
  end
  out[#out + 1] = "<h2>Data</h2>\n" .. sorted_rows(data)
  out[#out + 1] = "<h2>Options</h2>\n" .. sorted_rows(options) .. "</body>\n</html>\n"
  return table.concat(out)
end

--- Writes the report of a run to report.html in its folder.
--- @param folder string
--- @return string path
function M.write(folder)
  local path = folder .. "/report.html"
  files.replace(path, M.page(folder))
  return path
end

--- Writes the report of a training run, `report.html` in its folder, and returns its path: curves of loss, evaluation,
--- learning rate, gradient and speed, what the data were, and all options. The page needs nothing else. A run writes it
--- when it ends; during a run, and after one that was cut off, this does.
--- ```lua norun
--- lm.report "runs/2026-11-25-101500-smollm2"
--- ```
M.report = define("lm.report", {
  positional = { "run" },
  options = { { name = "run", type = "string", required = true, min = 1, kind = "file", doc = "folder of the run" } },
  returns = "string",
}, function(o)
  local file = io.open(o.run .. "/options.json", "rb")
  if not file then
    errors.raise("not_found", ("lm.report: %s is not the folder of a run; it has no options.json"):format(
      text.quote(o.run)), { help = "lm.report" })
  end
  file:close()
  return M.write(o.run)
end)

return M
