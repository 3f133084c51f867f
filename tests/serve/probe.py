#!/usr/bin/env python3
"""Asks a server what its clients expect, through the official Python packages (openai, anthropic, ollama), and prints a table.

Usage: probe.py URL MODEL [OTHER-URL OTHER-MODEL] [--json]
With a second server its results stand beside the first one's. Exit code 1 when a check fails on the first.
"""

import json
import sys

import probe_chat  # noqa: F401  (its checks add themselves to CHECKS, as the others' do)
import probe_dialects  # noqa: F401
import probe_routes  # noqa: F401
from probe_support import CHECKS, Target


def run(target, function):
    try:
        function(target)
        return "ok"
    except Exception as error:  # every kind of failure is a result
        return f"{type(error).__name__}: {error}".replace("\n", " ")[:200]


def main():
    arguments = [a for a in sys.argv[1:] if not a.startswith("--")]
    targets = [Target(url, model) for url, model in zip(arguments[::2], arguments[1::2])]
    rows = [(f.__name__, [run(t, f) for t in targets]) for f in CHECKS]
    if "--json" in sys.argv:
        print(json.dumps({name: results for name, results in rows}))
    else:
        for name, results in rows:
            print(f"{name:45} " + "   ".join(f"{r[:70]:70}" for r in results).rstrip())
        for i in range(len(targets)):
            print(f"server {i + 1}: {sum(r[i] == 'ok' for _, r in rows)} of {len(rows)}")
    return 0 if all(results[0] == "ok" for _, results in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
