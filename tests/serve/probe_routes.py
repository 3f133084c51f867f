"""Checks of OpenAI's other routes: completions, embeddings, tokens, responses, files, batches."""

import base64
import json
import math
import struct
import time

from probe_support import check, near, refuses, respond, SCHEMA

# --- completions

@check
def completion(t):
    assert "Paris" in t.complete().choices[0].text

@check
def completion_default_is_16_tokens(t):
    assert t.openai.completions.create(model=t.model, prompt="Once upon a time", temperature=0).usage.completion_tokens == 16

@check
def completion_legacy_logprobs(t):
    r = t.complete(logprobs=2)
    lp = r.choices[0].logprobs
    assert len(lp.tokens) == len(lp.token_logprobs) == len(lp.text_offset) == len(lp.top_logprobs) == r.usage.completion_tokens
    assert all(len(top) in (2, 3) for top in lp.top_logprobs) and "".join(lp.tokens) == r.choices[0].text

@check
def completion_echo(t):
    assert t.complete(echo=True).choices[0].text.startswith("The capital of France is")

@check
def completion_echo_scores_the_prompt(t):
    lp = t.complete(echo=True, logprobs=1, max_tokens=0).choices[0].logprobs
    assert lp.tokens[0] == "The" and lp.token_logprobs[0] is None and all(x < 0 for x in lp.token_logprobs[1:])

@check
def completion_scores_agree_with_generation(t):
    made = t.complete(logprobs=1, max_tokens=4, extra_body={"return_token_ids": True}).choices[0]
    scored = t.complete(made.prompt_token_ids + made.token_ids, echo=True, logprobs=1, max_tokens=0).choices[0].logprobs
    for a, b in zip(made.logprobs.token_logprobs, scored.token_logprobs[-len(made.token_ids):]):
        near(a, b, 1e-3)

@check
def completion_token_ids(t):
    ids = t.post("/tokenize", {"model": t.model, "content": "The capital of France is"})["tokens"]
    assert t.complete(ids).choices[0].text == t.complete().choices[0].text

@check
def completion_many_prompts_times_n(t):
    r = t.complete(["One two", "Red green"], n=2, temperature=1, seed=5)
    assert [c.index for c in r.choices] == [0, 1, 2, 3]

@check
def completion_many_token_prompts(t):
    tokens = [t.post("/tokenize", {"model": t.model, "content": x})["tokens"] for x in ("One two", "Red green")]
    assert len(t.complete(tokens).choices) == 2

@check
def completion_best_of(t):
    r = t.complete("Once", best_of=4, n=2, temperature=1, seed=1)
    assert len(r.choices) == 2

@check
def completion_suffix_without_fim_is_400(t):
    refuses(lambda: t.complete(suffix="the end"), 400, "suffix")

@check
def completion_stream(t):
    assert "".join(c.choices[0].text for c in t.complete(stream=True) if c.choices) == t.complete().choices[0].text

@check
def completion_extra_samplers(t):
    t.complete(extra_body={"top_k": 20, "min_p": 0.05, "repetition_penalty": 1.1, "typical_p": 0.9, "xtc_probability": 0.1,
                           "dry_multiplier": 0.5, "top_n_sigma": 2.0}, temperature=1)

@check
def completion_lm_eval_shape(t):
    ids = t.post("/tokenize", {"model": t.model, "content": "The capital of France is Paris"})["tokens"]
    r = t.openai.completions.create(model=t.model, prompt=[ids], max_tokens=1, logprobs=1, echo=True, temperature=0, seed=1234)
    lp = r.choices[0].logprobs
    assert len(lp.token_logprobs) == len(ids) + 1 and len(lp.top_logprobs) == len(ids) + 1

# --- embeddings, tokens, rerank

@check
def embeddings_float_and_base64_agree(t):
    floats = t.openai.embeddings.create(model=t.model, input="hello", encoding_format="float").data[0].embedding
    packed = t.post("/v1/embeddings", {"model": t.model, "input": "hello", "encoding_format": "base64"})["data"][0]["embedding"]
    raw = base64.b64decode(packed)
    for a, b in zip(floats, struct.unpack(f"<{len(raw) // 4}f", raw)):
        near(a, b, 1e-6)

@check
def embeddings_batch_dimensions_norm(t):
    r = t.openai.embeddings.create(model=t.model, input=["a", "b c"], dimensions=16)
    assert [d.index for d in r.data] == [0, 1] and all(len(d.embedding) == 16 for d in r.data)
    near(math.sqrt(sum(x * x for x in r.data[0].embedding)), 1, 1e-3)

@check
def embeddings_of_token_ids(t):
    ids = t.post("/tokenize", {"model": t.model, "prompt": "hello"})["tokens"]
    a, b = (t.openai.embeddings.create(model=t.model, input=x, encoding_format="float").data[0].embedding for x in ("hello", ids))
    near(a[0], b[0], 1e-6)

@check
def tokenize_detokenize(t):
    text = "Grüße, 世界! 🚀"
    ids = t.post("/tokenize", {"model": t.model, "content": text})["tokens"]
    assert t.post("/detokenize", {"model": t.model, "tokens": ids})["content"] == text

@check
def rerank(t):
    r = t.post("/v1/rerank", {"model": t.model, "query": "capital of France", "documents": ["Rome", "Paris is the capital of France"], "top_n": 1})
    assert len(r["results"]) == 1 and "relevance_score" in r["results"][0]

# --- responses

@check
def responses_text(t):
    r = respond(t)
    assert "Paris" in r.output_text and r.status == "completed" and r.usage.output_tokens > 0

@check
def responses_incomplete(t):
    r = respond(t, "Write a long story.", max_output_tokens=3)
    assert r.status == "incomplete" and r.incomplete_details.reason == "max_output_tokens"

@check
def responses_stream_events(t):
    events = list(respond(t, stream=True))
    kinds = [e.type for e in events]
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
    assert [e.sequence_number for e in events] == list(range(len(events)))
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert text == events[-1].response.output_text == respond(t).output_text

@check
def responses_go_on_from_the_previous(t):
    first = respond(t, "My name is Ada.")
    second = respond(t, "Hi", previous_response_id=first.id)
    alone = respond(t, "Hi")
    assert second.usage.input_tokens > alone.usage.input_tokens and second.previous_response_id == first.id

@check
def responses_retrieve_items_delete(t):
    r = respond(t)
    assert t.openai.responses.retrieve(r.id).output_text == r.output_text
    assert len(list(t.openai.responses.input_items.list(r.id))) == 1
    t.openai.responses.delete(r.id)
    refuses(lambda: t.openai.responses.retrieve(r.id), 404)

@check
def responses_store_false(t):
    r = respond(t, store=False)
    refuses(lambda: t.openai.responses.retrieve(r.id), 404)

@check
def responses_json_schema(t):
    r = respond(t, "Describe a person.", max_output_tokens=80,
                text={"format": {"type": "json_schema", "name": "person", "strict": True, "schema": SCHEMA}})
    assert set(json.loads(r.output_text)) == {"name", "age"}

@check
def responses_instructions_and_messages(t):
    respond(t, [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
            instructions="Answer in French.")

@check
def responses_unknown_previous_is_refused(t):
    refuses(lambda: respond(t, previous_response_id="resp_none"), 404)

@check
def responses_background_is_400(t):
    refuses(lambda: respond(t, background=True), 400, "background")

# --- files and batches

@check
def files_round_trip(t):
    f = t.openai.files.create(file=("notes.txt", b"hello\n--boundary\r\n"), purpose="user_data")
    assert t.openai.files.content(f.id).read() == b"hello\n--boundary\r\n" and f.filename == "notes.txt"
    assert f.id in [x.id for x in t.openai.files.list()]
    t.openai.files.delete(f.id)
    refuses(lambda: t.openai.files.retrieve(f.id), 404)

def run_batch(t, lines):
    data = "\n".join(json.dumps(line) for line in lines).encode()
    f = t.openai.files.create(file=("in.jsonl", data), purpose="batch")
    batch = t.openai.batches.create(input_file_id=f.id, endpoint="/v1/chat/completions", completion_window="24h")
    for _ in range(600):
        batch = t.openai.batches.retrieve(batch.id)
        if batch.status in ("completed", "failed", "cancelled"):
            return batch
        time.sleep(0.05)
    raise AssertionError(f"batch is {batch.status}")

@check
def batches_run(t):
    body = {"model": t.model, "messages": [{"role": "user", "content": "What is the capital of France?"}], "temperature": 0, "max_tokens": 16}
    lines = [{"custom_id": f"r{i}", "method": "POST", "url": "/v1/chat/completions", "body": body} for i in range(3)]
    lines.append({"custom_id": "bad", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "nope", "messages": []}})
    batch = run_batch(t, lines)
    assert batch.status == "completed" and batch.request_counts.completed == 3 and batch.request_counts.failed == 1
    out = [json.loads(x) for x in t.openai.files.content(batch.output_file_id).text.splitlines()]
    assert [x["custom_id"] for x in out] == ["r0", "r1", "r2"]
    assert "Paris" in out[0]["response"]["body"]["choices"][0]["message"]["content"]
    errors = [json.loads(x) for x in t.openai.files.content(batch.error_file_id).text.splitlines()]
    assert errors[0]["custom_id"] == "bad" and errors[0]["response"]["status_code"] == 404

@check
def moderations(t):
    r = t.openai.moderations.create(input="I like trees.", model=t.model)
    assert r.results[0].flagged is False
