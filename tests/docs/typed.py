"""Plays transcripts: `lmfast> ` lines on a pseudo-terminal, `$ ` lines in bash."""

import os

import loose
from shell import Shell

COLUMNS = 100


def steps(code):
    """Splits a transcript into inputs (lists of lines) with the output under each."""
    found = []
    for line in code.split("\n"):
        if line.startswith("lmfast> "):
            found.append(([line[8:]], []))
        elif line.startswith("   ..> ") and found and not found[-1][1]:
            found[-1][0].append(line[7:])
        elif found:
            found[-1][1].append(line)
    return found


def commands(code):
    """Splits a bash transcript into commands with the output under each."""
    found = []
    for line in code.split("\n"):
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found:
            found[-1][1].append(line)
    return [(command, "\n".join(lines)) for command, lines in found]


def typed_lines(input_lines):
    """Comments after code (`x = 1   # why` does not exist in Lua, `-- why` does) are typed as they stand."""
    return [line.rstrip() for line in input_lines]


def check(binary, code, env, folder):
    """Types the inputs one by one and compares the rows under each with the document."""
    here = os.getcwd()
    os.chdir(folder)
    try:
        with Shell(binary, ["--quiet"], columns=COLUMNS, rows=60, env=env, standin=False) as shell:
            for lines, expected in steps(code):
                shell.at_prompt()
                before = shell.screen.y
                for i, line in enumerate(typed_lines(lines)):
                    y = shell.screen.y
                    shell.send(line + "\r")
                    if i + 1 < len(lines):
                        shell.wait_for(lambda s, y=y: s.y > y, what="continuation")
                shell.wait_for(lambda s, n=len(lines): s.y >= before + n and s.lines()[s.y] == "lmfast>", 60, what="next prompt")
                echoed = sum(max(1, -(-(len(line) + 8) // COLUMNS)) for line in lines)
                actual = shell.screen.joined(before + echoed, shell.screen.y)
                wanted = "\n".join(expected)
                assert loose.matches(wanted, actual), f"after `{lines[0]}`:\n{loose.difference(wanted, actual)}"
            shell.send("exit!\r")
            assert shell.wait_exit() == 0
    finally:
        os.chdir(here)
