"""Compares outputs in documents with real ones: what depends on the machine or the moment may differ."""

import difflib
import re

NUMBER = r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?"
UNITS = r"(?:ns|ms|s|min|tok/s|tokens/s|tok|GB/s|GFLOP/s|KiB|MiB|GiB|KB|MB|GB|TiB|threads|cores|% of)"


def matches_template(template, actual):
    """Exact but for `<number>`, which stands for a number with the blanks before it, and `<any>`, the rest of a line."""
    pattern = re.escape(template.rstrip()).replace("<number>", r"[ ]*" + NUMBER).replace("<any>", "[^\n]*")
    return re.fullmatch(pattern, actual.rstrip()) is not None


def normal(line):
    """The line without time marks such as `[7 tok  0.1 s]`, with `#` for numbers that have a fraction or a unit, single blanks."""
    line = re.sub(r"\s*\[(?:\d+ tok +)?[\d.]+ (?:ms|s|min)\]\s*$", "", line)
    line = re.sub(r"\(repl:\d+\)", "(repl:#)", line)
    line = re.sub(r"(?<![\w.])-?\d+\.\d+(?![\w.])", "#", line)
    line = re.sub(NUMBER + r"(?= ?" + UNITS + r"(?![\w]))", "#", line)
    return re.sub(r"\s+", " ", line).strip()


def matches(expected, actual):
    """Compares line by line after `normal`; a line `...` in the document stands for any number of lines, `...` inside a line
    for any text; empty lines do not count."""
    wanted = [normal(line) for line in expected.split("\n") if line.strip()]
    got = [text for text in map(normal, actual.split("\n")) if text]
    pattern = "".join(r"(?:.*\n)*?" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + "\n" for line in wanted)
    return re.fullmatch(pattern, "".join(line + "\n" for line in got)) is not None


def difference(expected, actual):
    return "\n".join(difflib.unified_diff(expected.rstrip().split("\n"), actual.rstrip().split("\n"), "document", "real", lineterm=""))
