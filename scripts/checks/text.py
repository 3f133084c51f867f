#!/usr/bin/env python3
"""Checks file sizes and forbidden patterns in the files git knows. Exit code 1 when something is refused.

Usage: scripts/checks/text.py sizes|patterns
"""

import re
import subprocess
import sys

ASK_LINES, REFUSE_LINES = 500, 800
CODE = r"^(src|lua|scripts|tests|examples|\.ci)/|^CMakeLists\.txt$"
GENERATED = r"_table\.inc$|^lua/lmfast\.d\.lua$|^docs/reference/|^tests/data/"

# (what is wrong with it, pattern, files it is looked for in, files that may have it). C++ comments are ignored.
PATTERNS = [
    ("swallows what it does not know; catch a type", r"catch\s*\(\s*\.\.\.\s*\)", r"\.(cpp|h|cu)$",
     # where C++ must not throw on: C callbacks, thread tops and the last handler
     r"^src/bindings/error_table|^src/runtime/main\.cpp$"),
    ("names the namespace in full", r"using namespace std\s*;", r"\.(cpp|h|cu)$", None),
    ("goes past the console, which owns the terminal", r"std::(cout|cerr)\b|(?<![\w])f?printf\s*\(|\bputs\s*\(",
     r"^src/.*\.(cpp|h|cu)$", r"^src/runtime/(console|main)\.cpp$"),
    ("a TODO names its issue: TODO(#12)", r"\bTODO\b(?!\(#\d+\))", r"\.(cpp|h|cu|lua|py|sh|cmake)$", None),
    ("the standard library stays free of FFI", r"""require\s*\(?\s*["']ffi["']""", r"^lua/stdlib/", None),
    ("a path of somebody's machine", r"(?<![\w.$}])/(root|home/\w+|work|Users/\w+)/", r".", None),
    ("the host of a package registry", r"\b(pypi\.org|pythonhosted\.org|download\.pytorch\.org|registry\.npmjs\.org|proxy\.golang\.org)",
     r".", r"^docs/"),
]
SELF = "scripts/checks/text.py"


def files():
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            capture_output=True, check=True).stdout.decode()
    return [name for name in listed.split("\0") if name]


def text_of(name):
    try:
        with open(name, encoding="utf-8") as file:
            return file.read()
    except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
        return None  # binary, or deleted and not yet committed


def without_comment(name, line):
    return re.sub(r"//.*", "", line) if name.endswith((".cpp", ".h", ".cu")) else line


def sizes():
    refused = 0
    for name in files():
        text = text_of(name) if re.search(CODE, name) and not re.search(GENERATED, name) else None
        lines = text.count("\n") if text else 0
        if lines > ASK_LINES:
            refused += lines > REFUSE_LINES
            print(f"{name}: {lines} lines; {'more than ' + str(REFUSE_LINES) if lines > REFUSE_LINES else 'is it two files?'}")
    return refused


def patterns():
    found = 0
    for name in files():
        text = text_of(name)
        if text is None or name == SELF:
            continue
        for what, pattern, where, except_in in PATTERNS:
            if not re.search(where, name) or (except_in and re.search(except_in, name)):
                continue
            for number, line in enumerate(text.split("\n"), 1):
                searched = line if "TODO" in pattern or "://" in line else without_comment(name, line)
                if re.search(pattern, searched):
                    found += 1
                    print(f"{name}:{number}: {what}: {line.strip()[:100]}")
    return found


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in ("sizes", "patterns"):
        sys.exit(__doc__)
    problems = {"sizes": sizes, "patterns": patterns}[sys.argv[1]]()
    print(f"{sys.argv[1]}: {problems or 'nothing'} refused")
    sys.exit(1 if problems else 0)
