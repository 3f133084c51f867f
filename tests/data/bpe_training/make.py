"""Writes expected.json: what Hugging Face's BpeTrainer learns from small corpora. Run: python make.py SHARED_DATA
(needs `pip install tokenizers`). limit_alphabet must not cut between equally frequent characters: the trainer chooses
among those by chance. The corpora are tests/data/bpe_training/mixed.txt and the shared bpe-training/corpus.en."""
import json, pathlib, sys
import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

here = pathlib.Path(__file__).parent
shared = pathlib.Path(sys.argv[1]) / "tokenizers/bpe-training/corpus.en"
(here / "mixed.txt").write_text(
    "the quick brown fox jumps over the lazy dog\n" * 7 + "low lower lowest newer newest wider\r\n" * 5
    + "aaaa aaa aaaaaaa abab ababab abcabcabc\n" * 4 + "Füße größer naïve 中文 分词 中文 中文字 日本語\n" * 6
    + "def f(x):\n    return x[0] + x[1]  # 12345 123 45\n" * 5 + "  indented\n\n\ttabs\t\ttabs\n" * 3 + "😀😀 👍🏽 👍🏽\n" * 3,
    newline="")
gpt2 = lambda: pre_tokenizers.ByteLevel(add_prefix_space=False)
CASES = [
    {"corpus": "mixed", "options": {"vocab_size": 400}},
    {"corpus": "mixed", "options": {"vocab_size": 1000, "min_frequency": 3}},
    {"corpus": "mixed", "options": {"vocab_size": 500, "special_tokens": ["<|endoftext|>", "<pad>", "the"]}},
    {"corpus": "mixed", "options": {"vocab_size": 320, "max_token_length": 4}},
    {"corpus": "mixed", "options": {"vocab_size": 100, "pre_tokenizer": "whitespace", "unk_token": "[UNK]"}},
    {"corpus": "mixed", "options": {"vocab_size": 120, "pre_tokenizer": "whitespace", "limit_alphabet": 22,
                                    "initial_alphabet": ["x", "z", "é"]}},
    {"corpus": "shared", "options": {"vocab_size": 700, "special_tokens": ["<|endoftext|>"]}},
    {"corpus": "shared", "options": {"vocab_size": 3000, "min_frequency": 5}},
]
for case in CASES:
    o = dict(case["options"])
    whitespace = o.pop("pre_tokenizer", "gpt2") == "whitespace"
    unk = o.pop("unk_token", None)
    tok = Tokenizer(models.BPE(unk_token=unk))
    tok.pre_tokenizer = pre_tokenizers.Whitespace() if whitespace else gpt2()
    alphabet = o.pop("initial_alphabet", []) if whitespace else pre_tokenizers.ByteLevel.alphabet()
    special = ([unk] if unk else []) + o.pop("special_tokens", [])
    corpus = here / "mixed.txt" if case["corpus"] == "mixed" else shared
    tok.train([str(corpus)], trainers.BpeTrainer(**o, special_tokens=special, initial_alphabet=alphabet, show_progress=False))
    model = json.loads(tok.to_str())["model"]
    case["tokens"] = [t for t, _ in sorted(model["vocab"].items(), key=lambda x: x[1])]
    case["merges"] = [" ".join(m) for m in model["merges"]]
out = {"source": f"tokenizers {tokenizers.__version__}", "cases": CASES}
(here / "expected.json").write_text(json.dumps(out, ensure_ascii=True, separators=(",", ":")) + "\n")
