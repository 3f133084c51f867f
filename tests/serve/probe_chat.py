"""Checks of models, chat completions, tools, streams and of what is refused."""

import concurrent.futures
import json
import urllib.request

from probe_support import check, near, refuses, respond, SCHEMA

# --- models and health

@check
def models_list(t):
    assert t.model in [m.id for m in t.openai.models.list()]

@check
def models_retrieve(t):
    assert t.openai.models.retrieve(t.model).id == t.model

@check
def models_retrieve_unknown_is_404(t):
    refuses(lambda: t.openai.models.retrieve("no-such-model"), 404)

@check
def health(t):
    assert json.loads(t.get("/health"))["status"] == "ok"

@check
def metrics_prometheus(t):
    t.chat()
    text = t.get("/metrics")
    assert "# TYPE" in text and "vllm:generation_tokens_total" in text

@check
def openapi_document(t):
    assert "/v1/chat/completions" in json.loads(t.get("/openapi.json"))["paths"]

# --- chat completions

@check
def chat_answers(t):
    r = t.chat()
    assert "Paris" in r.choices[0].message.content and r.choices[0].finish_reason == "stop"

@check
def chat_usage_adds_up(t):
    u = t.chat().usage
    assert u.total_tokens == u.prompt_tokens + u.completion_tokens and u.completion_tokens > 0

@check
def chat_cached_tokens_are_told(t):
    text = "Tell me about the sea and the ships that sail on it every day of the year. " * 8
    t.chat(text)
    assert t.chat(text + "Please.").usage.prompt_tokens_details.cached_tokens > 32

@check
def chat_max_tokens_is_length(t):
    r = t.chat("Write a long story.", max_tokens=3)
    assert r.choices[0].finish_reason == "length" and r.usage.completion_tokens == 3

@check
def chat_max_completion_tokens(t):
    r = t.openai.chat.completions.create(model=t.model, messages=[{"role": "user", "content": "Write a story."}],
                                         max_completion_tokens=4, temperature=0)
    assert r.usage.completion_tokens == 4

@check
def chat_is_deterministic_at_temperature_0(t):
    assert t.chat("Name a bird.").choices[0].message.content == t.chat("Name a bird.").choices[0].message.content

@check
def chat_seed_repeats(t):
    a, b = (t.chat("Write a line.", temperature=1, seed=7).choices[0].message.content for _ in range(2))
    assert a == b

@check
def chat_seeds_differ(t):
    texts = {t.chat("Write a line.", temperature=1.5, seed=s).choices[0].message.content for s in range(4)}
    assert len(texts) > 1

@check
def chat_n_gives_distinct_choices(t):
    r = t.chat("Write a line.", n=6, temperature=1, seed=1)
    assert [c.index for c in r.choices] == list(range(6)) and len({c.message.content for c in r.choices}) > 1

@check
def chat_stop_string(t):
    whole = t.chat().choices[0].message.content
    cut = t.chat(stop=["Paris"]).choices[0]
    assert cut.message.content == whole.split("Paris")[0] and cut.finish_reason == "stop"

@check
def chat_four_stop_strings(t):
    assert "Paris" not in t.chat(stop=["x1", "x2", "x3", "Paris"]).choices[0].message.content

@check
def chat_logprobs(t):
    r = t.chat(logprobs=True)
    content = r.choices[0].logprobs.content
    assert len(content) == r.usage.completion_tokens and "".join(e.token for e in content) == r.choices[0].message.content
    assert all(e.logprob <= 0 for e in content)

@check
def chat_top_logprobs_sorted(t):
    for entry in t.chat(logprobs=True, top_logprobs=5).choices[0].logprobs.content:
        values = [x.logprob for x in entry.top_logprobs]
        assert len(values) == 5 and values == sorted(values, reverse=True)
        near(values[0], entry.logprob)  # greedy

@check
def chat_logprob_bytes(t):
    content = t.chat(logprobs=True).choices[0].logprobs.content
    assert b"".join(bytes(e.bytes) for e in content).decode() == "".join(e.token for e in content)

@check
def chat_top_logprobs_without_logprobs_is_400(t):
    refuses(lambda: t.chat(top_logprobs=2), 400, "logprobs")

@check
def chat_logit_bias_forbids(t):
    first = t.post("/tokenize", {"model": t.model, "content": "The"})["tokens"][0]
    assert not t.chat(logit_bias={str(first): -100}).choices[0].message.content.startswith("The")

@check
def chat_logit_bias_forces(t):
    token = t.post("/tokenize", {"model": t.model, "content": "Yes"})["tokens"][0]
    assert t.chat(logit_bias={str(token): 100}, max_tokens=3).choices[0].message.content == "YesYesYes"

@check
def chat_presence_penalty_changes(t):
    a = t.chat("Say one word again and again: tick tick tick tick", max_tokens=40)
    b = t.chat("Say one word again and again: tick tick tick tick", max_tokens=40, presence_penalty=2.0, frequency_penalty=2.0)
    assert a.choices[0].message.content != b.choices[0].message.content

@check
def chat_json_object(t):
    r = t.chat("Give me a person as JSON.", response_format={"type": "json_object"}, max_tokens=100)
    if r.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(r.choices[0].message.content), dict)
    else:
        assert r.choices[0].message.content.lstrip().startswith("{")

@check
def chat_json_schema_strict(t):
    r = t.chat("Describe a person.", max_tokens=80, response_format={
        "type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": SCHEMA}})
    value = json.loads(r.choices[0].message.content)
    assert set(value) == {"name", "age"} and 1 <= value["age"] <= 99

@check
def chat_json_schema_at_high_temperature(t):
    for seed in range(3):
        r = t.chat("Describe a person.", max_tokens=120, temperature=2.0, seed=seed, response_format={
            "type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": SCHEMA}})
        assert set(json.loads(r.choices[0].message.content)) == {"name", "age"}

@check
def chat_bad_schema_is_400(t):
    refuses(lambda: t.chat(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": 3}}}), 400)

@check
def chat_enum_choice(t):
    r = t.chat("Is the sky blue?", extra_body={"guided_choice": ["maybe", "perhaps"]})
    assert r.choices[0].message.content in ("maybe", "perhaps")

@check
def chat_regex(t):
    r = t.chat("Give me a date.", extra_body={"structured_outputs": {"regex": r"\d{4}-\d{2}-\d{2}"}})
    assert len(r.choices[0].message.content) == 10

@check
def chat_system_role(t):
    a = t.chat(messages=[{"role": "system", "content": "Answer in French."}, {"role": "user", "content": "Hello"}])
    b = t.chat(messages=[{"role": "user", "content": "Hello"}])
    assert a.usage.prompt_tokens != b.usage.prompt_tokens

@check
def chat_developer_role(t):
    roles = [t.chat(messages=[{"role": role, "content": "Be brief."}, {"role": "user", "content": "Hi"}]).choices[0].message.content
             for role in ("developer", "system")]
    assert roles[0] == roles[1]

@check
def chat_content_parts(t):
    a = t.chat(messages=[{"role": "user", "content": [{"type": "text", "text": "What is the capital "}, {"type": "text", "text": "of France?"}]}])
    assert a.choices[0].message.content == t.chat().choices[0].message.content

@check
def chat_image_to_a_text_model_is_400(t):
    refuses(lambda: t.chat(messages=[{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]}]), 400)

@check
def chat_history_with_broken_tool_call(t):
    t.chat(messages=[{"role": "user", "content": "Hi"},
                     {"role": "assistant", "content": None, "tool_calls": [
                         {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": '}}]},
                     {"role": "tool", "tool_call_id": "c1", "content": "42"}, {"role": "user", "content": "So?"}])

@check
def chat_reasoning_in_history(t):
    t.chat(messages=[{"role": "user", "content": "Hi"},
                     {"role": "assistant", "content": "Hello", "reasoning_content": "I greet."}, {"role": "user", "content": "So?"}])

# --- tools

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather of a city.", "strict": True,
    "parameters": {"type": "object", "additionalProperties": False, "required": ["city", "unit"], "properties": {
        "city": {"type": "string", "maxLength": 20}, "unit": {"type": "string", "enum": ["C", "F"]}}}}}
TIME = {"type": "function", "function": {
    "name": "get_time", "description": "The time.", "parameters": {
        "type": "object", "required": ["zone"], "properties": {"zone": {"type": "string", "maxLength": 10}}}}}

def call_of(t, question="What is the weather in Paris?", tools=(WEATHER, TIME), **options):
    return t.chat(question, tools=list(tools), **({"max_tokens": 120} | options)).choices[0]

def valid(call):
    arguments = json.loads(call.function.arguments)
    if call.function.name == "get_weather":
        assert set(arguments) == {"city", "unit"} and arguments["unit"] in ("C", "F")
    assert call.id and call.type == "function"
    return arguments

@check
def tools_required_gives_a_call(t):
    c = call_of(t, tool_choice="required")
    assert c.finish_reason == "tool_calls" and c.message.tool_calls
    for call in c.message.tool_calls:
        valid(call)

@check
def tools_named_gives_that_call(t):
    c = call_of(t, tool_choice={"type": "function", "function": {"name": "get_time"}}, parallel_tool_calls=False)
    assert [x.function.name for x in c.message.tool_calls] == ["get_time"] and valid(c.message.tool_calls[0])

@check
def tools_hold_at_high_temperature(t):
    for seed in range(3):
        for call in call_of(t, tool_choice="required", temperature=1.8, seed=seed, parallel_tool_calls=False).message.tool_calls:
            valid(call)

@check
def tools_none_gives_text(t):
    c = call_of(t, tool_choice="none", max_tokens=12)
    assert not c.message.tool_calls and c.message.content

@check
def tools_auto_answers(t):
    c = call_of(t, "Say hello.", tool_choice="auto")
    assert c.message.content or c.message.tool_calls

@check
def tools_not_parallel_is_one_call(t):
    for seed in range(3):
        c = call_of(t, "Weather in Paris, Rome and Berlin?", tool_choice="required", parallel_tool_calls=False, temperature=1, seed=seed)
        assert len(c.message.tool_calls) == 1

@check
def tools_stream_joins_to_the_whole(t):
    options = dict(tools=[WEATHER], tool_choice="required", parallel_tool_calls=False, max_tokens=120)
    pieces, ids, names, reason = [], [], [], None
    for chunk in t.chat("Weather in Paris?", stream=True, **options):
        choice = chunk.choices[0]
        reason = choice.finish_reason or reason
        for call in choice.delta.tool_calls or []:
            pieces.append(call.function.arguments or "")
            ids += [call.id] if call.id else []
            names += [call.function.name] if call.function.name else []
    whole = t.chat("Weather in Paris?", **options).choices[0].message.tool_calls[0].function
    assert "".join(pieces) == whole.arguments and names == [whole.name] and len(ids) == 1 and reason == "tool_calls"

@check
def tools_round_trip(t):
    c = call_of(t, tool_choice="required", tools=[WEATHER], parallel_tool_calls=False)
    call = c.message.tool_calls[0]
    t.chat(messages=[{"role": "user", "content": "Weather in Paris?"}, c.message.model_dump(exclude_none=True),
                     {"role": "tool", "tool_call_id": call.id, "content": "sunny"}], tools=[WEATHER])

@check
def tools_unknown_name_is_400(t):
    refuses(lambda: call_of(t, tool_choice={"type": "function", "function": {"name": "nope"}}), 400, "nope")

@check
def tools_required_without_tools_is_400(t):
    refuses(lambda: t.chat(tool_choice="required"), 400, "tool")

@check
def tools_bad_schema_is_400(t):
    bad = {"type": "function", "function": {"name": "f", "strict": True, "parameters": {"type": 3}}}
    refuses(lambda: call_of(t, tools=[bad], tool_choice="required"), 400)

@check
def tools_anthropic(t):
    tool = {"name": "get_weather", "description": "The weather.", "input_schema": WEATHER["function"]["parameters"]}
    r = t.anthropic.messages.create(model=t.model, max_tokens=120, tools=[tool], tool_choice={"type": "any", "disable_parallel_tool_use": True},
                                    messages=[{"role": "user", "content": "Weather in Paris?"}], extra_body={"temperature": 0})
    block = r.content[-1]
    assert r.stop_reason == "tool_use" and block.type == "tool_use" and set(block.input) == {"city", "unit"}
    t.anthropic.messages.create(model=t.model, max_tokens=8, tools=[tool], messages=[
        {"role": "user", "content": "Weather in Paris?"}, {"role": "assistant", "content": [block.model_dump()]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": block.id, "content": "sunny"}]}])

@check
def tools_anthropic_stream(t):
    tool = {"name": "get_weather", "description": "The weather.", "input_schema": WEATHER["function"]["parameters"]}
    with t.anthropic.messages.stream(model=t.model, max_tokens=120, tools=[tool], tool_choice={"type": "tool", "name": "get_weather"},
                                     messages=[{"role": "user", "content": "Weather in Paris?"}], extra_body={"temperature": 0}) as stream:
        for _ in stream:
            pass
        final = stream.get_final_message()
    assert final.stop_reason == "tool_use" and set(final.content[-1].input) == {"city", "unit"}

@check
def tools_ollama(t):
    r = t.ollama.chat(model=t.model, messages=[{"role": "user", "content": "What is the weather in Paris?"}], tools=[WEATHER],
                      options={"temperature": 0, "num_predict": 120})
    for call in r.message.tool_calls or []:
        assert set(call.function.arguments) == {"city", "unit"}

@check
def tools_responses(t):
    tool = {"type": "function", **WEATHER["function"]}
    r = respond(t, "Weather in Paris?", tools=[tool], tool_choice="required", parallel_tool_calls=False, max_output_tokens=120)
    call = next(x for x in r.output if x.type == "function_call")
    assert set(json.loads(call.arguments)) == {"city", "unit"}
    respond(t, [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}], previous_response_id=r.id)

@check
def tools_responses_stream(t):
    tool = {"type": "function", **WEATHER["function"]}
    events = list(respond(t, "Weather in Paris?", tools=[tool], tool_choice="required", stream=True, parallel_tool_calls=False, max_output_tokens=120))
    pieces = "".join(e.delta for e in events if e.type == "response.function_call_arguments.delta")
    done = next(e for e in events if e.type == "response.function_call_arguments.done")
    assert pieces == done.arguments == next(x for x in events[-1].response.output if x.type == "function_call").arguments

# --- streams

@check
def stream_joins_to_the_whole(t):
    pieces = [c.choices[0].delta.content or "" for c in t.chat(stream=True) if c.choices]
    assert "".join(pieces) == t.chat().choices[0].message.content and len(pieces) > 3

@check
def stream_first_chunk_has_the_role(t):
    assert next(iter(t.chat(stream=True))).choices[0].delta.role == "assistant"

@check
def stream_usage(t):
    chunks = list(t.chat(stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0
    assert all(c.usage is None for c in chunks[:-1])

@check
def stream_without_usage(t):
    assert all(c.choices and c.usage is None for c in t.chat(stream=True))

@check
def stream_n(t):
    texts = {}
    for chunk in t.chat("Write a line.", stream=True, n=3, temperature=1, seed=3):
        texts.setdefault(chunk.choices[0].index, []).append(chunk.choices[0].delta.content or "")
    whole = t.chat("Write a line.", n=3, temperature=1, seed=3)
    assert {i: "".join(p) for i, p in texts.items()} == {c.index: c.message.content for c in whole.choices}

@check
def stream_logprobs(t):
    entries = [e for c in t.chat(stream=True, logprobs=True) if c.choices and c.choices[0].logprobs for e in c.choices[0].logprobs.content]
    assert [e.token for e in entries] == [e.token for e in t.chat(logprobs=True).choices[0].logprobs.content]

@check
def stream_utf8_is_whole(t):
    for chunk in t.chat("Write emojis: 😀 🎉 🚀", stream=True, max_tokens=40, temperature=1, seed=2):
        if chunk.choices:
            assert "�" not in (chunk.choices[0].delta.content or "")

@check
def stream_closed_early_leaves_the_server_well(t):
    for chunk in t.chat("Write a long story.", stream=True, max_tokens=500):
        break
    assert t.chat(max_tokens=2).usage.completion_tokens == 2

@check
def streams_at_the_same_time_do_not_cross(t):
    words = ["apple", "horse", "river", "stone", "cloud", "train", "paper", "glass"]
    alone = {w: t.chat(f"Write about {w}.", max_tokens=24).choices[0].message.content for w in words}
    def run(w):
        return w, "".join(c.choices[0].delta.content or "" for c in t.chat(f"Write about {w}.", max_tokens=24, stream=True) if c.choices)
    with concurrent.futures.ThreadPoolExecutor(len(words)) as pool:
        assert dict(pool.map(run, words)) == alone

# --- what is refused

@check
def unknown_model_is_404(t):
    error = refuses(lambda: t.openai.chat.completions.create(model="nope", messages=[{"role": "user", "content": "x"}]), 404)
    assert error.code == "model_not_found"

@check
def negative_temperature_is_400(t):
    refuses(lambda: t.chat(temperature=-1), 400, "temperature")

@check
def wrong_type_is_400_with_param(t):
    error = refuses(lambda: t.chat(extra_body={"top_p": "high"}), 400)
    assert error.body["param"] == "top_p"

@check
def unknown_field_is_400_with_its_name(t):
    refuses(lambda: t.chat(extra_body={"temprature": 1}), 400, "temprature")

@check
def no_messages_is_400(t):
    refuses(lambda: t.chat(messages=[]), 400)

@check
def unknown_role_is_400(t):
    refuses(lambda: t.chat(messages=[{"role": "king", "content": "x"}]), 400, "king")

@check
def too_long_prompt_is_400_with_numbers(t):
    error = refuses(lambda: t.chat("word " * 100_000), 400, "100")
    assert error.code == "context_length_exceeded" or "exceed" in str(error)

@check
def deep_json_is_400(t):
    request = urllib.request.Request(t.url + "/v1/chat/completions", b"[" * 100_000, {"content-type": "application/json"})
    try:
        urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        assert error.code == 400
        return
    raise AssertionError("was accepted")

@check
def invalid_utf8_is_400(t):
    request = urllib.request.Request(t.url + "/v1/chat/completions", b'{"model": "\xff\xfe"}', {"content-type": "application/json"})
    try:
        urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        assert error.code == 400
        return
    raise AssertionError("was accepted")
