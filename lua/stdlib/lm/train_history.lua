--- The history of a training run: records of `history.jsonl`, the curve of its loss, and what a job shows of its run.

local host = require("lm.host")
local json = require("lm.json")
local text = require("lm.text")

local M = {}

--- Reads the records of a run; empty before the first step. A last line that is cut off is left out.
--- @param folder string
--- @return table[] records  `{kind, step, epoch, loss, ...}` as the file has them
function M.read(folder)
  local records = {}
  local file = io.open(folder .. "/history.jsonl", "rb")
  if not file then return records end
  for line in file:lines() do
    local ok, record = pcall(json.decode, line)
    if ok and type(record) == "table" then records[#records + 1] = record end
  end
  file:close()
  return records
end

--- Returns the newest record of a kind.
--- @param folder string
--- @param kind string  "step", "eval" or "save"
--- @return table? record
function M.last(folder, kind)
  local records = M.read(folder)
  for i = #records, 1, -1 do
    if records[i].kind == kind then return records[i] end
  end
end

-- Means of `values` over `columns` equal stretches.
local function squeeze(values, columns)
  if #values <= columns then return values end
  local out = {}
  for c = 1, columns do
    local from, to = math.floor((c - 1) * #values / columns) + 1, math.floor(c * #values / columns)
    local sum = 0
    for i = from, to do sum = sum + values[i] end
    out[c] = sum / (to - from + 1)
  end
  return out
end

-- Braille-free blocks: the eighths of a cell that a value fills.
local blocks = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" }

local function row_of(values, low, span, row, rows)
  local cells = {}
  for i, value in ipairs(values) do
    local filled = (value - low) / span * rows - (row - 1)
    cells[i] = blocks[math.floor(math.max(0, math.min(1, filled)) * 8 + 0.5) + 1]
  end
  return table.concat(cells)
end

--- Draws a curve with its highest and lowest value beside it.
--- @param values number[]
--- @param columns integer  width in all
--- @param rows integer
--- @return string
function M.curve(values, columns, rows)
  if #values == 0 then return "no steps yet" end
  local points = squeeze(values, math.max(10, columns - 10))
  local low, high = math.huge, -math.huge
  for _, value in ipairs(points) do low, high = math.min(low, value), math.max(high, value) end
  local lines = {}
  for row = rows, 1, -1 do
    local label = row == rows and ("%.4f"):format(high) or row == 1 and ("%.4f"):format(low) or ""
    -- The lowest point stays visible: the curve begins an eighth above the bottom.
    lines[#lines + 1] = text.pad(label, 9, true) .. " " .. row_of(points, low - (high - low) / (8 * rows) - 1e-12,
      (high - low) * (1 + 1 / (8 * rows)) + 1e-12, row, rows)
  end
  return table.concat(lines, "\n")
end

--- Draws the loss of a run so far.
--- @param folder string
function M.plot(folder)
  local losses, last = {}, nil
  for _, record in ipairs(M.read(folder)) do
    if record.kind == "step" then losses[#losses + 1], last = record.loss, record end
  end
  host.write(M.curve(losses, math.min(host.columns(), 80), 8) .. "\n")
  if last then host.write(("%10sloss to step %d, now %.4f\n"):format("", last.step, last.loss)) end
end

local from_step = { step = true, loss = true, grad_norm = true, learning_rate = true, tokens_per_s = true,
  memory = true, accuracy = true, entropy = true, epoch = true, tokens = true }

--- What a job of lm.train has beyond every job's fields: the newest step's numbers (`job.loss`), `output`,
--- `eval_loss`, `job:history()`, `job:plot()`, and `job:report()`, which writes report.html and returns its path.
--- @param options table  of the run
--- @param key string
--- @return any
function M.of_job(options, key)
  local folder = options.output
  if key == "output" then return folder end
  if key == "history" then return function() return M.read(folder) end end
  if key == "report" then return function() return require("lm.run_report").write(folder) end end
  if key == "plot" then return function() M.plot(folder) end end
  local record
  if key == "eval_loss" then
    record, key = M.last(folder, "eval"), "loss"
  elseif from_step[key] then
    record = M.last(folder, "step")
  end
  return record and record[key]
end

return M
