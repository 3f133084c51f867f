"""Runs lmfast with a home, a cache and a models folder of its own."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from case_runner import Skip, run_cases  # noqa: E402,F401  (for the cases and run.py)

from server import COMMIT


class Result:
    def __init__(self, ok, value, error, process):
        self.ok, self.value, self.error = ok, value, error  # error: code, message, hint
        self.stderr = process.stderr

    def path(self):
        assert self.ok, f"pull failed: {self.error}\n{self.stderr}"
        return self.value

    def fails(self, code, *words):
        """Checks the error's code and that its message and hint hold all words."""
        assert not self.ok, f"expected {code}, got {self.value!r}"
        text = self.error["message"] + "\n" + self.error.get("hint", "")
        assert self.error["code"] == code, f"expected {code}, got {self.error}"
        for word in words:
            assert word in text, f"{word!r} is not in {text!r}"
        return text


CODE = """
local lm = require("lm")
local ok, value = pcall(function() %s end)
local e = not ok and { code = value.code or "lua", message = tostring(value.message or value), hint = value.hint } or nil
print("RESULT " .. lm.json.encode({ ok = ok, value = ok and value or nil, error = e }))
"""


class Lmfast:
    def __init__(self, binary):
        self.binary = os.path.abspath(binary)

    def __enter__(self):
        self.home = tempfile.mkdtemp(prefix="lmfast-hub-")
        self.cache, self.models = self.home + "/hub", self.home + "/models"
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.home, ignore_errors=True)

    def environment(self, hub=None, **more):
        env = {name: value for name, value in os.environ.items()
               if not name.startswith(("HF_", "LMFAST_", "XDG_", "HUGGING", "TRANSFORMERS_")) and "proxy" not in name.lower()}
        env.update(HOME=self.home, HF_HUB_CACHE=self.cache, LMFAST_MODELS=self.models)
        env["HF_ENDPOINT"] = hub.endpoint if hub else "http://127.0.0.1:9"  # nobody answers there
        env.update({name: value for name, value in more.items() if value is not None})
        return env

    def start(self, code, hub=None, **env):
        return subprocess.Popen([self.binary, "-e", CODE % code], env=self.environment(hub, **env), cwd=self.home, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, code, hub=None, timeout=120, preexec=None, **env):
        """Runs Lua code that returns a value JSON can hold."""
        process = subprocess.run([self.binary, "-e", CODE % code], env=self.environment(hub, **env), cwd=self.home, text=True,
                                 stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False, preexec_fn=preexec)
        for line in process.stdout.splitlines():
            if line.startswith("RESULT "):
                answer = json.loads(line[7:])
                return Result(answer["ok"], answer.get("value"), answer.get("error"), process)
        raise AssertionError(f"no result; exit code {process.returncode}\n{process.stdout}\n{process.stderr}")

    def pull(self, hub, name, timeout=120, preexec=None, env=None, **options):
        fields = "".join(f", {key} = {lua(value)}" for key, value in options.items())
        return self.run(f"return lm.pull{{ {lua(name)}{fields} }}", hub, timeout, preexec, **(env or {}))

    def fetch(self, hub, connections=4, part_bytes=200000, retries=3, preexec=None):
        """The weights of org/model alone, in small parts, by the engine's own function."""
        code = f"""local hub = require("lm.engine.hub")
            local list = hub.list("org/model", "main", 1)
            for i = #list.files, 1, -1 do if list.files[i].path ~= "model.safetensors" then table.remove(list.files, i) end end
            return hub.fetch("org/model", "main", list, {{ connections = {connections}, part_bytes = {part_bytes}, retries = {retries} }},
              function() end)"""
        return self.run(code, hub, preexec=preexec)

    def repo(self, name="org/model"):
        return f"{self.cache}/models--{name.replace('/', '--')}"

    def snapshot(self, name="org/model"):
        return f"{self.repo(name)}/snapshots/{COMMIT}"

    def partials(self, name="org/model"):
        folder = self.repo(name) + "/blobs"
        return [entry for entry in os.listdir(folder) if entry.endswith(".incomplete")] if os.path.isdir(folder) else []


def lua(value):
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(lua(item) for item in value) + "}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def interrupt_when(process, condition, how=signal.SIGINT):
    """Sends the signal as soon as the condition holds; returns the exit code."""
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, "it ended before it could be interrupted:\n" + "\n".join(process.communicate())
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.01)
    process.send_signal(how)
    process.communicate(timeout=30)
    return process.returncode
