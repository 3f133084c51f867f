std = "luajit"
max_line_length = 120
-- The root table exists wherever the shell or a script runs.
read_globals = { "lm" }
files["tests/lua"] = { std = "luajit+busted", max_line_length = 140 }
-- Generated types for editors, and inputs that must not compile.
exclude_files = { "lua/lmfast.d.lua", "tests/lua/bad/*" }
