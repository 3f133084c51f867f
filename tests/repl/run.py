#!/usr/bin/env python3
"""Tests the prompt on a pseudo-terminal: transcripts (tests/repl/*.txt) and the cases of cases.py.

Usage: tests/repl/run.py PATH-TO-LMFAST [NAME ...]     (NAME: only tests whose name contains it)
The last line is `N passed, N failed, N skipped`.
"""

import glob
import os
import subprocess
import sys
import time
import traceback

import cases
import real_cases
import transcripts


def has_session(binary):
    code = "print(require('lm.host').stdlib_source('lm.session') ~= nil)"
    return subprocess.run([binary, "-e", code], capture_output=True, timeout=60, check=False).stdout == b"true\n"


def collect(binary):
    # real_cases use the real library, the others the small session of the tests.
    tests = [(case.__name__, case.__doc__, lambda case=case: case(binary)) for case in cases.ALL + real_cases.ALL]
    library = has_session(binary)
    for path in sorted(glob.glob(os.path.join(os.path.dirname(os.path.abspath(__file__)), "*.txt"))):
        def run(path=path):
            settings = transcripts.parse(path)[0]
            if not library and not settings["standin"]:
                raise cases.Skip("this lmfast was built without its standard library")
            if settings["model"]:
                real_cases.need_model(binary)
            transcripts.run(binary, path)
        tests.append((os.path.basename(path), "transcript", run))
    return tests


def main():
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    wanted = sys.argv[2:]
    for name, title, run in collect(os.path.abspath(sys.argv[1])):
        if wanted and not any(word in name for word in wanted):
            continue
        start = time.monotonic()
        try:
            run()
            outcome, detail = "passed", ""
        except cases.Skip as reason:
            outcome, detail = "skipped", f": {reason}"
        except Exception:  # one test's failure, of whatever kind, must not hide the others
            outcome, detail = "failed", "\n" + traceback.format_exc()
        counts[outcome] += 1
        print(f"{outcome:8}{name:20} {title} ({time.monotonic() - start:.1f} s){detail}", flush=True)
    print(", ".join(f"{n} {name}" for name, n in counts.items()))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
