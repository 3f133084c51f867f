"""Peers for scripts/bench/tokenizers.lua: the text to encode, and the times of `tokenizers` and `tiktoken`.

  tokenizer_peers.py text DATA OUT      writes 10 MB of mixed text: documents, each after its length in bytes and a newline
  tokenizer_peers.py time DATA TEXT     prints one JSON line per tokenizer: {"name", "peer", "seconds", "load_ms", "ids"}
"""
import gzip, json, os, pathlib, sys, time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
SIZE, DOCUMENT = 10_000_000, 8_000
NAMES = ["gpt2", "llama3", "qwen2.5"]


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple)):
        for member in value:
            yield from strings(member)
    elif isinstance(value, dict):
        for member in value.values():
            yield from strings(member)


def read(path):
    """The text of a file; of JSON files the strings in them."""
    data = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
    name = path.name.removesuffix(".gz")
    text = data.decode("utf-8")
    if name.endswith(".jsonl"):
        return "\n\n".join(s for line in text.splitlines() if line for s in strings(json.loads(line)) if len(s) > 30)
    if name.endswith(".json"):
        return "\n\n".join(s for s in strings(json.loads(text)) if len(s) > 30)
    return text


def documents(data):
    """Half English, a quarter code, a quarter other languages, taken in turns, in files' order."""
    datasets = pathlib.Path(data) / "datasets"
    sources = [("text_wikitext2", "text_tinystories", "text_web"), ("code_alpaca", "humaneval", "mbpp"), ("xquad",)]
    streams = []
    for folders in sources:
        paths = sorted(p for f in folders for p in (datasets / f).rglob("*") if p.suffix in {".gz", ".txt", ".json", ".jsonl"})
        streams.append("\n\n".join(read(p) for p in paths))
    shares, at, total = [2, 1, 1], [0, 0, 0], 0
    while total < SIZE:
        for i, text in enumerate(streams):
            for _ in range(shares[i]):
                piece = (text[at[i]:at[i] + DOCUMENT // 2] or text[:DOCUMENT // 2]).encode()
                at[i] = (at[i] + DOCUMENT // 2) % len(text)
                yield piece
                total += len(piece)


def read_documents(path):
    data, out = pathlib.Path(path).read_bytes(), []
    while data:
        head, _, rest = data.partition(b"\n") if len(data) < 1 << 20 else (data[:data.index(b"\n")], b"", data[data.index(b"\n") + 1:])
        out.append(rest[:int(head)].decode())
        data = rest[int(head):]
    return out


def tiktoken_encoding(folder, name):
    import tiktoken
    from tiktoken.load import data_gym_to_mergeable_bpe_ranks, load_tiktoken_bpe
    gpt2 = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""
    llama3 = (r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""")
    if name == "gpt2":
        ranks, pattern = data_gym_to_mergeable_bpe_ranks(str(folder / "merges.txt"), str(folder / "vocab.json")), gpt2
    elif name == "llama3":
        ranks, pattern = load_tiktoken_bpe(str(folder / "tokenizer.model")), llama3
    else:
        ranks, pattern = load_tiktoken_bpe(str(folder / "qwen.tiktoken")), llama3.replace("{1,3}", "")
    return tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


def timed(work):
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def main():
    command, data, path = sys.argv[1:4]
    if command == "text":
        with open(path, "wb") as out:
            for piece in documents(data):
                out.write(b"%d\n%s" % (len(piece), piece))
        return
    import tokenizers
    texts = read_documents(path)
    for name in NAMES:
        folder = pathlib.Path(data) / "tokenizers" / name
        load, hf = timed(lambda: tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")))
        each, ids = timed(lambda: sum(len(hf.encode(t, add_special_tokens=False).ids) for t in texts))
        batch, _ = timed(lambda: hf.encode_batch_fast(texts, add_special_tokens=False))
        print(json.dumps({"name": name, "peer": "tokenizers " + tokenizers.__version__, "seconds": min(each, batch),
                          "load_ms": load * 1e3, "ids": ids}), flush=True)
        try:
            import tiktoken
        except ImportError:
            continue
        load, encoding = timed(lambda: tiktoken_encoding(folder, name))
        seconds, ids = timed(lambda: sum(len(encoding.encode_ordinary(t)) for t in texts))
        print(json.dumps({"name": name, "peer": "tiktoken " + tiktoken.__version__, "seconds": seconds,
                          "load_ms": load * 1e3, "ids": ids}), flush=True)


main()
