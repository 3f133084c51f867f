"""Runs test functions that drive a built lmfast, one after the other; what tests/hub/run.py and tests/serve/run.py share."""

import sys
import time
import traceback


class Skip(Exception):
    """A test cannot run here; the message says why."""


def run_cases(modules, doc, call):
    """Runs every test_* of the modules, in their order, as call(test, path of lmfast); sys.argv holds the path and names.

    Prints a line for each test and `N passed, N failed, N skipped` at the end; returns the exit code.
    """
    if len(sys.argv) < 2:
        print(doc)
        return 2
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    wanted = sys.argv[2:]
    tests = [test for module in modules for name, test in vars(module).items() if name.startswith("test_")]
    for test in tests:
        if wanted and not any(word in test.__name__ for word in wanted):
            continue
        start = time.monotonic()
        try:
            call(test, sys.argv[1])
            outcome, detail = "passed", ""
        except Skip as reason:
            outcome, detail = "skipped", f": {test.__name__}: {reason}"
        except Exception:  # one test's failure, of whatever kind, must not hide the others
            outcome, detail = "failed", "\n" + traceback.format_exc()
        counts[outcome] += 1
        print(f"{outcome}{detail}" if outcome == "skipped" else
              f"{outcome:8}{test.__name__[5:]:40} {(test.__doc__ or '').splitlines()[0]} ({time.monotonic() - start:.1f} s){detail}", flush=True)
    print(", ".join(f"{n} {name}" for name, n in counts.items()))
    return 1 if counts["failed"] else 0
