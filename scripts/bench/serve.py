#!/usr/bin/env python3
"""Measures lmfast serve beside llama-server: the same file, the same requests, one after the other, and prints a table.

Usage: serve.py MODEL.gguf [--lmfast PROGRAM] [--peer LLAMA-SERVER] [--rounds N]

Rows: tokens/s of 8 clients (100-word prompts, 64 tokens each), and with 3-word prompts; longest gap of a running stream while a prompt
of about 2,049 tokens arrives; time to first token with a cached prefix of about 1,000 tokens; a round trip to /tokenize (JSON both
ways, no forward pass) while 64 connections are open; cold start to the first served token; resident memory; and without a peer: 4
requests with 4 made-up adapters against 4 with one (--shapes: of the model).
Medians of the rounds. Close everything else: two programs on two cores measure each other.
"""

import argparse
import json
import os
import random
import signal
import socket
import statistics
import struct
import subprocess
import tempfile
import time

from stream_clients import Client, round_trips, run, text


class Server:
    """A program that serves at --port PORT; ready when it has answered with a token."""

    def __init__(self, command):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        folder = os.path.dirname(os.path.realpath(command[0]))
        environment = dict(os.environ, LD_LIBRARY_PATH=folder) if "llama" in command[0] else None
        begin = time.perf_counter()
        self.process = subprocess.Popen([*(str(self.port) if c == "PORT" else c for c in command)],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        while True:
            if self.process.poll() is not None or time.perf_counter() - begin > 120:
                raise SystemExit(f"{command[0]} does not start")
            try:
                run(self.port, [Client("hello", 1)])
                break
            except (OSError, AssertionError):
                time.sleep(0.002)
        self.cold_start = time.perf_counter() - begin

    def resident(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def measure(command, seed):
    server, rows = Server(command), {}
    for words in (100, 3):
        took = run(server.port, [Client(text(words, 1000 * seed + 10 * words + i), 64) for i in range(8)])
        rows[f"8 clients, {words}-word prompts, tokens/s"] = 8 * 64 / took
    running = Client(text(20, seed + 7), 200)
    run(server.port, [running, Client(text(1100, seed + 8), 4, at=0.3)])
    rows["longest gap while a long prompt arrives, s"] = max(b - a for a, b in zip(running.times, running.times[1:]))
    prefix, again = text(540, seed + 9), []
    run(server.port, [Client(prefix + " one", 1)])
    for end in ("two", "three", "four"):
        client = Client(f"{prefix} {end}", 1)
        run(server.port, [client])
        again.append(client.times[0])
    rows["first token with a cached prefix, s"] = statistics.median(again)
    spent = round_trips(server.port, "/tokenize", {"content": "hello world"}, 64, 20)
    rows["round trip, 64 connections, ms"] = 1000 * statistics.median(spent)
    rows["cold start to the first token, s"] = server.cold_start
    rows["resident memory, MB"] = server.resident()
    server.stop()
    return rows


def write_adapter(folder, shapes, seed, rank=16):
    """A PEFT folder with small random factors for query and value of each layer; shapes: (layers, hidden, query rows, value rows)."""
    layers, hidden, query, value = shapes
    rng, tensors = random.Random(seed), {}
    for layer in range(layers):
        for name, rows in (("q_proj", query), ("v_proj", value)):
            base = f"base_model.model.model.layers.{layer}.self_attn.{name}.lora_"
            tensors[base + "A.weight"], tensors[base + "B.weight"] = (rank, hidden), (rows, rank)
    header, data = {}, bytearray()
    for name, shape in tensors.items():
        values = [rng.gauss(0, 0.02) for _ in range(shape[0] * shape[1])]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + 4 * len(values)]}
        data += struct.pack(f"<{len(values)}f", *values)
    head = json.dumps(header).encode()
    os.makedirs(folder)
    with open(folder + "/adapter_model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(head)) + head + data)
    with open(folder + "/adapter_config.json", "w", encoding="ascii") as file:
        json.dump({"peft_type": "LORA", "r": rank, "lora_alpha": 32, "target_modules": ["q_proj", "v_proj"]}, file)


def measure_adapters(lmfast, model, shapes, rounds):
    """Tokens/s of 4 requests with one adapter, and with four."""
    with tempfile.TemporaryDirectory() as folder:
        names = [f"a{i}" for i in range(4)]
        for i, name in enumerate(names):
            write_adapter(f"{folder}/{name}", shapes, i)
        script = folder + "/serve.lua"
        with open(script, "w", encoding="utf-8") as file:
            file.write(f'local lm = require "lmfast"\nlocal m = lm.load "{model}"\n')
            file.writelines(f'm:add_adapter("{folder}/{name}", {{ name = "{name}" }})\n' for name in names)
            file.write('lm.serve{ model = m, name = "m", port = tonumber(arg[1]), log = false }:wait()\n')
        server, found = Server([lmfast, script, "PORT"]), {1: [], 4: []}
        for i in range(rounds):
            for kinds, speeds in found.items():
                clients = [Client(text(3, 50 * i + k), 128, model=f"m:{names[k % kinds]}") for k in range(4)]
                speeds.append(4 * 128 / run(server.port, clients))
        server.stop()
    return [statistics.median(found[kinds]) for kinds in (1, 4)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--lmfast", default="build/release/bin/lmfast")
    parser.add_argument("--peer", default="llama-server")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shapes", default="30,576,576,192", help="layers, hidden size, query rows, value rows (default: SmolLM2-135M)")
    options = parser.parse_args()
    commands = {"lmfast": [options.lmfast, "serve", "--model", options.model, "--name", "m", "--port", "PORT"],
                "llama-server": [options.peer, "-m", options.model, "-np", "8", "-c", "32768", "--port", "PORT"]}
    results = {name: [] for name in commands}
    for i in range(options.rounds):
        for name, command in commands.items():
            results[name].append(measure(command, i + 1))
    print(f"{'':45} {'lmfast':>10} {'llama-server':>13} {'ratio':>7}")
    for row in results["lmfast"][0]:
        own, peer = (statistics.median(r[row] for r in results[name]) for name in commands)
        print(f"{row:45} {own:10.3f} {peer:13.3f} {own / peer:7.2f}")
    one, four = measure_adapters(options.lmfast, options.model, [int(n) for n in options.shapes.split(",")], options.rounds)
    print(f"{'4 requests with 4 adapters / with one, tok/s':45} {four:10.3f} {one:13.3f} {four / one:7.2f}")


if __name__ == "__main__":
    main()
