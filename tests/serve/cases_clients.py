"""The official packages of clients, installed into a folder of their own; skipped where the registries cannot be reached."""

import os
import shutil
import subprocess
import sys

from driver import ROOT, Server, Skip, real_model

FOLDER = os.environ.get("LMFAST_TEST_CLIENTS") or str(ROOT / "build/serve-clients")
HERE = os.path.dirname(os.path.abspath(__file__))


def run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=600, **options)


def python_with(packages, module):
    """A Python that has the packages."""
    python = FOLDER + "/python/bin/python"
    if not os.path.exists(python):
        made = run([sys.executable, "-m", "venv", FOLDER + "/python"])
        if made.returncode:
            raise Skip("python3-venv is missing")
    if run([python, "-c", f"import {module}"]).returncode:
        made = run([python, "-m", "pip", "install", "-q", *packages])
        if made.returncode:
            raise Skip(f"{', '.join(packages)} cannot be installed: " + made.stderr.strip().splitlines()[-1][:200])
    return python


def node_with(packages):
    if not shutil.which("node") or not shutil.which("npm"):
        raise Skip("node and npm are missing")
    os.makedirs(FOLDER + "/node", exist_ok=True)
    missing = [p for p in packages if not os.path.isdir(f"{FOLDER}/node/node_modules/{p}")]
    if missing:
        made = run(["npm", "install", "--silent", "--no-audit", "--no-fund", *missing], cwd=FOLDER + "/node")
        if made.returncode:
            raise Skip(f"{', '.join(missing)} cannot be installed: " + (made.stderr or made.stdout).strip()[-200:])


def table(result):
    print("\n".join("table: " + line for line in result.stdout.splitlines()))
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-2000:]


def test_python_clients(lmfast):
    """openai, anthropic and ollama for Python: the table of probe.py"""
    model = real_model()
    python = python_with(["openai", "anthropic", "ollama"], "openai, anthropic, ollama")
    with Server(lmfast, "--model", model, "--name", "m", "--no-log") as s:
        table(run([python, HERE + "/probe.py", s.url, "m"]))


def test_node_clients(lmfast):
    """openai, @anthropic-ai/sdk, ollama and the Vercel ai package for Node"""
    model = real_model()
    node_with(["openai", "@anthropic-ai/sdk", "ollama", "ai", "@ai-sdk/openai-compatible"])
    script = FOLDER + "/node/probe.mjs"
    shutil.copyfile(HERE + "/probe.mjs", script)
    with Server(lmfast, "--model", model, "--name", "m", "--no-log") as s:
        table(run(["node", script, s.url, "m"]))


def test_page(lmfast):
    """the playground in headless Chromium: chat, stop, regenerate, parameters, tokens, metrics, phone width"""
    model = real_model()
    if not any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")):
        raise Skip("chromium is missing")
    node_with(["playwright-core"])
    with Server(lmfast, "--model", model, "--name", "m", "--no-log") as s:
        table(run(["node", HERE + "/page.cjs", s.url], env=os.environ | {"NODE_PATH": FOLDER + "/node/node_modules"}))


def test_langchain(lmfast):
    """LangChain's ChatOpenAI"""
    model = real_model()
    python = python_with(["langchain-openai"], "langchain_openai")
    code = """
import sys
from langchain_openai import ChatOpenAI
m = ChatOpenAI(base_url=sys.argv[1] + "/v1", api_key="none", model="m", temperature=0, max_tokens=16)
whole = m.invoke("What is the capital of France?").content
assert "Paris" in whole, whole
assert "".join(c.content for c in m.stream("What is the capital of France?")) == whole
from pydantic import BaseModel, Field
class Person(BaseModel):
    name: str = Field(max_length=12)
    age: int = Field(ge=1, le=99)
p = ChatOpenAI(base_url=sys.argv[1] + "/v1", api_key="none", model="m", temperature=0, max_tokens=80).with_structured_output(Person).invoke("A person.")
assert isinstance(p, Person)
"""
    with Server(lmfast, "--model", model, "--name", "m", "--no-log") as s:
        result = run([python, "-c", code, s.url])
        assert result.returncode == 0, result.stderr[-3000:]


def test_lm_eval(lmfast):
    """lm-evaluation-harness' local-completions: the log-likelihoods of a small task are those of Model:score"""
    model = real_model()
    python = python_with(["lm-eval[api]"], "lm_eval, tenacity, aiohttp")
    pairs = [("The capital of France is", " Paris"), ("The capital of France is", " a beautiful city"),
             ("Water is made of hydrogen and", " oxygen"), ("One, two, three,", " four, five"), ("The sky is", " blue and clear")]
    code = """
import json, sys
from lm_eval.models.openai_completions import LocalCompletionsAPI
from lm_eval.api.instance import Instance
m = LocalCompletionsAPI(base_url=sys.argv[1] + "/v1/completions", model="m", tokenizer_backend="remote", num_concurrent=1, batch_size=2)
pairs = json.loads(sys.argv[2])
requests = [Instance(request_type="loglikelihood", doc={}, arguments=tuple(p), idx=i) for i, p in enumerate(pairs)]
print(json.dumps(m.loglikelihood(requests, disable_tqdm=True)))
"""
    lua = f"""
local lm, json = require "lmfast", require "lm.json"
local m, out = lm.load "{model}", {{}}
for i, p in ipairs(json.decode(arg[1])) do
  out[i] = m:score{{ prompt = p[1], completion = p[2] }}.sum
end
print(json.encode(out))"""
    import json
    import tempfile
    with Server(lmfast, "--model", model, "--name", "m", "--no-log") as s:
        result = run([python, "-c", code, s.url, json.dumps(pairs)])
        assert result.returncode == 0, result.stderr[-3000:]
        theirs = json.loads(result.stdout.splitlines()[-1])
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(lua)
        file.flush()
        result = run([lmfast, file.name, json.dumps(pairs)])
        assert result.returncode == 0, result.stderr[-3000:]
    ours = json.loads(result.stdout)
    assert len(ours) == len(theirs) == len(pairs)
    for pair, (a, _), b in zip(pairs, theirs, ours):
        assert abs(a - b) < 1e-3, (pair, a, b)
