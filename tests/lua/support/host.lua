--- A stand-in for the C++ module lm.host under stock luajit: everything it is told is recorded, nothing is blocking.

local M = {
  version = "0.1.0", build = { commit = "test", train = false, cuda = false },
  out = {}, err = {}, width = 80, color = false, clock = 0, pending = false, jobs = {}, level = "info",
  progress_lines = {}, quit_code = nil, shell_code = 0, shell_commands = {},
}

local root = (arg and arg[0] or "tests/lua/run.lua"):match("^(.*)tests/lua/") or ""
M.root = root

function M.write(s) M.out[#M.out + 1] = s end
function M.write_err(s) M.err[#M.err + 1] = s end
function M.columns() return M.width end
function M.is_tty() return false end
function M.colors() return M.color end
function M.progress(s) M.progress_lines[#M.progress_lines + 1] = s end
function M.now() return M.clock + os.clock() end
function M.interrupt_pending() return M.pending end
function M.interrupt_clear() M.pending = false end

function M.pump()
  if M.pending then error({ code = "interrupted", message = "interrupted" }, 0) end
end

local function module_path(module)
  local path = module:gsub("%.", "/")
  local base = root .. (module:find("^recipes%.") and "lua/" or "lua/stdlib/")
  for _, candidate in ipairs({ base .. path .. ".lua", base .. path .. "/init.lua" }) do
    local file = io.open(candidate, "rb")
    if file then return file, candidate end
  end
end

function M.stdlib_source(module)
  local file, path = module_path(module)
  if not file then return nil end
  local text = file:read("*a")
  file:close()
  return text, (path:gsub("^" .. root:gsub("%p", "%%%0"), ""))
end

local function command_lines(command)
  local pipe = assert(io.popen(command))
  local lines = {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  pipe:close()
  return lines
end

function M.stdlib_list()
  if M.modules then return M.modules end
  M.modules = {}
  for _, name in ipairs(command_lines(("ls '%slua/stdlib/lm'"):format(root))) do
    local module = name:match("^(.*)%.lua$")
    if module then M.modules[#M.modules + 1] = module == "init" and "lm" or "lm." .. module end
  end
  for _, name in ipairs(command_lines(("ls '%slua/recipes'"):format(root))) do
    M.modules[#M.modules + 1] = "recipes." .. name:gsub("%.lua$", "")
  end
  return M.modules
end

function M.list_dir(path)
  local entries = {}
  for _, name in ipairs(command_lines(("ls -1Ap '%s' 2>/dev/null"):format(path))) do
    entries[#entries + 1] = { name = (name:gsub("/$", "")), dir = name:find("/$") ~= nil }
  end
  return entries
end

function M.edit(text) return M.editor and M.editor(text) or nil, "no editor" end
function M.quit(code) M.quit_code = code end

function M.shell(command)
  M.shell_commands[#M.shell_commands + 1] = command
  return M.shell_code
end

function M.job_spawn(spec)
  local id = #M.jobs + 1
  M.jobs[id] = { id = id, name = spec.name, state = "running", progress = 0, elapsed_s = 0, spec = spec }
  return id
end

--- Runs a spawned job to its end, in this very state.
function M.run_job(id)
  local job = M.jobs[id]
  local f = job.spec.module and require(job.spec.module)[job.spec.fn] or assert(loadstring(job.spec.source, "=job"))
  local results = { pcall(f, unpack(job.spec.args, 1, #job.spec.args)) }
  job.state = results[1] and "done" or "failed"
  job.results = results
  if not results[1] then job.error = tostring(results[2]) end
end

function M.job_info(id) return M.jobs[id] end
function M.job_list() return M.jobs end
function M.job_stop(id) M.jobs[id].state = "interrupted" end

function M.job_wait(id)
  if M.jobs[id].state == "running" and not M.stuck then M.run_job(id) end
  return M.jobs[id].state
end

function M.job_result(id)
  local job = M.jobs[id]
  if not job.results or not job.results[1] then return nil, job.results and job.results[2] or job.state end
  return unpack(job.results, 2, #job.results)
end

function M.job_progress(fraction, message) M.last_progress = { fraction, message } end

function M.log_level(name)
  local previous = M.level
  M.level = name
  return previous
end

function M.mem() return { rss = 64 * 2 ^ 20, lua = 2 ^ 20, handles = { { type = "lm.Model", count = 1, bytes = 2 ^ 28 } } } end

--- Returns and empties what was written.
function M.take()
  local out, err = table.concat(M.out), table.concat(M.err)
  M.out, M.err = {}, {}
  return out, err
end

return M
