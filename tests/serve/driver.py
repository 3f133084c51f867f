"""A server under test: lmfast running a script or `lmfast serve`, and requests to it."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from case_runner import Skip, run_cases  # noqa: E402,F401  (for the cases and run.py)

ROOT = pathlib.Path(__file__).resolve().parents[2]
TINY = ROOT / "tests/data/models/smolvlm"   # has a tokenizer, a chat template, and sees


def real_model():
    """SmolLM2-135M-Instruct, where the tests' models are."""
    folders = [os.environ.get("LMFAST_TEST_MODELS"), os.environ.get("LMFAST_MODELS"),
               os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "lmfast/models")]
    for folder in filter(None, folders):
        path = os.path.join(folder, "SmolLM2-135M-Instruct.Q4_1.gguf")
        if os.path.exists(path):
            return path
    raise Skip("SmolLM2-135M-Instruct.Q4_1.gguf is missing")


class Server:
    """`with Server(lmfast, "--model", path) as s`, or lua= a script that ends in `srv:wait()` and calls its server srv."""

    def __init__(self, lmfast, *options, lua=None):
        if lua:
            self.file = tempfile.NamedTemporaryFile("w", suffix=".lua", delete=False)
            self.file.write(lua + '\nio.stderr:write(tostring(srv) .. "\\n")\nsrv:wait()\n')
            self.file.close()
            command = [lmfast, self.file.name]
        else:
            command = [lmfast, "serve", "--port", "0", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.log = []
        for line in self.process.stderr:
            self.log.append(line)
            found = re.match(r"Server (http\S+)", line)
            if found:
                self.url = found.group(1)
                return
        raise AssertionError("the server did not start: " + "".join(self.log))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop(signal.SIGKILL)

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.log += self.process.communicate(timeout=60)[1].splitlines()
        return self.process.returncode

    def ask(self, path, body=None, headers=None, method=None):
        """(status, headers, body as JSON or text)"""
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json"} | (headers or {}), method=method)
        try:
            reply = urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as error:
            reply = error
        text = reply.read().decode()
        try:
            return reply.status, dict(reply.headers), json.loads(text)
        except ValueError:
            return reply.status, dict(reply.headers), text

    def chat(self, text="Hi", headers=None, **options):
        return self.ask("/v1/chat/completions", {"messages": [{"role": "user", "content": text}], "max_tokens": 8, "temperature": 0} | options, headers)
