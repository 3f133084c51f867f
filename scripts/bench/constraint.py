#!/usr/bin/env python3
"""Times JSON Schema constraints on MaskBench beside llguidance and XGrammar: compile, and a mask for each token.

Usage: scripts/bench/constraint.py [--data DIR] [--tokenizer DIR] [--every N] [--bench BIN] [--output FILE]

Every Nth schema of MaskBench is compiled; its valid instances, as Python's json.dumps writes them, are cut by the tokenizer and
fed token by token, with a mask before each. Instances that must be refused are fed too and counted when they are not. lmfast runs
in tests/bench/constraint_bench.cpp (built by name: ninja -C build/release constraint_bench). The peers run in this process when
they can be imported (pip install llguidance xgrammar tokenizers), their masks through their own Python calls, so that about a
microsecond of each is Python's. Prints JSON with microseconds: mean, p50, p90, p99, max.
"""

import argparse
import gzip
import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=str(ROOT / ".." / "shared" / "data" / "datasets" / "jsonschemabench"))
    parser.add_argument("--tokenizer", default=str(ROOT / ".." / "shared" / "data" / "tokenizers" / "llama3"))
    parser.add_argument("--every", type=int, default=20)
    parser.add_argument("--bench", default=str(ROOT / "build" / "release" / "bin" / "constraint_bench"))
    parser.add_argument("--peers", default="llguidance,xgrammar", help="of these, those that can be imported")
    parser.add_argument("--output")
    return parser.parse_args()


def rows(folder, every):
    number = 0
    for path in sorted(pathlib.Path(folder).glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                number += 1
                if number % every == 0:
                    yield json.loads(line)


def summary(seconds):
    times = sorted(t * 1e6 for t in seconds)
    if not times:
        return None
    at = lambda p: round(times[int(p * (len(times) - 1))], 2)
    return {"n": len(times), "mean": round(sum(times) / len(times), 2), "p50": at(0.5), "p90": at(0.9), "p99": at(0.99),
            "max": at(1)}


class Llguidance:
    def __init__(self, folder):
        import llguidance
        import llguidance.numpy
        self.module = llguidance
        text = (pathlib.Path(folder) / "tokenizer.json").read_text(encoding="utf-8")
        self.tokenizer = llguidance.LLTokenizer(text)
        self.bits = llguidance.numpy.allocate_token_bitmask(1, self.tokenizer.vocab_size)
        self.fill = llguidance.numpy.fill_next_token_bitmask

    def compile(self, schema):
        matcher = self.module.LLMatcher(self.tokenizer, self.module.LLMatcher.grammar_from_json_schema(schema))
        if matcher.is_error():
            raise ValueError(matcher.get_error())
        return matcher

    def start(self, matcher):
        matcher.reset()
        return matcher

    def mask(self, matcher):
        self.fill(matcher, self.bits, 0)

    def accept(self, matcher, token):
        return matcher.consume_token(token)

    def ended(self, matcher):
        return matcher.is_accepting()


class Xgrammar:
    def __init__(self, folder):
        import xgrammar
        from tokenizers import Tokenizer
        self.module = xgrammar
        tokenizer = Tokenizer.from_file(str(pathlib.Path(folder) / "tokenizer.json"))
        size = tokenizer.get_vocab_size()
        info = xgrammar.TokenizerInfo([tokenizer.id_to_token(i) or "" for i in range(size)],
                                      vocab_type=xgrammar.VocabType.BYTE_LEVEL, vocab_size=size, stop_token_ids=[size - 1])
        self.compiler = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)
        self.bits = xgrammar.allocate_token_bitmask(1, size)

    def compile(self, schema):
        return self.compiler.compile_json_schema(schema, strict_mode=False)

    def start(self, compiled):
        return self.module.GrammarMatcher(compiled, terminate_without_stop_token=True)

    def mask(self, matcher):
        matcher.fill_next_token_bitmask(self.bits)

    def accept(self, matcher, token):
        return matcher.accept_token(token)

    def ended(self, matcher):
        return matcher.is_terminated()


def run_peer(peer, data, encode):
    compiles, masks = [], []
    counts = {"schemas": 0, "refused": 0, "passing": 0, "wrongly_rejected": 0, "wrongly_accepted": 0}
    for row in data:
        counts["schemas"] += 1
        begin = time.perf_counter()
        try:
            compiled = peer.compile(json.dumps(row["schema"], ensure_ascii=False))
        except Exception:
            counts["refused"] += 1
            continue
        compiles.append(time.perf_counter() - begin)
        wrong = {True: False, False: False}
        for test in row["tests"]:
            matcher = peer.start(compiled)
            good = True
            for token in encode(json.dumps(test["data"], ensure_ascii=False)):
                begin = time.perf_counter()
                peer.mask(matcher)
                if test["valid"]:
                    masks.append(time.perf_counter() - begin)
                if not peer.accept(matcher, token):
                    good = False
                    break
            good = good and peer.ended(matcher)
            if good != test["valid"]:
                wrong[test["valid"]] = True
        counts["wrongly_rejected"] += wrong[True]
        counts["wrongly_accepted"] += wrong[False]
        counts["passing"] += not wrong[True] and not wrong[False]
    return {**counts, "compile_us": summary(compiles), "mask_us": summary(masks)}


def run_lmfast(o, data):
    lines = []
    for row in data:
        lines.append("S\t%s\t%s" % (row["name"], json.dumps(row["schema"], ensure_ascii=False)))
        for test in row["tests"]:
            lines.append(("V\t" if test["valid"] else "I\t") + json.dumps(test["data"], ensure_ascii=False))
    text = "\n".join(lines) + "\n"
    done = subprocess.run([o.bench, o.tokenizer], input=text.encode(), stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def main():
    o = arguments()
    data = list(rows(o.data, o.every))
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], stdout=subprocess.PIPE, text=True,
                            check=False).stdout.strip()
    result = {"commit": commit, "schemas": len(data), "load_average": list(os.getloadavg()), "lmfast": run_lmfast(o, data)}
    for name, kind in (("llguidance", Llguidance), ("xgrammar", Xgrammar)):
        if name not in o.peers.split(","):
            continue
        try:
            from tokenizers import Tokenizer
            tokenizer = Tokenizer.from_file(str(pathlib.Path(o.tokenizer) / "tokenizer.json"))
            peer = kind(o.tokenizer)
        except ImportError as e:
            print("%s is not measured: %s" % (name, e), file=sys.stderr)
            continue
        result[name] = run_peer(peer, data, lambda text: tokenizer.encode(text, add_special_tokens=False).ids)
    text = json.dumps(result, indent=1)
    print(text)
    if o.output:
        pathlib.Path(o.output).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
