#!/usr/bin/env python3
"""Compares lmfast with llama.cpp on the same GGUF file, and measures start, first token and memory.

Usage: scripts/bench/peers.py --model FILE.gguf [--lmfast BIN] [--llama-bench BIN] [--rounds 5] [--threads N]
                              [--prompt-tokens 512] [--decode-tokens 64]

The two programs run in turn, so that what else happens on the machine hits both. Each round measures each program once
after a warm-up inside the program. Prints JSON: machine, commit, medians, best and every round, and ratios
lmfast / llama.cpp (above 1: lmfast is faster). Without --llama-bench only lmfast is measured.
Standard library only.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

BENCH = """
local r = lm.bench{{ model = {model}, prompt = {prompt}, generate = {decode}, runs = 3 }}
print(lm.json.encode({{ prefill = r.prefill_tps, decode = r.decode_tps, bandwidth = r.bandwidth, threads = r.threads,
  bytes_per_token = r.bytes_per_step }}))
"""

FIRST_TOKEN = """
local m = lm.load({model})
local ids = m:tokenize(("The quick brown fox jumps over the lazy dog and "):rep(4))
for i = #ids, 31, -1 do ids[i] = nil end
assert(#ids == 30)
m:stream{{ prompt = ids, max_tokens = 4, on_token = function(piece) io.write(piece) io.flush() end }}
"""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lmfast", default=os.path.join(ROOT, "build", "release", "bin", "lmfast"))
    parser.add_argument("--llama-bench")
    parser.add_argument("--model", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--prompt-tokens", type=int, default=512)
    parser.add_argument("--decode-tokens", type=int, default=64)
    return parser.parse_args()


def machine():
    cpu = ""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
    flags = [name for name in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8") if name in cpu_flags()]
    return {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "flags": flags, "kernel": os.uname().release,
            "load_average": list(os.getloadavg())}


def cpu_flags():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("flags"):
                return line.split(":", 1)[1].split()
    return []


def commit():
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def lua_string(text):
    return json.dumps(text, ensure_ascii=False)


def run_lmfast(o):
    code = BENCH.format(model=lua_string(o.model), prompt=o.prompt_tokens, decode=o.decode_tokens)
    done = subprocess.run([o.lmfast, "--quiet", "-e", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def run_llama(o):
    command = [o.llama_bench, "-m", o.model, "-p", str(o.prompt_tokens), "-n", str(o.decode_tokens), "-r", "3",
               "-t", str(o.threads), "-o", "json"]
    rows = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    prefill = [row for row in rows if row["n_prompt"]][0]
    decode = [row for row in rows if row["n_gen"]][0]
    # The middle one of the three samples, as on our side.
    return {"prefill": statistics.median(prefill["samples_ts"]), "decode": statistics.median(decode["samples_ts"]),
            "build": prefill.get("build_commit")}


def summary(rounds, key):
    values = [row[key] for row in rounds]
    return {"median": statistics.median(values), "best": max(values), "rounds": values}


def start_seconds(o, count=20):
    times = []
    for _ in range(count):
        start = time.perf_counter()
        subprocess.run([o.lmfast, "--version"], capture_output=True, check=True)
        times.append(time.perf_counter() - start)
    return {"median": statistics.median(times), "best": min(times)}


def first_token(o, count=9):
    """Seconds from starting the process to the first byte of text, after a prompt of 30 tokens; and the peak of memory."""
    times, peaks = [], []
    for _ in range(count):
        start = time.perf_counter()
        with subprocess.Popen([o.lmfast, "-e", FIRST_TOKEN.format(model=lua_string(o.model))], stdout=subprocess.PIPE) as process:
            process.stdout.read(1)
            times.append(time.perf_counter() - start)
            process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            assert process.returncode == 0
            peaks.append(usage.ru_maxrss * 1024)
    size = os.path.getsize(o.model)
    return ({"median": statistics.median(times), "best": min(times)},
            {"peak_rss_bytes": statistics.median(peaks), "highest_bytes": max(peaks), "file_bytes": size,
             "ratio": statistics.median(peaks) / size})


def main():
    o = arguments()
    o.model = os.path.abspath(o.model)
    ours, theirs = [], []
    for i in range(o.rounds):
        print(f"round {i + 1} of {o.rounds}", file=sys.stderr)
        ours.append(run_lmfast(o))
        if o.llama_bench:
            theirs.append(run_llama(o))
    result = {
        "machine": machine(), "commit": commit(), "model": os.path.basename(o.model), "rounds": o.rounds, "threads": o.threads,
        "prompt_tokens": o.prompt_tokens, "decode_tokens": o.decode_tokens, "unit": "tokens/s",
        "lmfast": {key: summary(ours, key) for key in ("prefill", "decode")},
        "bandwidth_bytes_per_s": summary(ours, "bandwidth"), "bytes_per_token": ours[0]["bytes_per_token"],
    }
    if theirs:
        result["llama.cpp"] = {"build": theirs[0]["build"], **{key: summary(theirs, key) for key in ("prefill", "decode")}}
        result["ratio"] = {
            key: {kind: result["lmfast"][key][kind] / result["llama.cpp"][key][kind] for kind in ("median", "best")}
            for key in ("prefill", "decode")}
    result["start_s"] = start_seconds(o)
    result["first_token_s"], result["memory"] = first_token(o)
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
