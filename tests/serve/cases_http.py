"""What needs no client: keys, limits, hooks, routing, draining, crashes."""

import concurrent.futures
import http.client
import json
import signal
import time
import urllib.parse

from driver import TINY, Server

PRELUDE = f'local lm = require "lmfast"\nlocal m = lm.load "{TINY}"\n'


def text_of(reply):
    assert reply[0] == 200, reply
    return reply[2]["choices"][0]["message"]["content"]


def test_routes(lmfast):
    """every route of the list answers, in its dialect, or says what is missing"""
    with Server(lmfast, "--model", str(TINY), "--name", "tiny") as s:
        paths = s.ask("/openapi.json")[2]["paths"]
        assert len(paths) >= 30
        for path, operations in paths.items():
            for method, operation in operations.items():
                body = {} if "requestBody" in operation else None
                status, headers, reply = s.ask(path.replace("{id}", "nope"), body, method=method.upper())
                assert status in (200, 400, 404), (path, status, reply)
                assert status == 200 or "error" in reply, (path, reply)
                assert headers["x-request-id"]
        assert s.stop() in (0, 143)


def test_keys(lmfast):
    """without the key nothing is answered but health checks"""
    with Server(lmfast, "--model", str(TINY), "--api-key", "secret") as s:
        assert s.ask("/health")[0] == 200 and s.ask("/ready")[0] == 200
        for headers in ({}, {"authorization": "Bearer wrong"}, {"x-api-key": "secre"}):
            status, _, body = s.chat(headers=headers)
            assert status == 401 and body["error"]["code"] == "invalid_api_key"
        assert s.chat(headers={"authorization": "Bearer secret"})[0] == 200
        assert s.ask("/v1/messages/count_tokens", {"messages": [{"role": "user", "content": "x"}]}, {"x-api-key": "secret"})[0] == 200
        assert s.ask("/v1/messages", {}, {"x-api-key": "wrong"})[2]["error"]["type"] == "authentication_error"


def test_rates(lmfast):
    """more requests than a key may make are told when to come again"""
    with Server(lmfast, "--model", str(TINY), "--requests-per-minute", "2") as s:
        replies = [s.chat() for _ in range(4)]
        assert [r[0] for r in replies] == [200, 200, 429, 429]
        assert 1 <= int(replies[2][1]["retry-after"]) <= 60


def test_cors(lmfast):
    """pages of other servers are refused unless they are named"""
    with Server(lmfast, "--model", str(TINY), "--allowed-origins", "https://good.example") as s:
        assert s.ask("/v1/models", headers={"origin": "https://evil.example"})[0] == 403
        status, headers, _ = s.ask("/v1/models", headers={"origin": "https://good.example"})
        assert status == 200 and headers["access-control-allow-origin"] == "https://good.example"
        status, headers, _ = s.ask("/v1/chat/completions", headers={
            "origin": "https://good.example", "access-control-request-method": "POST"}, method="OPTIONS")
        assert status == 204 and "POST" in headers["access-control-allow-methods"]


def test_hooks(lmfast):
    """hooks change and refuse requests and answers; one that fails answers 500 and leaves the server up"""
    with Server(lmfast, lua=PRELUDE + '''
srv = lm.serve{ model = m, name = "tiny", port = 0, log = false,
  on_request = function(r)
    local text = r.body.messages and r.body.messages[1].content
    if text == "refuse" then return false, "not today" end
    if text == "fail" then error("broken on purpose") end
    if text == "short" then r.body.max_tokens = 1 end
    if text == "replace" then srv.on_token = function() return "X" end end
    if text == "stop" then srv.on_token = function() return false end end
  end,
  on_response = function(r) if r.text:find "X" then return "changed" end end }''') as s:
        assert s.chat("refuse")[0] == 403 and "not today" in s.chat("refuse")[2]["error"]["message"]
        status, _, body = s.chat("fail")
        assert status == 500 and "broken on purpose" in body["error"]["message"]
        assert s.chat("short")[2]["usage"]["completion_tokens"] == 1
        assert text_of(s.chat("replace")) == "changed"
        reply = s.chat("stop")[2]
        assert reply["choices"][0]["message"]["content"] == "" and reply["usage"]["completion_tokens"] <= 2


def test_router(lmfast):
    """rules choose models, a fallback answers for unknown names, models come and go"""
    with Server(lmfast, lua=PRELUDE + '''
srv = lm.serve{ models = { a = m, b = m }, port = 0, log = false, fallback = "a",
  router = { { when = "^to b", model = "b" } },
  on_request = function(r)
    if r.body.messages[1].content == "add" then srv:add(m, { name = "c" }); srv:remove "b" end
  end }''') as s:
        assert s.chat("to b", model="a")[2]["model"] == "b"
        assert s.chat("x", model="no-such")[2]["model"] == "a"
        s.chat("add")
        assert [r["id"] for r in s.ask("/v1/models")[2]["data"]] == ["a", "c"]


def test_idle_unload(lmfast):
    """a model that nobody asks leaves the memory and comes back"""
    with Server(lmfast, "--model", str(TINY), "--name", "tiny", "--idle-unload", "0.3") as s:
        loaded = lambda: s.ask("/v1/models")[2]["data"][0]["loaded"]
        assert not loaded()
        first = text_of(s.chat())
        assert loaded()
        for _ in range(100):
            time.sleep(0.05)
            if not loaded():
                break
        assert not loaded() and text_of(s.chat()) == first


def test_adapters(lmfast):
    """a LoRA adapter is a model name, beside its base in one batch"""
    data = TINY.parent
    with Server(lmfast, lua=f'''
local lm = require "lmfast"
local m = lm.load "{data}/llama"
m:add_adapter("{data}/llama-lora", {{ name = "lora" }})
srv = lm.serve{{ model = m, name = "base", port = 0, log = false }}''') as s:
        ask = lambda name: s.ask("/v1/completions", {"model": name, "prompt": [1, 5, 9], "max_tokens": 12, "temperature": 0,
                                                     "return_token_ids": True})[2]["choices"][0]["token_ids"]
        alone = [ask("base"), ask("base:lora")]
        assert alone[0] != alone[1]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert list(pool.map(ask, ["base", "base:lora"] * 4)) == alone * 4
        assert s.ask("/v1/completions", {"model": "base:none", "prompt": [1]})[0] == 404
        assert [r["id"] for r in s.ask("/v1/models")[2]["data"]] == ["base", "base:lora"]


def test_images(lmfast):
    """image parts are seen"""
    import base64
    picture = sorted((TINY.parents[1] / "images").glob("*.png"))[0]
    url = "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
    with Server(lmfast, "--model", str(TINY)) as s:
        parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "What is it?"}]
        reply = s.ask("/v1/chat/completions", {"messages": [{"role": "user", "content": parts}], "max_tokens": 4})
        alone = s.chat("What is it?")
        assert reply[0] == 200 and reply[2]["usage"]["prompt_tokens"] > alone[2]["usage"]["prompt_tokens"] + 3
        status, _, body = s.ask("/v1/chat/completions", {"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "http://127.0.0.1/x.png"}}]}]})
        assert status == 400 and "fetches no" in body["error"]["message"]


def test_cancel(lmfast):
    """a client that leaves ends its answer"""
    with Server(lmfast, "--model", str(TINY), "--name", "tiny") as s:
        where = urllib.parse.urlparse(s.url)
        connection = http.client.HTTPConnection(where.hostname, where.port)
        body = {"messages": [{"role": "user", "content": "x"}], "ignore_eos": True, "stream": True, "max_tokens": 100000}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
        connection.getresponse().read(200)
        connection.sock.close()
        connection.close()
        for _ in range(100):
            time.sleep(0.02)
            text = s.ask("/metrics")[2]
            if 'lmfast:num_requests_running{model_name="tiny"} 0' in text:
                break
        else:
            raise AssertionError("the answer went on")


def test_drain(lmfast):
    """SIGTERM lets an answer end; the exit code is that of the signal"""
    with Server(lmfast, "--model", str(TINY)) as s:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            answer = pool.submit(s.chat, max_tokens=200, ignore_eos=True)
            time.sleep(0.05)
            code = s.stop(signal.SIGTERM)
            assert answer.result()[0] == 200 and code == 143


def test_crash(lmfast):
    """what was acknowledged is there after kill -9: responses, files, a batch that goes on"""
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        options = ["--model", str(TINY), "--name", "tiny", "--state", folder + "/state.db"]
        rows = [json.dumps({"custom_id": f"r{i}", "method": "POST", "url": "/v1/chat/completions", "body": {
            "model": "tiny", "messages": [{"role": "user", "content": f"x{i}"}], "max_tokens": 60, "ignore_eos": True}}) for i in range(200)]
        form = b"\r\n".join([b'--XX', b'content-disposition: form-data; name="purpose"', b'', b'batch', b'--XX',
                             b'content-disposition: form-data; name="file"; filename="in.jsonl"', b'', "\n".join(rows).encode(), b'--XX--', b''])
        with Server(lmfast, *options) as s:
            response = s.ask("/v1/responses", {"input": "Hi", "max_output_tokens": 4})[2]
            file = s.ask("/v1/files", form, {"content-type": "multipart/form-data; boundary=XX"})[2]
            batch = s.ask("/v1/batches", {"input_file_id": file["id"], "endpoint": "/v1/chat/completions"})[2]
            done = 0
            while done < 10:
                time.sleep(0.01)
                done = s.ask("/v1/batches/" + batch["id"])[2]["request_counts"]["completed"]
            s.stop(signal.SIGKILL)
        with Server(lmfast, *options) as s:
            assert s.ask("/v1/responses/" + response["id"])[2]["output"] == response["output"]
            state = s.ask("/v1/batches/" + batch["id"])[2]
            assert state["request_counts"]["completed"] >= done
            for _ in range(600):
                state = s.ask("/v1/batches/" + batch["id"])[2]
                if state["status"] == "completed":
                    break
                time.sleep(0.05)
            assert state["request_counts"] == {"total": 200, "completed": 200, "failed": 0}, state
            lines = s.ask(f"/v1/files/{state['output_file_id']}/content")[2].splitlines()
            assert [json.loads(x)["custom_id"] for x in lines] == [f"r{i}" for i in range(200)]
