"""Transcript files: lines `lmfast> input` and `   ..> more`, followed by the expected output.

In expected lines `...` stands for anything, a line `...` alone for any number of lines. Lines that start with `#!` are
for the driver: `#! standin` runs the file with the small session of the tests, `#! model` needs the first model,
`#! columns N` sets the width, `#!` and a blank is a comment.
"""

import re

from shell import Shell


def parse(path):
    settings, steps = {"standin": False, "model": False, "columns": 80}, []
    with open(path, encoding="utf-8") as file:
        for line in file.read().splitlines():
            if line.startswith("#!"):
                name, _, value = line[2:].strip().partition(" ")
                if name in settings:
                    settings[name] = int(value) if value else True
            elif line.startswith("lmfast> ") or line == "lmfast>":
                steps.append(([line[8:]], []))
            elif line.startswith("   ..>") and steps and not steps[-1][1]:
                steps[-1][0].append(line[7:])
            elif steps:
                steps[-1][1].append(line)
    for _, expected in steps:
        while expected and not expected[-1]:
            expected.pop()
    return settings, steps


def matches(expected, actual):
    pattern = "".join(r"(?:.*\n)*?" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + "\n" for line in expected)
    return re.fullmatch(pattern, "".join(line + "\n" for line in actual)) is not None


def without_time(line):
    """A slow machine shows how long an input took; no transcript is about that."""
    return re.sub(r"\s*\[[\d.]+ (?:ms|s|min)\]$", "", line)


def run(binary, path):
    settings, steps = parse(path)
    with Shell(binary, columns=settings["columns"], rows=50, standin=settings["standin"]) as shell:
        for typed, expected in steps:
            shell.at_prompt()
            before = shell.screen.y
            for i, line in enumerate(typed):
                y = shell.screen.y
                shell.send(line + "\r")
                if i + 1 < len(typed):
                    shell.wait_for(lambda s: s.y > y, what="continuation")
            shell.wait_for(lambda s: s.y >= before + len(typed) and s.lines()[s.y] == "lmfast>", what="next prompt")
            echoed = sum(max(1, -(-(len(line) + 8) // settings["columns"])) for line in typed)
            actual = shell.screen.lines()[before + echoed : shell.screen.y]
            actual = [without_time(line) for line in actual]
            while actual and not actual[-1]:
                actual.pop()
            assert matches(expected, actual), f"after {typed[0]!r}: expected {expected}, got {actual}"
        shell.send("exit!\r")
        assert shell.wait_exit() == 0
