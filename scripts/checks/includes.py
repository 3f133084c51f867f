#!/usr/bin/env python3
"""Checks who includes whom (the layers of the design): prints each forbidden include; exit code 1 when there is one.

Usage: scripts/checks/includes.py [SOURCE-FOLDER]      (default: src)
"""

import os
import re
import sys

# Layer -> the layers it may include, beside itself. A file's layer is the longest of these names its path begins with.
# Headers of engine/api may be included by everybody.
_CORE = ["engine/core"]
_FORMATS = _CORE + ["engine/formats"]
_MODELS = _FORMATS + ["engine/text", "engine/kernels", "engine/models"]
_CAPABILITIES = ["engine/infer", "engine/train", "engine/quant", "engine/export", "engine/eval", "engine/data", "engine/retrieve"]
_ENGINE = _MODELS + _CAPABILITIES + ["engine/api"]
_PLAIN_RUNTIME = ["runtime"]  # the pieces without Lua
_ABOVE = _ENGINE + _PLAIN_RUNTIME
LAYERS = {
    "engine/core": [],
    "engine/formats": _CORE,
    "engine/text": _FORMATS,
    "engine/kernels": _CORE,
    "engine/net": _CORE,
    "engine/hub": _FORMATS + ["engine/text"],
    "engine/models": _MODELS,
    "engine/infer": _MODELS,
    "engine/train": _MODELS + ["engine/data", "engine/infer", "engine/export", "engine/quant"],  # rollouts and teachers run on the inference engine
    "engine/quant": _MODELS + ["engine/data", "engine/infer"],  # calibration
    "engine/export": _MODELS + ["engine/quant"],
    "engine/eval": _MODELS + ["engine/data", "engine/infer"],
    "engine/data": _MODELS,
    "engine/retrieve": _MODELS + ["engine/infer"],
    "engine/api": _ENGINE,
    "engine/serve": _ABOVE + ["agents"],
    "agents": _ABOVE,
    "mcp": _ABOVE + ["agents"],
    "bindings": _ABOVE + ["agents", "mcp", "engine/serve"],
    "runtime": _CORE + ["engine/text"],
    # The top of the process: it owns the Lua states and starts everything.
    "runtime/main": _ABOVE + ["bindings", "agents", "mcp", "engine/serve"],
    "runtime/commands": _ABOVE + ["bindings", "runtime/lua_state", "runtime/repl"],
    "runtime/repl": _ABOVE + ["bindings", "runtime/lua_state"],
    "runtime/lua_state": _ABOVE + ["bindings"],
    "runtime/worker_state": _ABOVE + ["bindings", "runtime/lua_state"],
}
# Headers of other projects -> the paths (regular expressions) that may include them.
FOREIGN = {
    r"lua\.hpp|lauxlib\.h|lualib\.h|lua\.h|luajit\.h": r"bindings/|runtime/(lua_state|repl|worker_state)\.",
    r"(torch|ATen|c10)/": r"engine/train/",
    r"nlohmann/json\.hpp": r".*\.cpp$",
    r"cuda|cublas": r"engine/kernels/cuda/|engine/train/",
}
HTTPLIB_FILES = 2  # httplib.h takes seconds to compile

INCLUDE = re.compile(r'\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')


def layer_of(path):
    known = [name for name in LAYERS if re.match(re.escape(name) + r"(/|\.|$)", path)]
    return max(known, key=len, default=None)


def problem(path, own, foreign):
    """Says what is wrong with the include of `own` ("...") or `foreign` (<...>) in `path`, or nothing."""
    if foreign:
        for header, allowed in FOREIGN.items():
            if re.match(header, foreign) and not re.match(allowed, path):
                return f"<{foreign}> is only for {allowed}"
        return None
    me, other = layer_of(path), layer_of(own)
    if me is None:
        return "belongs to no layer of scripts/checks/includes.py"
    if other is None:
        return f'"{own}" is below no layer; includes start at src/'
    if other in (me, "engine/api") or other in LAYERS[me]:
        return None
    return f'{me} may not include "{own}" ({other})'


def sources(root):
    for folder, _, names in os.walk(root):
        for name in names:
            if name.endswith((".h", ".cpp", ".inc", ".cu", ".cuh")):
                yield os.path.join(folder, name)


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else "src"
    problems, httplib = [], set()
    for file in sorted(sources(root)):
        path = os.path.relpath(file, root)
        with open(file, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                found = INCLUDE.match(line)
                if not found:
                    continue
                if found.group(2) == "httplib.h":
                    httplib.add(path)
                what = problem(path, *found.groups())
                if what:
                    problems.append(f"{file}:{number}: {what}")
    if len(httplib) > HTTPLIB_FILES:
        problems.append(f"<httplib.h> is included by {len(httplib)} files, more than {HTTPLIB_FILES}: {', '.join(sorted(httplib))}")
    print("\n".join(problems) or "includes: fine")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
