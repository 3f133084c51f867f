--- Questions to SQLite databases below allowed folders: reading only.

local engine = require("lm.engine.files")
local json = require("lm.json")
local roots = require("lm.tools.roots")

local M = {}

--- @param config table  {roots = {"."}, database = the only one, max_rows = 100, seconds = 5}
--- @return table tool
function M.make(config)
  local resolve = roots.below(config.roots or { config.database and config.database:match("^(.*)/") or "." })
  local only = config.database and resolve(config.database:match("[^/]+$"), true)
  local properties = {
    query = { type = "string", minLength = 1, description = "one SELECT statement; ? stands for a parameter" },
    parameters = { type = "array", items = { type = json.array{ "string", "number", "boolean", "null" } },
      description = "values for each ?" },
    database = not only and { type = "string", description = "the database's file" } or nil,
  }
  return {
    name = "sqlite", permissions = { "files" }, timeout = (config.seconds or 5) + 5,
    doc = "Reads an SQLite database. The tables: SELECT name, sql FROM sqlite_schema.",
    params = { type = "object", additionalProperties = false, properties = properties,
      required = only and json.array{ "query" } or json.array{ "query", "database" } },
    run = function(o)
      local parameters = {}
      for i, value in ipairs(o.parameters or {}) do parameters[i] = json.encode(value) end
      return json.decode(engine.sqlite{ path = only or resolve(o.database, true), sql = o.query,
        parameters = parameters, max_rows = config.max_rows or 100, seconds = config.seconds or 5 })
    end,
  }
end

return M
