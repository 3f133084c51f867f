#!/usr/bin/env python3
"""Writes tests/fuzz/corpus/NAME/: small valid inputs that the fuzzers of tests/fuzz start from."""

import io
import json
import os
import struct
import zipfile

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")
U32, F32, BOOL, STRING, ARRAY, U64 = 4, 6, 7, 8, 9, 10


def gguf_string(text):
    return struct.pack("<Q", len(text.encode())) + text.encode()


def gguf_value(kind, value):
    if kind == STRING:
        return gguf_string(value)
    if isinstance(kind, tuple):  # (ARRAY, kind of the elements)
        return struct.pack("<IQ", kind[1], len(value)) + b"".join(gguf_value(kind[1], v) for v in value)
    return struct.pack({U32: "<I", F32: "<f", BOOL: "<?", U64: "<Q"}[kind], value)


def gguf(values, tensors=(), version=3):
    """values: (key, kind, value); tensors: (name, dims, type number, bytes)."""
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(values))
    for key, kind, value in values:
        number = kind[0] if isinstance(kind, tuple) else kind
        out += gguf_string(key) + struct.pack("<I", number) + gguf_value(kind, value)
    data = b""
    for name, dims, number, content in tensors:
        out += gguf_string(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, number, len(data))
        data += content + b"\0" * (-len(content) % 32)
    return out + b"\0" * (-len(out) % 32) + data


def gguf_files():
    values = [("general.architecture", STRING, "llama"), ("general.alignment", U32, 32), ("llama.rope.freq_base", F32, 1e4),
              ("a.flag", BOOL, True), ("a.big", U64, 1 << 40), ("a.list", (ARRAY, F32), [0.5, -1]), ("a.names", (ARRAY, STRING), ["x", "yé"])]
    tensors = [("f32", (2, 3), 0, struct.pack("<6f", *range(6))), ("f16", (4,), 1, struct.pack("<4e", *range(4))),
               ("q4_0", (32, 1), 2, b"\0\x3c" + bytes(16)), ("q8_0", (32,), 8, b"\0\x3c" + bytes(range(32)))]
    return {"v3": gguf(values, tensors), "v2": gguf(values[:2], tensors[:1], 2), "empty": gguf([])}


def safetensors_files():
    header = {"__metadata__": {"format": "pt"}, "w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
              "b": {"dtype": "BF16", "shape": [3], "data_offsets": [16, 22]}, "none": {"dtype": "F16", "shape": [0], "data_offsets": [22, 22]}}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    dim, hidden, layers, heads, kv_heads, vocab, length = 4, 8, 1, 2, 1, 5, 2
    size = dim // heads
    floats = (vocab * dim + layers * (2 * dim + 2 * dim * dim + 2 * dim * kv_heads * size + 3 * dim * hidden) + dim + length * size)
    llama2c = struct.pack("<7i", dim, hidden, layers, heads, kv_heads, vocab, length) + bytes(4 * floats)
    return {"two_tensors": struct.pack("<Q", len(text)) + text + bytes(22), "llama2c": llama2c,
            "llama2c_smallest_vocabulary": llama2c[:20] + struct.pack("<i", -1 << 31) + llama2c[24:]}  # was found by the fuzzer


def adapter_files():
    lora = [("x.lora_a", (2, 1), 0, bytes(8)), ("x.lora_b", (1, 3), 0, bytes(12))]
    keys = [("general.architecture", STRING, "llama"), ("general.type", STRING, "adapter"), ("adapter.type", STRING, "lora"),
            ("adapter.lora.alpha", F32, 8.0)]
    return {"peft": b'{"peft_type":"LORA","r":2,"lora_alpha":16,"use_rslora":true,"alpha_pattern":{"^model.layers\\\\.0":4,"q_proj":8}}',
            "peft_dora": b'{"peft_type":"LORA","lora_alpha":16,"use_dora":true,"init_lora_weights":"gaussian"}',
            "peft_ia3": b'{"peft_type":"IA3","target_modules":["down_proj"],"feedforward_modules":["down_proj"]}',
            "peft_prefix": b'{"peft_type":"PREFIX_TUNING","num_virtual_tokens":2,"num_layers":2,"num_attention_heads":4}',
            "peft_prompt": b'{"peft_type":"PROMPT_TUNING","num_virtual_tokens":2}',
            "mlx": b'{"fine_tune_type":"lora","lora_parameters":{"rank":2,"scale":20.0}}', "gguf": gguf(keys, lora)}


def torch_files():
    """A checkpoint as torch.save writes it, by hand: one tensor of 6 floats."""
    storage = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0" + b"0X\3\0\0\0cpuK\6tQ"
    pickle = (b"\x80\2}X\1\0\0\0wctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\0K\2K\3\x86K\3K\1\x86\x89"
              b"ccollections\nOrderedDict\n)RtRs.")
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for name, data in (("a/data.pkl", pickle), ("a/byteorder", b"little"), ("a/data/0", bytes(24))):
            archive.writestr(zipfile.ZipInfo(name), data)
    return {"one_tensor": memory.getvalue(), "pickle": pickle}


def byte_alphabet():
    """GPT-2's letters for bytes, in the order of the bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(b) if b in plain else chr(256 + sorted(set(range(256)) - set(plain)).index(b)) for b in range(256)]


def tokenizer_gguf_files():
    letters = byte_alphabet()
    bpe = letters + ["he", "ll", "hell", "Ġw", "<|end|>"]
    sentencepiece = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + list("▁helo") + ["he", "ll", "▁he", "▁hell"]
    kinds = [2, 3, 3] + [6] * 256 + [1] * (len(sentencepiece) - 259)
    scores = [0.0] * 259 + [-float(i) for i in range(len(sentencepiece) - 259)]
    llama2c = struct.pack("<i", 8) + b"".join(
        struct.pack("<fi", s, len(t.encode())) + t.encode() for s, t in zip(scores, sentencepiece))
    key = "tokenizer.ggml."
    return {
        "bpe": gguf([(key + "model", STRING, "gpt2"), (key + "pre", STRING, "gpt-2"), (key + "tokens", (ARRAY, STRING), bpe),
                     (key + "merges", (ARRAY, STRING), ["h e", "l l", "he ll", "Ġ w"]), (key + "eos_token_id", U32, len(bpe) - 1)]),
        "sentencepiece": gguf([(key + "model", STRING, "llama"), (key + "tokens", (ARRAY, STRING), sentencepiece),
                               (key + "scores", (ARRAY, F32), scores), (key + "token_type", (ARRAY, U32), kinds),
                               (key + "bos_token_id", U32, 1), (key + "eos_token_id", U32, 2)]),
        "llama2c": llama2c,
    }


def tokenizer_json_files():
    letters = byte_alphabet()
    vocab = {piece: i for i, piece in enumerate(letters + ["he", "ll", "hell", "Ġw"])}
    special = {"id": len(vocab), "content": "<|end|>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    base = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [special], "normalizer": {"type": "NFC"}, "pre_tokenizer": level,
            "post_processor": level, "decoder": level, "model": {"type": "BPE", "vocab": vocab, "merges": ["h e", "l l", "he ll", "Ġ w"]}}
    split = {"type": "Split", "pattern": {"Regex": "\\p{N}{1,3}| ?\\p{L}+|\\s+"}, "behavior": "Isolated", "invert": False}
    digits = dict(base, pre_tokenizer={"type": "Sequence", "pretokenizers": [split, {"type": "Digits", "individual_digits": True}, dict(level, use_regex=False)]})
    unigram = dict(base, added_tokens=[], normalizer=None, pre_tokenizer={"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}, post_processor=None,
                   decoder={"type": "Metaspace", "replacement": "▁"}, model={"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["▁", -1.0], ["he", -2.0]]})
    return {name: json.dumps(value, ensure_ascii=False).encode() for name, value in (("bpe", base), ("digits", digits), ("unigram", unigram))}


def chat_template_files():
    return {
        "chatml": b"{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
                  b"{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
        "tools": b"{%- macro show(x) -%}{{ x | tojson }}{%- endmacro -%}{%- set ns = namespace(i=0) -%}{%- for m in messages -%}"
                 b"{%- if m.tool_calls is defined and m.tool_calls -%}{{ show(m.tool_calls[0].function.arguments) }}{%- elif m.content is string -%}"
                 b"{{ m.content | trim | upper }}{%- endif -%}{%- set ns.i = ns.i + 1 -%}{{ loop.index0 % 2 == 0 and not loop.last }}{%- endfor -%}",
        "errors": b"{% if messages[0]['role'] != 'user' %}{{ raise_exception('roles') }}{% endif %}{{ messages[1:]|length ~ bos_token }}",
    }


def line_editor_files():
    return {
        "typing": "\x28\x14lm.chat \"hé日\"\x1b[D\x1b[C\x1b[A\x1b[B\x01\x05\x0b\x19\x17\r".encode(),
        "paste": b"\x28\x14\x1b[200~for i = 1, 3 do\n  print(i)\nend\x1b[201~\r",
        "search": b"\x28\x14\x12sec\x12\x07\tx\t\x1b\x7f\x1bb\x1bf\x1bd\x03\x04",
    }


def protobuf(number, value):
    """A field of the wire format: bytes, or an integer."""
    def varint(v):
        out = b""
        while v >= 128:
            out, v = out + bytes([v & 127 | 128]), v >> 7
        return out + bytes([v])
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value)


def tokenizer_files():
    """The first byte says which loader reads the rest: SentencePiece, tiktoken, tekken, RWKV."""
    def piece(text, score, kind=1):
        body = protobuf(1, text.encode()) + bytes([2 << 3 | 5]) + struct.pack("<f", score) + protobuf(3, kind)
        return protobuf(1, body)
    pieces = (piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3) + piece("\u2581", -2) + piece("a", -2) + piece("b", -3)
              + piece("ab", -1) + piece("<u>", 0, 4) + piece("<0x0A>", 0, 6))
    charsmap = struct.pack("<I", 16) + struct.pack("<4I", 1 << 10, 0, 0, 0) + b"A\0"
    def sentencepiece(kind):
        return b"\0" + pieces + protobuf(2, protobuf(3, kind) + protobuf(35, 1) + protobuf(40, 0)) + protobuf(3, protobuf(2, charsmap) + protobuf(3, 1))
    tekken = {"config": {"pattern": "\\p{L}+|.", "default_vocab_size": 6, "default_num_special_tokens": 3},
              "vocab": [{"rank": 0, "token_bytes": "YQ==", "token_str": "a"}, {"rank": 1, "token_bytes": "Yg=="}, {"rank": 2, "token_bytes": "YWI="}]}
    return {
        "sentencepiece_bpe": sentencepiece(2), "sentencepiece_unigram": sentencepiece(1),
        "tiktoken": b"\1YQ== 0\nYg== 1\nYWI= 2\n", "tekken": b"\2" + json.dumps(tekken).encode(),
        "rwkv": b"\0031 'a' 1\n2 \"b\" 1\n3 'ab' 2\n4 b'\\xff' 1\n5 '\\n' 1\n6 '\\u4e2d' 3\n",
    }


def hub_files():
    sha, git = "a" * 64, "b" * 40
    listing = {"sha": git, "gated": False, "tags": ["license:mit"], "cardData": {"license": "mit"},
               "siblings": [{"rfilename": "w.safetensors", "size": 7, "blobId": git, "lfs": {"sha256": sha, "size": 9}}, {"rfilename": "d/c.json"}]}
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(zipfile.ZipInfo("a/m.gguf"), b"GGUF" * 20, zipfile.ZIP_DEFLATED)
        file.writestr(zipfile.ZipInfo("s"), b"stored")
    return {"listing": json.dumps(listing).encode(), "wheel": wheel.getvalue(), "absolute": b"https://cdn.example/x?s=a%2Fb", "relative": b"../y z"}


def image_files():
    folder = os.path.join(os.path.dirname(os.path.dirname(HERE)), "data", "images")  # by its generate.py
    names = ("alpha.png", "bilevel.png", "grey.png", "palette.png", "cmyk.jpg", "grey.jpg", "progressive.jpg", "turned.jpg")
    return {name: open(os.path.join(folder, name), "rb").read() for name in names}


def constraint_files():
    """The first byte picks the language (regex, GBNF, JSON Schema); the text follows behind a zero byte."""
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": -5}, "b": {"$ref": "#"}}, "required": ["a"],
              "patternProperties": {"^x": {"enum": ["u", 1, [None]]}}, "oneOf": [{"required": ["b"]}, {"maxProperties": 2}]}
    return {
        "regex": b"\0(?i)a{1,3}[^b-d\\d]|(?!x)\\p{Lu}+$\0aaE", "mixed": b'\1root ::= %until ("<c>" "\\n{") %json {"type": "object"} %marker "</c>" | %without ("x") %regex "a+"\0b<c>{}</c>', "schema": b"\2" + json.dumps(schema).encode() + b'\0{"a": 3, "b": {"a": -5}}',
        "gbnf": b'\1root ::= "a" [b-d]{2,} (item | "\\n")? # c\nitem ::= root "," | .\0abb',
    }


def tool_calls_files():
    """The first byte picks the format, the second the size of the pieces."""
    return {
        "tags": b'\0\2<think>a</think>b <t>{"name": "f", "arguments": {"a": "\xc3\xa9"}}</t>', "names": b'\1\4[C]f[A]{"a": "]"}',
        "parameters": b"\2\6<t><f=f>\n<p=a>\nx\n</p>\n</f></t>", "bare": b'\3\1```json\n{"name": "f", "arguments": {}}\n```',
        "python": b"\4\3<|tool_call_start|>[f(a='x', b=[1, None])]<|tool_call_end|>", "gemma": b'\5\5<|tool_call>call:f{a:<|"|>x<|"|>,b:{c:1}}<tool_call|>',
    }


def http_request_files():
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhi\r\n--x--\r\n'
    return {
        "chunks": b'POST /v1/chat/completions HTTP/1.1\r\nHost: [::1]:80\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n2\r\n1}\r\n0\r\n\r\n',
        "form": b"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: %d\r\n\r\n" % len(form) + form,
        "target": b"GET /v1/models/a%2fb?x=1%20 HTTP/1.0\r\nOrigin: http://localhost\r\nHost: localhost\r\n\r\n",
    }


def mcp_messages_files():
    meta = '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}'
    legacy = '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{}}}\n'
    return {
        "modern": ('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"x":1},%s}}\n' % meta).encode(),
        "listen": ('{"jsonrpc":"2.0","id":"l","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["a"]},%s}}' % meta).encode(),
        "legacy": (legacy + '[{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{"cursor":"at-2"}},{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}]\n').encode(),
        "logging": (legacy + '{"jsonrpc":"2.0","id":2,"method":"logging/setLevel","params":{"level":"debug"}}\n{"jsonrpc":"2.0","id":3,"result":{}}').encode(),
        "headers": b'=?base64?YQ==?=\n{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"x":"a"}}}', "bearer": b"Bearer a.b-c==",
    }


def json_schema_files():
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": -5}, "b": {"$ref": "#"}}, "required": ["a"], "unevaluatedProperties": False,
              "patternProperties": {"^x": {"enum": ["u", 1, [None]]}}, "oneOf": [{"required": ["b"]}, {"maxProperties": 2}], "if": {"minProperties": 1}, "then": {"propertyNames": {"maxLength": 3}}}
    tuples = {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"const": 1}], "additionalItems": {"format": "date-time"}, "uniqueItems": True, "definitions": {"x": {"$id": "y"}}}
    return {"object": b'{"a": 1, "b": {"a": 2}, "x": 1}\0' + json.dumps(schema).encode(), "list": b'[1, "2020-01-01T00:00:00Z"]\0' + json.dumps(tuples).encode(),
            "dynamic": b'{"x": [1]}\0{"$dynamicAnchor": "n", "additionalProperties": {"$dynamicRef": "#n"}, "contains": {"multipleOf": 0.1}, "minContains": 2}'}


def session_files():
    # Of tests/data/models/llama (pages of 4096 bytes): numbers of tokens, pages, state, source tokens, source pages, source positions, bytes of the note; tokens; page; note.
    return {"text": struct.pack("<7Q", 3, 1, 0, 0, 0, 0, 2) + struct.pack("<3i", 5, 6, 7) + bytes(4096) + b"[]", "empty": struct.pack("<7Q", *[0] * 7)}


def parquet_files():
    """What pyarrow wrote for the tests: small files of different pages and encodings."""
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "parquet")
    return {name: open(os.path.join(folder, name + ".parquet"), "rb").read() for name in ("others", "gzip", "delta")}


def main():
    for name, files in (("gguf", gguf_files()), ("safetensors", safetensors_files()), ("torch", torch_files()), ("adapter", adapter_files()), ("tokenizer_gguf", tokenizer_gguf_files()),
                        ("tokenizer_json", tokenizer_json_files()), ("tokenizer_files", tokenizer_files()), ("chat_template", chat_template_files()), ("line_editor", line_editor_files()),
                        ("hub", hub_files()), ("image", image_files()), ("constraint", constraint_files()), ("session", session_files()), ("tool_calls", tool_calls_files()),
                        ("http_request", http_request_files()), ("parquet", parquet_files()), ("mcp_messages", mcp_messages_files()),
                        ("json_schema", json_schema_files())):
        folder = os.path.join(HERE, name)
        os.makedirs(folder, exist_ok=True)
        for file, content in files.items():
            with open(os.path.join(folder, file), "wb") as out:
                out.write(content)


if __name__ == "__main__":
    main()
