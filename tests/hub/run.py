#!/usr/bin/env python3
"""Tests lm.pull and lm.load of pulled models against a local server that speaks the Hub's API (server.py).

Usage: tests/hub/run.py PATH-TO-LMFAST [NAME ...]     (NAME: only tests whose name contains it)
LMFAST_TEST_HF_PYTHON: a Python with huggingface_hub, for the tests that share a cache with it.
The last line is `N passed, N failed, N skipped`.
"""

import sys

import cases_catalogue
import cases_download
import cases_faults
import cases_sharing
import cases_sources
from driver import Lmfast, run_cases


def call(test, path):
    with Lmfast(path) as lmfast:
        test(lmfast)


if __name__ == "__main__":
    sys.exit(run_cases((cases_download, cases_faults, cases_sharing, cases_sources, cases_catalogue), __doc__, call))
