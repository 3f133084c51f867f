#!/usr/bin/env python3
"""Kills a server with SIGKILL while a batch runs, starts it again with the same state, and checks that nothing acknowledged is lost.

Usage: crash.py LMFAST MODEL [KILLS]
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, lmfast, model, state):
        self.url = f"http://127.0.0.1:{free_port()}"
        self.process = subprocess.Popen(
            [lmfast, "serve", "--model", model, "--name", "m", "--port", self.url.rsplit(":", 1)[1], "--state", state],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(600):
            try:
                self.ask("/ready")
                return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.05)
        raise AssertionError("the server does not start")

    def kill(self, how=signal.SIGKILL):
        os.kill(self.process.pid, how)
        self.process.wait(60)

    def ask(self, path, body=None, content_type="application/json"):
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": content_type})
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.read()


def batch_input(n):
    lines = []
    for i in range(n):
        body = {"model": "m", "messages": [{"role": "user", "content": f"Count to {i}."}], "max_tokens": 12, "temperature": 0}
        lines.append(json.dumps({"custom_id": f"r{i}", "method": "POST", "url": "/v1/chat/completions", "body": body}))
    return "\n".join(lines).encode()


def upload(server, data):
    form = (b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n' + data + b"\r\n--x--\r\n")
    return json.loads(server.ask("/v1/files", form, "multipart/form-data; boundary=x"))["id"]


def main():
    lmfast, model = sys.argv[1:3]
    kills = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    n, rng = 60, random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        state = os.path.join(folder, "state.db")
        server = Server(lmfast, model, state)
        data = batch_input(n)
        file = upload(server, data)
        batch = json.loads(server.ask("/v1/batches", {"input_file_id": file, "endpoint": "/v1/chat/completions",
                                                      "completion_window": "24h"}))["id"]
        stored, done = [], 0
        for _ in range(kills):
            time.sleep(rng.uniform(0.3, 1.0))
            reply = json.loads(server.ask("/v1/responses", {"model": "m", "input": "Hi", "max_output_tokens": 4}))
            stored.append(reply)
            counted = json.loads(server.ask("/v1/batches/" + batch))["request_counts"]["completed"]
            assert counted >= done, f"{counted} lines are answered; {done} were before"
            done = counted
            server.kill()
            print(f"killed with {done} of {n} lines answered")
            server = Server(lmfast, model, state)
            again = json.loads(server.ask("/v1/batches/" + batch))
            assert again["request_counts"]["completed"] >= done, f"{again['request_counts']} after {done}"
            assert server.ask(f"/v1/files/{file}/content") == data
            for response in stored:
                assert json.loads(server.ask("/v1/responses/" + response["id"])) == response
        for _ in range(1200):
            again = json.loads(server.ask("/v1/batches/" + batch))
            if again["status"] == "completed":
                break
            time.sleep(0.1)
        assert again["status"] == "completed", again
        out = [json.loads(line) for line in server.ask(f"/v1/files/{again['output_file_id']}/content").splitlines()]
        assert [line["custom_id"] for line in out] == [f"r{i}" for i in range(n)], "lines are lost or there twice"
        server.kill(signal.SIGTERM)
        assert server.process.returncode in (0, 128 + signal.SIGTERM), f"exit code {server.process.returncode} after SIGTERM"
    print(f"{len(stored)} responses, 1 file and {n} lines survived {kills} kills")


if __name__ == "__main__":
    main()
