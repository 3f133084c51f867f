#!/usr/bin/env python3
"""Tests `lmfast serve` and lm.serve: cases over plain HTTP, then the official packages of clients where they can be installed.

Usage: tests/serve/run.py PATH-TO-LMFAST [NAME ...]     (NAME: only tests whose name contains it)
LMFAST_TEST_CLIENTS: folder for the clients' packages (default: build/serve-clients); LMFAST_TEST_MODELS: the models' folder.
The last line is `N passed, N failed, N skipped`.
"""

import sys

import cases_clients
import cases_http
from driver import run_cases


if __name__ == "__main__":
    sys.exit(run_cases((cases_http, cases_clients), __doc__, lambda test, path: test(path)))
