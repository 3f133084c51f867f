"""Streaming clients of /v1/completions in one thread: on two cores a thread for each would take the server's time."""

import json
import random
import selectors
import socket
import time

WORDS = "alpha beta gamma delta epsilon zeta eta theta iota kappa".split()


def text(n, seed):
    rng = random.Random(seed)
    return " ".join(rng.choice(WORDS) for _ in range(n))


def post(path, body):
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n"
    return head.encode(), data


class Client:
    """One request: `at` seconds after the start, `n` tokens of the answer to `prompt`, which nothing but `n` ends."""

    def __init__(self, prompt, n, at=0.0, model="m", temperature=0.8):
        self.at, self.data, self.times = at, b"", []
        head, body = post("/v1/completions", {"model": model, "prompt": prompt, "max_tokens": n, "temperature": temperature,
                                              "stream": True, "ignore_eos": True})
        self.request = head + b"Connection: close\r\n\r\n" + body

    def take(self, data, now):
        self.data += data
        self.times += [now - self.at] * data.count(b"data: {")

    def check(self):
        if not self.data.startswith(b"HTTP/1.1 200"):
            raise AssertionError(self.data[:500].decode(errors="replace"))


def run(port, clients):
    """Runs them all and returns the seconds until the last has its answer; times of pieces are in `times`, from each one's start."""
    waiting, selector, running = sorted(clients, key=lambda c: c.at), selectors.DefaultSelector(), 0
    begin = time.perf_counter()
    while waiting or running:
        now = time.perf_counter() - begin
        while waiting and waiting[0].at <= now:
            client = waiting.pop(0)
            sock = socket.create_connection(("127.0.0.1", port), timeout=300)
            sock.sendall(client.request)
            selector.register(sock, selectors.EVENT_READ, client)
            running += 1
        for key, _ in selector.select(max(0.0, waiting[0].at - now) if waiting else 300):
            data = key.fileobj.recv(1 << 16)
            key.data.take(data, time.perf_counter() - begin)
            if not data:
                selector.unregister(key.fileobj)
                key.fileobj.close()
                running -= 1
    for client in clients:
        client.check()
    return time.perf_counter() - begin


def round_trips(port, path, body, connections, each):
    """Seconds of each request where `connections` are open and take turns, one request at a time. A server may close them between two."""
    head, data = post(path, body)
    request, spent = head + b"\r\n" + data, []
    connect = lambda: socket.create_connection(("127.0.0.1", port), timeout=60)
    socks = [connect() for _ in range(connections)]
    for _ in range(each):
        for i in range(connections):
            begin = time.perf_counter()
            if answered(socks[i], request):
                spent.append(time.perf_counter() - begin)
            else:
                socks[i].close()
                socks[i] = connect()
    for sock in socks:
        sock.close()
    return spent


def answered(sock, request):
    reply = b""
    try:
        sock.sendall(request)
        while not complete(reply):
            data = sock.recv(1 << 16)
            if not data:
                return False
            reply += data
    except OSError:
        return False
    return True


def complete(reply):
    head, end, body = reply.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:]) if end else {}
    return bool(end) and (len(body) >= int(fields[b"content-length"]) if b"content-length" in fields else body.endswith(b"0\r\n\r\n"))
