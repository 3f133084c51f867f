"""Plays transcripts: `lmfast> ` lines on a pseudo-terminal, `$ ` lines in bash."""

import os
import re

import loose
from shell import Shell

COLUMNS = 100


def steps(block):
    """Splits a transcript into inputs: the line on the page, the lines typed, the output under them."""
    found = []
    for number, line in enumerate(block["code"].split("\n"), block["line"]):
        if line.startswith("lmfast> "):
            found.append((number, [line[8:].rstrip()], []))
        elif line.startswith("   ..> ") and found and not found[-1][2]:
            found[-1][1].append(line[7:].rstrip())
        elif found:
            found[-1][2].append(line)
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


def without_job_ends(text):
    """Jobs report their end when they please."""
    return "\n".join(line for line in text.split("\n") if not re.match(r"\[\d+\] .* (done|failed|interrupted) after ", line))


def settle(shell):
    """Waits until nothing more comes: a job that ends writes a line above the prompt and moves everything."""
    seen = -1
    while seen != len(shell.raw):
        seen = len(shell.raw)
        shell.read(0.1)


def check(binary, inputs, env, folder):
    """Types the inputs one by one and compares the rows under each with the document."""
    here = os.getcwd()
    os.chdir(folder)
    try:
        with Shell(binary, ["--quiet"], columns=COLUMNS, rows=60, env=env, standin=False) as shell:
            for number, lines, expected in inputs:
                shell.at_prompt()
                settle(shell)
                before = shell.screen.y
                for i, line in enumerate(lines):
                    y = shell.screen.y
                    shell.send(line + "\r")
                    if i + 1 < len(lines):
                        shell.wait_for(lambda s, y=y: s.y > y, what="continuation")
                shell.wait_for(lambda s, n=len(lines): s.y >= before + n and s.lines()[s.y] == "lmfast>", 60, what="next prompt")
                settle(shell)
                echoed = sum(max(1, -(-(len(line) + 8) // COLUMNS)) for line in lines)
                actual = without_job_ends(shell.screen.joined(before + echoed, shell.screen.y))
                wanted = without_job_ends("\n".join(expected))
                assert loose.matches(wanted, actual), f"line {number}: {lines[0]}\n{loose.difference(wanted, actual)}"
            shell.send("exit!\r")
            assert shell.wait_exit() == 0
    finally:
        os.chdir(here)
