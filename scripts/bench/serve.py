#!/usr/bin/env python3
"""Measures lmfast serve beside llama-server: the same file, the same requests, one after the other, and prints a table.

Usage: serve.py MODEL.gguf [--lmfast PROGRAM] [--peer LLAMA-SERVER] [--rounds N]

Rows: tokens/s of 8 clients (64 tokens each), longest gap of a running stream while a prompt of about 2,049 tokens arrives, time to
first token with a cached prefix of about 1,000 tokens, cold start to the first served token, overhead of a request without a model
(/health, 64 connections), resident memory. Each is the best of the rounds.
"""

import argparse
import http.client
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import threading
import time

WORDS = "alpha beta gamma delta epsilon zeta eta theta iota kappa".split()


def text(n, seed):
    rng = random.Random(seed)
    return " ".join(rng.choice(WORDS) for _ in range(n))


class Server:
    def __init__(self, command):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        begin = time.time()
        folder = os.path.dirname(os.path.realpath(command[0]))
        environment = dict(os.environ, LD_LIBRARY_PATH=folder) if "llama" in command[0] else None
        self.process = subprocess.Popen([*command, "--port", str(self.port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        while True:
            if self.process.poll() is not None or time.time() - begin > 120:
                raise SystemExit(f"{command[0]} does not start")
            try:
                self.stream("hello", 1)
                break
            except (OSError, http.client.HTTPException, AssertionError):
                time.sleep(0.005)
        self.cold_start = time.time() - begin

    def stream(self, prompt, n):
        """Returns times of the pieces, the first relative to the request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        body = {"model": "m", "prompt": prompt, "max_tokens": n, "temperature": 0, "stream": True, "ignore_eos": True}
        begin, times = time.time(), []
        connection.request("POST", "/v1/completions", json.dumps(body), {"content-type": "application/json"})
        reply = connection.getresponse()
        assert reply.status == 200, reply.status
        for line in reply:
            if line.startswith(b"data: {") and b'"choices":[{' in line:
                times.append(time.time() - begin)
        connection.close()
        return times

    def overhead(self, connections=64, each=20):
        spent = []

        def work():
            connection = http.client.HTTPConnection("127.0.0.1", self.port)
            for _ in range(each):
                begin = time.perf_counter()
                connection.request("GET", "/health")
                connection.getresponse().read()
                spent.append(time.perf_counter() - begin)

        together([work] * connections)
        return statistics.median(spent)

    def resident(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def together(works):
    threads = [threading.Thread(target=w) for w in works]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def measure(command, seed):
    server, rows = Server(command), {}
    begin = time.time()
    together([lambda i=i: server.stream(text(100, seed * 100 + i), 64) for i in range(8)])
    rows["8 clients, tokens/s"] = 8 * 64 / (time.time() - begin)
    gaps = []

    def running():
        times = server.stream(text(20, seed + 7), 200)
        gaps.append(max(b - a for a, b in zip(times, times[1:])))

    def arriving():
        time.sleep(0.3)
        server.stream(text(1100, seed + 8), 4)

    together([running, arriving])
    rows["longest gap while a long prompt arrives, s"] = gaps[0]
    prefix = text(540, seed + 9)
    server.stream(prefix + " one", 1)
    rows["first token with a cached prefix, s"] = server.stream(prefix + " two", 1)[0]
    rows["overhead at 64 connections, ms"] = 1000 * server.overhead()
    rows["cold start to the first token, s"] = server.cold_start
    rows["resident memory, MB"] = server.resident()
    server.stop()
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--lmfast", default="build/release/bin/lmfast")
    parser.add_argument("--peer", default="llama-server")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    commands = {"lmfast": [options.lmfast, "serve", "--model", options.model, "--name", "m"],
                "llama-server": [options.peer, "-m", options.model, "-np", "8", "-c", "32768"]}
    results = {name: [] for name in commands}
    for i in range(options.rounds):
        for name, command in commands.items():
            results[name].append(measure(command, i + 1))
    print(f"{'':45} {'lmfast':>10} {'llama-server':>13} {'ratio':>7}")
    for row in results["lmfast"][0]:
        best = max if "tokens/s" in row else min
        own, peer = (best(r[row] for r in results[name]) for name in commands)
        print(f"{row:45} {own:10.3f} {peer:13.3f} {own / peer:7.2f}")


if __name__ == "__main__":
    main()
