"""Checks of Anthropic's and Ollama's routes."""

import json
import urllib.request

import anthropic
import ollama

from probe_support import check, SCHEMA

# --- Anthropic

def message(t, text="What is the capital of France?", **options):
    options = {"max_tokens": 16, "extra_body": {"temperature": 0}} | options
    return t.anthropic.messages.create(model=t.model, messages=options.pop("messages", [{"role": "user", "content": text}]), **options)

@check
def anthropic_message(t):
    r = message(t)
    assert "Paris" in r.content[0].text and r.stop_reason == "end_turn" and r.usage.output_tokens > 0

@check
def anthropic_system_and_blocks(t):
    message(t, system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
            messages=[{"role": "user", "content": [{"type": "text", "text": "Hi"}]}])

@check
def anthropic_max_tokens(t):
    assert message(t, "Write a story.", max_tokens=3).stop_reason == "max_tokens"

@check
def anthropic_stop_sequence(t):
    r = message(t, stop_sequences=["Paris"])
    assert r.stop_reason == "stop_sequence" and r.stop_sequence == "Paris" and "Paris" not in r.content[0].text

@check
def anthropic_stream(t):
    with t.anthropic.messages.stream(model=t.model, max_tokens=16, extra_body={"temperature": 0},
                                     messages=[{"role": "user", "content": "What is the capital of France?"}]) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == final.content[0].text == message(t).content[0].text and final.usage.output_tokens > 0

@check
def anthropic_count_tokens(t):
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    n = t.anthropic.messages.count_tokens(model=t.model, messages=messages).input_tokens
    usage = message(t).usage
    assert n == usage.input_tokens + (usage.cache_read_input_tokens or 0)

@check
def anthropic_prefill(t):
    r = message(t, messages=[{"role": "user", "content": "Count."}, {"role": "assistant", "content": "1, 2, 3,"}])
    assert "4" in r.content[0].text

@check
def anthropic_error_shape(t):
    try:
        t.anthropic.messages.create(model="nope", max_tokens=4, messages=[{"role": "user", "content": "x"}])
    except anthropic.NotFoundError as error:
        assert error.body["type"] == "error" and error.body["error"]["type"] == "not_found_error"
        return
    raise AssertionError("was accepted")

@check
def anthropic_missing_max_tokens_is_400(t):
    try:
        t.post("/v1/messages", {"model": t.model, "messages": [{"role": "user", "content": "x"}]})
    except urllib.error.HTTPError as error:
        assert error.code == 400 and "max_tokens" in json.load(error)["error"]["message"]
        return
    raise AssertionError("was accepted")

# --- Ollama

@check
def ollama_chat(t):
    r = t.ollama.chat(model=t.model, messages=[{"role": "user", "content": "What is the capital of France?"}], options={"temperature": 0, "num_predict": 16})
    assert "Paris" in r.message.content and r.done_reason == "stop" and r.eval_count > 0

@check
def ollama_chat_stream(t):
    parts = list(t.ollama.chat(model=t.model, messages=[{"role": "user", "content": "Name a bird."}], stream=True,
                               options={"temperature": 0, "num_predict": 8}))
    assert parts[-1].done and len(parts) > 2 and not any(p.done for p in parts[:-1])

@check
def ollama_generate(t):
    r = t.ollama.generate(model=t.model, prompt="Name a colour.", options={"temperature": 0, "num_predict": 4})
    assert r.response and r.done and r.context

@check
def ollama_generate_raw(t):
    r = t.ollama.generate(model=t.model, prompt="The capital of France is", raw=True, options={"temperature": 0, "num_predict": 4})
    assert "Paris" in r.response

@check
def ollama_format_schema(t):
    r = t.ollama.chat(model=t.model, messages=[{"role": "user", "content": "A person"}], format=SCHEMA, options={"num_predict": 80})
    assert set(json.loads(r.message.content)) == {"name", "age"}

@check
def ollama_list_show_ps(t):
    assert any(m.model == t.model for m in t.ollama.list().models)
    assert t.ollama.show(t.model).details.family and t.ollama.ps().models

@check
def ollama_embed(t):
    assert len(t.ollama.embed(model=t.model, input=["a", "b"]).embeddings) == 2

@check
def ollama_pull_progress(t):
    assert [p.status for p in t.ollama.pull(t.model, stream=True)][-1] == "success"

@check
def ollama_unknown_option_is_400(t):
    try:
        t.ollama.generate(model=t.model, prompt="x", options={"no_such_option": 1})
    except ollama.ResponseError as error:
        assert error.status_code == 400 and "no_such_option" in error.error
        return
    except Exception as error:  # the package itself refuses it
        assert "no_such_option" in str(error)
        return
