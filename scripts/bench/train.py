#!/usr/bin/env python3
"""Compares fine-tuning by lmfast with Python peers: same weights, same batches, same adapter at the start.

Usage: scripts/bench/train.py --peer-train peer_train.py --python PYTHON --export DIR [--method sft-lora|sft-full|qlora]
                              [--dtype fp32 bf16] [--peers torch trl trl-default] [--steps 6] [--lmfast BIN]
                              [--preload libtcmalloc_minimal.so.4]

peer_train.py drives the peers and says how to install them; PYTHON has torch, transformers, peft and trl. Without an
export in DIR the first run makes one (TRL, 4 x 512 tokens of Alpaca, SmolLM2-135M's shape). Peers:

  torch        a bare PyTorch loop over the transformers model with PEFT
  trl          TRL's trainer, tuned: packed rows of full length, no checkpointing
  trl-default  TRL as a user gets it: autocast, its own packing, checkpointing, glibc's malloc
  bnb          with --method qlora, the only one: bitsandbytes' NF4 and a bare loop (qlora_peer.py), in bf16

The programs run one after the other, in each round in another order. Prints a table and, last, JSON: medians of tokens
per second over the timed steps, the largest peak memory, losses, and ratios lmfast / peer. A machine with other work on
it gives numbers without meaning. Standard library only.
"""

import argparse
import json
import math
import os
import statistics
import struct
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WARM_UP = 2

TRAIN = """
lm.train{{ model = {model}, data = {rows}, output = {output}, precision = {precision}, quiet = true, batch_size = {batch},
  max_steps = {steps}, epochs = 1, max_length = {length}, packing = false, shuffle = false, format = "tokens",
  schedule = "linear", warmup = 0, learning_rate = {rate}, max_grad_norm = 1, save_every = 1000000000{lora} }}
"""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-train", required=True)
    parser.add_argument("--python", required=True)
    parser.add_argument("--export", required=True)
    parser.add_argument("--method", choices=["sft-lora", "sft-full", "qlora"], default="sft-lora")
    parser.add_argument("--dtype", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--peers", nargs="*", choices=["torch", "trl", "trl-default"], default=["torch", "trl", "trl-default"])
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--lmfast", default=os.path.join(ROOT, "build", "release", "bin", "lmfast"))
    parser.add_argument("--preload", default="/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4")
    a = parser.parse_args()
    if a.method == "qlora":
        a.dtype, a.peers = ["bf16"], ["bnb"]
    return a


def read_batches(path):
    """The rows of an export's batches as (ids, labels), in order."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        begin = file.tell()

        def matrix(name):
            entry = header[name]
            first, last = entry["data_offsets"]
            file.seek(begin + first)
            values = struct.unpack(f"<{math.prod(entry['shape'])}q", file.read(last - first))
            width = entry["shape"][1]
            return [values[i:i + width] for i in range(0, len(values), width)]

        steps = sorted({name[:3] for name in header if name != "__metadata__"})
        return [(matrix(f"{s}.input_ids"), matrix(f"{s}.labels")) for s in steps]


def run(command, env):
    """Its standard output and its peak memory in MiB."""
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(command, env=env, stdout=out, stderr=subprocess.PIPE, text=True)
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        if status != 0:
            sys.exit(f"{' '.join(command)}\n{errors[-3000:]}")
        out.seek(0)
        return out.read(), usage.ru_maxrss >> 10


class Bench:
    def __init__(self, a):
        self.a = a
        if not os.path.exists(os.path.join(a.export, "run.json")):
            os.makedirs(a.export, exist_ok=True)
            self.peer("trl", "fp32", ["--export", a.export])
        self.batches = read_batches(os.path.join(a.export, "batches.safetensors"))
        self.rows = os.path.join(a.export, "rows.jsonl")
        with open(self.rows, "w", encoding="utf-8") as file:
            for ids, labels in self.batches:
                for row in zip(ids, labels):
                    file.write(json.dumps({"input_ids": row[0], "labels": row[1]}) + "\n")

    def peer(self, name, dtype, more=None):
        a = self.a
        env = dict(os.environ)
        if name == "bnb":
            peer = os.path.join(ROOT, "scripts", "bench", "qlora_peer.py")
            out, memory = run([a.python, peer, "--load", a.export, "--steps", str(a.steps), "--warmup", str(WARM_UP)],
                              env | {"LD_PRELOAD": a.preload})
            result = json.loads(out.strip().splitlines()[-1])
            return {"tokens_per_s": result["tok_s"], "peak_mib": memory, "losses": result["losses"]}
        options = ["--method", a.method, "--steps", str(a.steps), "--warmup", str(WARM_UP)]
        if name == "trl-default":
            options += ["--impl", "trl", "--dtype", "amp", "--packing", "bfd", "--checkpoint", "--load", a.export]
        else:
            env["LD_PRELOAD"] = a.preload
            options += ["--impl", name, "--dtype", dtype, "--packing", "wrapped"]
            options += more or ["--load", a.export]
        out, memory = run([a.python, a.peer_train, *options], env)
        result = json.loads(out.strip().splitlines()[-1])
        return {"tokens_per_s": result["tok_s"], "peak_mib": memory, "losses": result["losses"]}

    def lmfast(self, dtype):
        a, text = self.a, json.dumps
        lora = f", lora = {{ rank = 16, alpha = 32 }}, init_adapter = {text(os.path.join(a.export, 'adapter'))}"
        with tempfile.TemporaryDirectory() as folder:
            output, script = os.path.join(folder, "run"), os.path.join(folder, "train.lua")
            with open(script, "w", encoding="utf-8") as file:
                file.write(TRAIN.format(
                    model=text(os.path.join(a.export, "model")), rows=text(self.rows), output=text(output),
                    precision=text({"fp32": "f32"}.get(dtype, dtype)), batch=len(self.batches[0][0]),
                    steps=WARM_UP + a.steps, length=len(self.batches[0][0][0]), lora={"sft-lora": lora, "qlora": lora + ', quantize = "nf4"'}.get(a.method, ""),
                    rate=2e-5 if a.method == "sft-full" else 2e-4))
            _, memory = run([a.lmfast, script], dict(os.environ))
            with open(os.path.join(output, "history.jsonl"), encoding="utf-8") as file:
                steps = [r for r in map(json.loads, file) if r["kind"] == "step"]
        times = [r["tokens_per_s"] for r in steps[WARM_UP:]]
        # Tokens over seconds, as the peers count: all steps have as many tokens.
        return {"tokens_per_s": round(statistics.harmonic_mean(times), 1), "peak_mib": memory,
                "losses": [r["loss"] for r in steps]}


def summary(runs):
    return {"tokens_per_s": statistics.median(r["tokens_per_s"] for r in runs),
            "peak_mib": max(r["peak_mib"] for r in runs), "losses": runs[0]["losses"]}


def main():
    a = arguments()
    bench = Bench(a)
    results = {}
    for dtype in a.dtype:
        runs = {name: [] for name in ["lmfast", *a.peers]}
        for i in range(a.rounds):
            for name in list(runs) if i % 2 == 0 else reversed(list(runs)):
                runs[name].append(bench.lmfast(dtype) if name == "lmfast" else bench.peer(name, dtype))
        results[dtype] = {name: summary(list_) for name, list_ in runs.items()}
        ours = results[dtype]["lmfast"]
        for name, r in results[dtype].items():
            if name != "lmfast":
                r["speed_ratio"] = round(ours["tokens_per_s"] / r["tokens_per_s"], 3)
                r["memory_ratio"] = round(ours["peak_mib"] / r["peak_mib"], 3)
            print(f"{a.method} {dtype:5} {name:12} {r['tokens_per_s']:8.1f} tokens/s {r['peak_mib']:6} MiB  "
                  f"loss {r['losses'][0]:.6f} .. {r['losses'][-1]:.6f}"
                  + (f"  lmfast {r['speed_ratio']:.2f}x speed, {r['memory_ratio']:.2f}x memory" if name != "lmfast" else ""),
                  flush=True)
    print(json.dumps({"method": a.method, "cores": len(os.sched_getaffinity(0)), "results": results}))


main()
