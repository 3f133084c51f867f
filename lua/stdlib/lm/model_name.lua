--- What the name of a model can mean: a repository of the Hub, a file of a Python package, an address, a path.

local M = {}

-- A part of "org/name": as the Hub allows it.
local PART = "[%w][%w%._%-]*"

local function parse_hub(name)
  local id, rest = name:match("^(" .. PART .. "/" .. PART .. ")(.*)$")
  if not id or id:find("..", 1, true) or id:find("--", 1, true) then return nil end
  local revision, tail = rest:match("^@([^:]+)(.*)$")
  tail = tail or rest
  local quant = tail:match("^:([%w%._%-]+)$")
  if tail ~= "" and not quant then return nil end
  return { kind = "hub", id = id, revision = revision or "main", has_revision = revision ~= nil, quant = quant }
end

local function parse_package(name)
  local package, version, member = name:match("^pypi:([%w][%w%._%-]*)==([%w][%w%.%+!_%-]*)/(.+)$")
  return package and { kind = "pypi", package = package, version = version, member = member }
end

--- Parses a name; `kind` is one of:
---   hub    `org/name`, `org/name@revision`, `org/name:Q4_K_M` (also with `hub:` before it): id, revision, quant
---   pypi   `pypi:package==version/path/in/wheel`: package, version, member
---   url    `https://host/file`: url
---   other  anything else: a path or a name of the catalogue
--- @param name string
--- @return table
function M.parse(name)
  if name:find("^https?://") then return { kind = "url", url = name } end
  if name:find("^pypi:") then return parse_package(name) or { kind = "other" } end
  return parse_hub((name:gsub("^hub:", ""))) or { kind = "other" }
end

return M
