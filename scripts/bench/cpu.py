#!/usr/bin/env python3
"""Prints the table of CPU speeds, with llama.cpp beside it: decode, prefill, long contexts, several streams, and what only
lmfast is asked for (gaps beside a long prompt, a busy neighbour, guessing on a copying task).

Usage: scripts/bench/cpu.py --model FILE.gguf [--model ...] [--lmfast BIN] [--llama-bench BIN] [--llama-batched-bench BIN]
                            [--llama-completion BIN] [--rows TEXT,TEXT] [--rounds 5] [--depth 4096] [--json OUT]

The two programs run in turn, so that what else happens on the machine hits both; every round is a process of its own. Each
row shows medians, the ratio lmfast / llama.cpp (above 1: lmfast is faster) and, for decode, the share of the memory
roofline, from the bandwidth measured in the same process. Standard library only.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

BENCH = """
local r = lm.bench{{ model = {load}, prompt = {prompt}, generate = {generate}, depth = {depth}, streams = {streams}, runs = 1 }}
print(lm.json.encode({{ prefill = r.prefill_tps, decode = r.decode_tps, share = r.roofline_share }}))
"""

# The longest time between two tokens of a running text while a long prompt arrives; and the usual time.
GAP = """
local m = {load}
local engine, host = require("lm.engine.generate"), require("lm.host")
local ids = {{}}
for i = 1, 2049 do ids[i] = (i * 7919) % m:info().vocab_size end
local function text(prompt, n)
  local g = engine.generation(engine.context(m, 4096), prompt, {{ max_tokens = n, ignore_eos = true }})
  engine.start(g)
  return g
end
local running = text({{ 1, 2, 3 }}, 400)
local longest, usual, last = 0, 0, nil
for i = 1, 200 do
  if i == 100 then other = text(ids, 2) end
  engine.next(running)
  local now = host.now()
  if last and i > 101 then longest = math.max(longest, now - last) end
  if last and i > 20 and i < 100 then usual = math.max(usual, now - last) end
  last = now
end
print(lm.json.encode({{ gap = longest, usual = usual }}))
"""

LOOKUP = """
local m = {load}
local text = ("The quick brown fox jumps over the lazy dog near the river bank at noon. "):rep(4)
local prompt = "Copy this text twice.\\n" .. text .. "\\nCopy:\\n" .. text:sub(1, 40)
local best = {{}}
for _ = 1, 3 do
  for _, kind in ipairs{{ "off", "lookup" }} do
    local r = m:generate{{ prompt = prompt, max_tokens = 128, temperature = 0, ignore_eos = true,
      speculation = kind == "lookup" and kind or nil }}
    best[kind] = math.max(best[kind] or 0, #r.ids / r.decode_seconds)
  end
end
print(lm.json.encode(best))
"""


def lua(o, code, **values):
    values = {key: json.dumps(value) for key, value in values.items()}
    code = code.format(load=f"lm.load{{ {values['model']}, precision = {json.dumps(o.precision)} }}", **values)
    done = subprocess.run([o.lmfast, "--quiet", "-e", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def ours(o, model, prompt=16, generate=1, depth=0, streams=1):
    return lua(o, BENCH, model=model, prompt=prompt, generate=generate, depth=depth, streams=streams)


def theirs(o, model, prompt=0, generate=0, depth=0):
    command = [o.llama_bench, "-m", model, "-p", str(prompt), "-n", str(generate), "-d", str(depth), "-r", "1",
               "-t", str(o.threads), "-fa", "1", "-o", "json"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)[0]["avg_ts"]


def theirs_batched(o, model, streams):
    command = [o.llama_batched_bench, "-m", model, "-npp", "16", "-ntg", "32", "-npl", str(streams), "-t", str(o.threads),
               "-c", "4096", "--output-format", "jsonl"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return json.loads([line for line in lines if line.startswith("{")][-1])["speed_tg"]


def spin():
    while True:
        pass


def busy(o, model):
    """Decode speed beside a process that keeps a core busy, over the speed without it."""
    quiet = ours(o, model, generate=64)["decode"]
    process = multiprocessing.Process(target=spin, daemon=True)
    process.start()
    try:
        return ours(o, model, generate=64)["decode"] / quiet
    finally:
        process.kill()


def rounds(o, mine, other):
    """Medians of both, measured in turn. other: a function or None."""
    a, b = [], []
    for _ in range(o.rounds):
        a.append(mine())
        if other:
            b.append(other())
    return a, b


def first_token(command):
    """Seconds from the start of a process to its first token, and its largest resident set in bytes."""
    begin = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise RuntimeError(f"{command[0]} ended with the status {status}")
    return {"seconds": time.monotonic() - begin, "rss": usage.ru_maxrss * 1024}


def starts(o, model):
    load = f"lm.load{{ {json.dumps(model)}, precision = '{o.precision}' }}:generate{{ prompt = 'Hello', max_tokens = 1 }}"
    mine = lambda: first_token([o.lmfast, "--quiet", "-e", load])
    other = o.llama_completion and (lambda: first_token([o.llama_completion, "-m", model, "-p", "Hello", "-n", "1", "-t", str(o.threads),
                                                  "-no-cnv", "--no-warmup", "-c", "512"]))
    return rounds(o, mine, other)


def table(o, model):
    rows = []
    name = os.path.basename(model)

    def wanted(what):
        return not o.rows or any(text in what for text in o.rows.split(","))

    def add(what, mine, other=None, share=None):
        line = {"model": name, "what": what, "lmfast": statistics.median(mine)}
        if share:
            line["roofline"] = statistics.median(share)
        if other:
            line["llama.cpp"] = statistics.median(other)
            line["ratio"] = line["lmfast"] / line["llama.cpp"]
        rows.append(line)
        show(line)

    def row(what, mine, other, key="decode", share=False):
        if wanted(what):
            a, b = rounds(o, mine, other)
            add(what, [r[key] for r in a], b, [r["share"] for r in a] if share else None)

    def measure(what, f):
        if wanted(what):
            add(what, [f() for _ in range(o.rounds)])

    bench = o.llama_bench
    row("decode 64", lambda: ours(o, model, generate=64), bench and (lambda: theirs(o, model, generate=64)), share=True)
    row("prefill 512", lambda: ours(o, model, prompt=512), bench and (lambda: theirs(o, model, prompt=512)), "prefill")
    if o.depth:
        row(f"decode 32 at {o.depth}", lambda: ours(o, model, generate=32, depth=o.depth),
            bench and (lambda: theirs(o, model, generate=32, depth=o.depth)), share=True)
        row(f"prefill 512 at {o.depth}", lambda: ours(o, model, prompt=512, depth=o.depth),
            bench and (lambda: theirs(o, model, prompt=512, depth=o.depth)), "prefill")
    row("decode 8 streams", lambda: ours(o, model, generate=32, streams=8),
        o.llama_batched_bench and (lambda: theirs_batched(o, model, 8)), share=True)
    measure("time of a 4-wide step over a 1-wide", lambda: 4 * ours(o, model, generate=32)["decode"] /
            ours(o, model, generate=32, streams=4)["decode"])
    measure("longest gap beside a 2049-token prompt, s", lambda: lua(o, GAP, model=model)["gap"])
    measure("speed kept beside a busy process", lambda: busy(o, model))
    measure("prompt lookup on a copying task, x", lambda: (lambda c: c["lookup"] / c["off"])(lua(o, LOOKUP, model=model)))
    if wanted("start to first token"):
        a, b = starts(o, model)
        for what, key, scale in (("start to first token, s", "seconds", 1), ("largest resident set, MB", "rss", 1e-6)):
            add(what, [r[key] * scale for r in a], [r[key] * scale for r in b])
    return rows


def show(line):
    text = f"{line['model'][:44]:44}  {line['what']:44}  {line['lmfast']:9.2f}"
    if "llama.cpp" in line:
        text += f"  llama.cpp {line['llama.cpp']:9.2f}  ratio {line['ratio']:5.2f}"
    if "roofline" in line:
        text += f"  {100 * line['roofline']:.0f} % of the roofline"
    print(text, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lmfast", default=os.path.join(ROOT, "build", "release", "bin", "lmfast"))
    parser.add_argument("--llama-bench")
    parser.add_argument("--llama-batched-bench")
    parser.add_argument("--llama-completion")
    parser.add_argument("--precision", default="high", help="of lm.load: high, fast")
    parser.add_argument("--rows", help="only rows whose name contains one of these texts, separated by commas")
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--depth", type=int, default=4096)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json")
    o = parser.parse_args()
    rows = [row for model in o.model for row in table(o, os.path.abspath(model))]
    if o.json:
        with open(o.json, "w", encoding="utf-8") as file:
            json.dump({"load_average": list(os.getloadavg()), "threads": o.threads, "rounds": o.rounds, "rows": rows}, file, indent=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
