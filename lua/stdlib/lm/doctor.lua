--- The machine check: what this machine can do, which libraries are there, what to install.

local define = require("lm.define")
local host = require("lm.host")
local machine = require("lm.engine.machine")
local models = require("lm.models")
local text = require("lm.text")

local M = {}

--- Reads the list of dependencies: rows with `purpose`, `package`, `check` and `need`.
--- @return table[]
function M.dependencies()
  local rows = {}
  for _, line in ipairs(text.lines(machine.dependencies())) do
    local purpose, package, check, need = line:match("^([^#\t][^\t]*)\t([^\t]+)\t([^\t]+)\t([^\t]+)$")
    if purpose then rows[#rows + 1] = { purpose = purpose, package = package, check = check, need = need } end
  end
  return rows
end

local function in_path(program)
  for folder in (os.getenv("PATH") or ""):gmatch("[^:]+") do
    if models.exists(folder .. "/" .. program) then return true end
  end
  return false
end

local checks = {
  cmd = in_path,
  header = function(path)
    return models.exists("/usr/include/" .. path) or models.exists("/usr/local/include/" .. path)
  end,
  file = models.exists,
  python = function() return in_path("python3") end,
}

local function is_installed(row)
  local kind, what = row.check:match("^(%w+):(.+)$")
  return checks[kind] ~= nil and checks[kind](what)
end

local function torch_report(seconds)
  local ok, info = pcall(machine.torch)
  if not ok then return { available = false, reason = tostring(info) } end
  return { available = true, version = info.version, threads = info.threads, cuda = info.cuda,
    matmul_gflops = machine.torch_matmul(1024, seconds) }
end

-- What the GPU library sees; without it, what the driver says.
local function gpu_report(seen)
  local ok, list = pcall(machine.gpus)
  if not ok then
    return seen and seen .. "; liblmfast_cuda.so is not built (cmake --preset cuda)" or "none found"
  end
  if #list == 0 then return "none that CUDA can use" end
  local lines = {}
  for i, gpu in ipairs(list) do
    lines[i] = ("%s, compute %s, %d multiprocessors, %s of %s free, %.0f GB/s copied; no model runs on it yet"):format(
      gpu.name, gpu.capability, gpu.multiprocessors, text.bytes(gpu.free_bytes), text.bytes(gpu.memory_bytes),
      gpu.copy_bandwidth / 1e9)
  end
  return table.concat(lines, "; "), list
end

local function models_report()
  local rows = {}
  for _, row in ipairs(models.models()) do
    if row.on_machine then rows[#rows + 1] = row.name end
  end
  return rows
end

-- Decode speed of the current model, or of the first one when it is here; nil when there is none.
local function decode_report(bandwidth)
  local ok, result = pcall(function()
    local bench = require("lm.bench")
    return bench.bench{ prompt = 64, generate = 32, runs = 3 }
  end)
  if not ok then return nil end
  return { model = result.model, tokens_per_s = result.decode_best,
    share = result.decode_best * result.bytes_per_step / bandwidth }
end

local meta = {}

local function line(name, value)
  return ("%-10s %s"):format(name, value)
end

function meta.__tostring(r)
  local out = {
    line("cpu", ("%s, %d cores, %s (kernels: %s, %d threads)"):format(r.cpu, r.cores, r.features, r.kernels,
      r.threads)),
    line("memory", ("%s, %s free"):format(text.bytes(r.memory_bytes), text.bytes(r.free_bytes))),
    line("bandwidth", ("%.1f GB/s read by all threads"):format(r.bandwidth / 1e9)),
    line("gpu", r.gpu),
  }
  if r.decode then
    out[#out + 1] = line("decode", ("%.0f tok/s, %.0f %% of the memory bandwidth  (%s)"):format(r.decode.tokens_per_s,
      r.decode.share * 100, r.decode.model))
  end
  if r.torch.available then
    out[#out + 1] = line("libtorch", ("%s, %d threads, %.0f GFLOP/s in a 1024 matmul%s"):format(r.torch.version,
      r.torch.threads,
      r.torch.matmul_gflops, r.torch.cuda and ", CUDA" or ""))
  else
    out[#out + 1] = line("libtorch", "not available: " .. r.torch.reason)
  end
  out[#out + 1] = line("models", #r.models > 0 and table.concat(r.models, ", ")
    or "none; scripts/lmfast.sh fetches the first")
  if #r.missing > 0 then
    out[#out + 1] = line("missing", table.concat(r.missing, ", "))
    out[#out + 1] = line("", "apt-get install " .. table.concat(r.missing, " "))
  else
    out[#out + 1] = line("packages", "all of scripts/dependencies.tsv are installed")
  end
  return table.concat(out, "\n")
end

--- Checks the machine: processor, memory and its bandwidth, how much of it decode reaches, GPU, libtorch, models,
--- packages.
---
--- Takes about two seconds: bandwidth, a matrix product of libtorch and the decode speed of the current model are
--- measured. The result prints as a report and has the same facts as fields.
--- ```lua
--- lm.doctor()
--- ```
M.doctor = define("lm.doctor", {
  options = {
    { name = "seconds", type = "number", default = 0.3, min = 0.01, max = 60, doc = "seconds for each measurement" },
    { name = "torch", type = "boolean", default = true, doc = "open libtorch and measure it" },
    { name = "decode", type = "boolean", default = true, doc = "measure the decode speed of the current model" },
  },
  returns = "table",
}, function(o)
  local r = machine.info()
  host.progress("measuring memory")
  r.bandwidth = machine.read_bandwidth(o.seconds)
  r.gpu, r.gpus = gpu_report(r.gpu)
  if o.torch then host.progress("opening libtorch") end
  r.torch = o.torch and torch_report(o.seconds) or { available = false, reason = "not asked" }
  r.decode = o.decode and decode_report(r.bandwidth) or nil
  host.progress("")
  r.models = models_report()
  r.missing = {}
  for _, row in ipairs(M.dependencies()) do
    if row.need ~= "check" and row.need ~= "test"
      and not is_installed(row) then r.missing[#r.missing + 1] = row.package end
  end
  return setmetatable(r, meta)
end)

return M
