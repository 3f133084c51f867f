--- The name under which scripts load the root table: `local lm = require "lmfast"`.
return require("lm")
