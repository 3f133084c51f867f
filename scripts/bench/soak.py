#!/usr/bin/env python3
"""Keeps a server busy for minutes, with good, bad and vanishing clients mixed, and checks that nothing is lost, crossed or leaked.

Usage: soak.py MODEL.gguf [--lmfast PROGRAM] [--minutes 10] [--connections 64]

Each worker sends one request after the other: chats, streams, streams that it leaves, requests that must be refused, half-closed and
slow connections. Greedy answers are compared with those that the server gave alone, so a crossed or cut stream is seen. At the end it
prints requests of each kind, requests/s, and resident memory over time. Exit code 1 where an answer was wrong or missing, or memory of
the last third is more than 3 % above that of the second third.
"""

import argparse
import collections
import http.client
import json
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time

PROMPTS = [f"Say the number {i} and a word that begins with {chr(97 + i % 26)}." for i in range(48)]


def body_of(prompt, stream):
    return {"model": "m", "messages": [{"role": "user", "content": prompt}], "max_tokens": 12, "temperature": 0, "stream": stream}


class Server:
    def __init__(self, lmfast, model):
        self.process = subprocess.Popen([lmfast, "serve", "--model", model, "--name", "m", "--port", "0", "--no-log", "--header_timeout", "2"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if found := re.match(r"Server http://127.0.0.1:(\d+)", line):
                self.port = int(found.group(1))
                break
        threading.Thread(target=lambda: [None for _ in self.process.stderr], daemon=True).start()

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def resident(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024


def post(connection, data, path="/v1/chat/completions"):
    connection.request("POST", path, data if isinstance(data, bytes) else json.dumps(data), {"content-type": "application/json"})
    return connection.getresponse()


def chat(connection, prompt):
    reply = post(connection, body_of(prompt, False))
    text = json.loads(reply.read())
    assert reply.status == 200, text
    return text["choices"][0]["message"]["content"]


def stream(connection, prompt, most=None):
    """The joined text; of `most` pieces where given, and then the client goes."""
    reply, text, pieces, ended = post(connection, body_of(prompt, True)), "", 0, False
    assert reply.status == 200, reply.read()
    for line in reply:
        if line.startswith(b"data: [DONE]"):
            ended = True
        elif line.startswith(b"data: ") and (choices := json.loads(line[6:])["choices"]):
            text += choices[0]["delta"].get("content") or ""
            pieces += 1
        if most and pieces >= most:
            connection.close()
            return text
    assert ended, f"the stream of {prompt!r} ended early: {text!r}"
    return text


BAD = [(b"{", 400), (b"\xff\xfe", 400), (b"[" * 5000, 400), ({"model": "m"}, 400), ({"model": "nobody", "messages": [{"role": "user", "content": "x"}]}, 404),
       (body_of("x", False) | {"no_such_field": 1}, 400), (body_of("x", False) | {"temperature": -1}, 400), (body_of("long " * 9000, False), 400)]


def bad(connection, rng):
    data, expected = rng.choice(BAD)
    reply = post(connection, data)
    assert "error" in json.loads(reply.read()) and reply.status == expected, (data[:80] if isinstance(data, bytes) else data.keys(), reply.status)


def half_closed(server):
    """A client that has said all and closed its side still gets its answer."""
    data = json.dumps(body_of(PROMPTS[0], False)).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as sock:
        sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
                     b"Content-Length: %d\r\n\r\n" % len(data) + data)
        reply = b""
        while part := sock.recv(65536):
            reply += part
        assert reply.startswith(b"HTTP/1.1 200"), reply[:200]


def slow(server):
    """Headers that never end are cut off."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as sock:
        sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        while sock.recv(65536):
            pass


class Soak:
    def __init__(self, server, expected, end):
        self.server, self.expected, self.end = server, expected, end
        self.counts, self.problems, self.lock = collections.Counter(), [], threading.Lock()

    def worker(self, seed):
        rng, connection = random.Random(seed), self.server.connect()
        while time.time() < self.end and len(self.problems) < 20:
            kind = rng.choices(["chat", "stream", "leave", "bad", "half closed", "slow"], [30, 40, 15, 12, 2.5, 0.5])[0]
            try:
                self.one(kind, rng, connection)
            except Exception as error:  # each kind of failure is reported with its request
                with self.lock:
                    self.problems.append(f"{kind}: {type(error).__name__}: {str(error)[:300]}")
                connection.close()
            with self.lock:
                self.counts[kind] += 1

    def one(self, kind, rng, connection):
        prompt = rng.choice(PROMPTS)
        if kind == "chat":
            assert (got := chat(connection, prompt)) == self.expected[prompt], f"{prompt!r}: {got!r}, alone {self.expected[prompt]!r}"
        elif kind == "stream":
            assert (got := stream(connection, prompt)) == self.expected[prompt], f"{prompt!r}: {got!r}, alone {self.expected[prompt]!r}"
        elif kind == "leave":
            assert self.expected[prompt].startswith(stream(connection, prompt, rng.randint(1, 6)))
        elif kind == "bad":
            bad(connection, rng)
        elif kind == "half closed":
            half_closed(self.server)
        else:
            slow(self.server)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--lmfast", default="build/release/bin/lmfast")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--connections", type=int, default=64)
    options = parser.parse_args()
    server = Server(options.lmfast, options.model)
    alone = server.connect()
    expected = {prompt: chat(alone, prompt) for prompt in PROMPTS}
    soak = Soak(server, expected, time.time() + 60 * options.minutes)
    workers = [threading.Thread(target=soak.worker, args=(i,)) for i in range(options.connections)]
    begin = time.time()
    for w in workers:
        w.start()
    memory = []
    while any(w.is_alive() for w in workers):
        memory.append(server.resident())
        time.sleep(options.minutes * 60 / 300)
    seconds = time.time() - begin
    for w in workers:
        w.join()
    server.process.send_signal(signal.SIGTERM)
    code = server.process.wait(60)
    third = len(memory) // 3
    middle, last = statistics.mean(memory[third:2 * third]), statistics.mean(memory[2 * third:])
    print(f"{sum(soak.counts.values())} requests in {seconds:.0f} s: {dict(soak.counts)}, {sum(soak.counts.values()) / seconds:.1f} a second")
    print(f"resident memory, MB: {memory[0]:.1f} at the start, {middle:.1f} in the second third, {last:.1f} in the last; ended with {code}")
    for problem in soak.problems:
        print("problem:", problem)
    sys.exit(1 if soak.problems or last > 1.03 * middle or code not in (0, 143) else 0)


if __name__ == "__main__":
    main()
