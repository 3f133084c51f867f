"""What the checks of probe.py share: the list of checks, a server under test, expectations."""

import json
import urllib.request

import anthropic
import ollama
import openai

CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


class Target:
    def __init__(self, url, model):
        self.url, self.model = url, model
        self.openai = openai.OpenAI(base_url=url + "/v1", api_key="none", max_retries=0, timeout=60)
        self.anthropic = anthropic.Anthropic(base_url=url, api_key="none", max_retries=0, timeout=60)
        self.ollama = ollama.Client(host=url, timeout=60)

    def chat(self, text="What is the capital of France?", **options):
        options = {"temperature": 0, "max_tokens": 16} | options
        messages = options.pop("messages", [{"role": "user", "content": text}])
        return self.openai.chat.completions.create(model=self.model, messages=messages, **options)

    def complete(self, prompt="The capital of France is", **options):
        options = {"temperature": 0, "max_tokens": 8} | options
        return self.openai.completions.create(model=self.model, prompt=prompt, **options)

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=30) as reply:
            return reply.read().decode()

    def post(self, path, body):
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)


def refuses(call, status, *words):
    try:
        call()
    except openai.APIStatusError as error:
        assert error.status_code == status, f"status {error.status_code}, expected {status}"
        for word in words:
            assert word in str(error), f"{word!r} is not in {error}"
        return error
    raise AssertionError("was accepted")


def near(a, b, tolerance=1e-4):
    assert abs(a - b) <= tolerance, f"{a} and {b}"


SCHEMA = {"type": "object", "additionalProperties": False, "required": ["name", "age"],
          "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 1, "maximum": 99}}}


def respond(t, question="What is the capital of France?", **options):
    return t.openai.responses.create(model=t.model, input=question, **({"temperature": 0, "max_output_tokens": 16} | options))
