#!/usr/bin/env python3
"""Tests `lmfast serve` and lm.serve: cases over plain HTTP, then the official packages of clients where they can be installed.

Usage: tests/serve/run.py PATH-TO-LMFAST [NAME ...]     (NAME: only tests whose name contains it)
LMFAST_TEST_CLIENTS: folder for the clients' packages (default: build/serve-clients); LMFAST_TEST_MODELS: the models' folder.
The last line is `N passed, N failed, N skipped`.
"""

import sys
import time
import traceback

import cases_clients
import cases_http
from driver import Skip


def main():
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    wanted = sys.argv[2:]
    tests = [test for module in (cases_http, cases_clients) for name, test in vars(module).items() if name.startswith("test_")]
    for test in tests:
        if wanted and not any(word in test.__name__ for word in wanted):
            continue
        start = time.monotonic()
        try:
            test(sys.argv[1])
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


if __name__ == "__main__":
    sys.exit(main())
