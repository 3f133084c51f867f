"""Writes steps.json: tokenizers that each show one step of the tokenizer.json format, with what Hugging Face's
tokenizers makes of some texts. Run: python make.py (needs `pip install tokenizers`).

Words and characters are visible in the ids: the model is BPE without merges whose tokens are single characters, with
"##" in front of all but the first of a word.
"""
import base64, json, pathlib, struct
import tokenizers

TEXTS = [
    "Hello, World! It's 12.5% of $3,000.", "  two  spaces\tand\ttabs\n\nlines ", "École ÉCOLE e\u0301cole İstanbul ΣΑΣ ß",
    "日本語テキスト and 한국어 ｆｕｌｌ ﬁ ㎏ ½", "a\u200bb\u00adc\ufeffd\u0000e\u0007f\u0085g\u00a0h", "don't we'll I'M they're do not n't",
    "x_y-z (1+2)=3 «q» …", "हिन्दी ไทย العربية עברית", "😀👩‍👩‍👧🇩🇪 ok", "", "a", "abc123def4567gh", "ー カタカナ ひらがな 漢字 Latin кириллица",
    "\u0378\ue000\uffff\U000e0001 odd", "\ufffd replaced", "line\r\nbreak\rnext", "a\u0300\u0301b \u1e9b\u0323",
]

def charsmap(entries):
    """A small precompiled map; only keys of one byte, so the double array is easy to lay out."""
    units = [0] * 512
    strings = b""
    units[0] = 1 << 10 | 0  # the root's children begin at 1 ^ byte; labels 0..255 land in 0..255
    for key, value in entries.items():
        (byte,) = key
        node = 1 ^ byte
        offset_target = 256 + (node & 0xFF)  # where the value unit goes
        units[node] = byte | 1 << 8 | (node ^ offset_target) << 10
        units[offset_target] = 1 << 31 | len(strings)
        strings += value + b"\0"
    blob = b"".join(struct.pack("<I", u) for u in units)
    return base64.b64encode(struct.pack("<I", len(blob)) + blob + strings).decode()

NORMALIZERS = [
    None, {"type": "NFC"}, {"type": "NFD"}, {"type": "NFKC"}, {"type": "NFKD"}, {"type": "Lowercase"}, {"type": "StripAccents"},
    {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}]},
    {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "Strip", "strip_left": False, "strip_right": True},
    {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": "a"}, "content": "bb"},
    {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": "_"}, {"type": "Nmt"},
    {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
    {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": False, "strip_accents": True, "lowercase": False},
    {"type": "BertNormalizer", "clean_text": False, "handle_chinese_chars": True, "strip_accents": False, "lowercase": True},
    {"type": "Precompiled", "precompiled_charsmap": charsmap({b"a": b"A", b"\t": b" ", b"\r": b" ", b"x": b"yz"})},
]
PRE = [
    {"type": "Whitespace"}, {"type": "WhitespaceSplit"}, {"type": "BertPreTokenizer"},
    {"type": "Punctuation", "behavior": "Isolated"}, {"type": "Punctuation", "behavior": "Removed"},
    {"type": "Punctuation", "behavior": "MergedWithPrevious"}, {"type": "Punctuation", "behavior": "MergedWithNext"},
    {"type": "Punctuation", "behavior": "Contiguous"},
    {"type": "Digits", "individual_digits": True}, {"type": "Digits", "individual_digits": False},
    {"type": "CharDelimiterSplit", "delimiter": " "}, {"type": "UnicodeScripts"}, {"type": "FixedLength", "length": 3},
    {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
    {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True},
    {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": False},
    {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithNext", "invert": False},
    {"type": "Split", "pattern": {"Regex": "[aeiou]+"}, "behavior": "Isolated", "invert": False},
    {"type": "Split", "pattern": {"Regex": "\\w+"}, "behavior": "Removed", "invert": True},
    {"type": "Split", "pattern": {"Regex": "\\d"}, "behavior": "MergedWithPrevious", "invert": False},
    {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "▁",
                                            "prepend_scheme": "always", "split": True}]},
    {"type": "Sequence", "pretokenizers": [{"type": "UnicodeScripts"}, {"type": "Digits", "individual_digits": True}]},
]
DECODERS = [
    {"type": "WordPiece", "prefix": "##", "cleanup": True}, {"type": "WordPiece", "prefix": "##", "cleanup": False},
    {"type": "BPEDecoder", "suffix": "</w>"}, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
    {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": True}, {"type": "Fuse"},
    {"type": "Replace", "pattern": {"String": "b"}, "content": "<>"}, {"type": "Strip", "content": "_", "start": 1, "stop": 2},
    {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
                                      {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
]
DECODER_TOKENS = ["hello", "##ing", "wor</w>", "ld</w>", "▁the", "▁▁", "<0x41>", "<0x7A>", ".", "n't", "'s", "__x___", "b", "bab",
                  "do not", ",", "▁", "[CLS]"]
DECODER_IDS = [[0, 1, 8, 10, 9], [2, 3], [4, 5, 6, 7], [5, 4], [11, 12, 13], [0, 14, 15], [16, 0], [17, 0, 17], [3, 0], [8]]

def build(normalizer, pre):
    base = {"version": "1.0", "added_tokens": [], "normalizer": normalizer, "pre_tokenizer": pre, "post_processor": None,
            "decoder": None}
    probe = tokenizers.Tokenizer.from_str(json.dumps(base | {"model": {"type": "WordLevel", "vocab": {"": 0}, "unk_token": ""}}))
    chars = set()
    for text in TEXTS:
        chars |= set(probe.normalizer.normalize_str(text) if normalizer else text)
    chars |= set("▁")
    vocab = {}
    for c in sorted(chars):
        vocab[c] = len(vocab)
        vocab["##" + c] = len(vocab)
    return base | {"model": {"type": "BPE", "vocab": vocab, "merges": [], "continuing_subword_prefix": "##"}}

rows = []
for normalizer in NORMALIZERS:
    rows.append({"name": f"normalizer {json.dumps(normalizer)[:90]}", "tokenizer": build(normalizer, None)})
for pre in PRE:
    rows.append({"name": f"pre_tokenizer {json.dumps(pre)[:90]}", "tokenizer": build(None, pre)})
for row in rows:
    reference = tokenizers.Tokenizer.from_str(json.dumps(row["tokenizer"]))
    row["cases"] = [{"text": t, "ids": reference.encode(t).ids} for t in TEXTS]
decoders = []
for decoder in DECODERS:
    base = {"version": "1.0", "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": decoder,
            "added_tokens": [], "model": {"type": "WordLevel", "vocab": {t: i for i, t in enumerate(DECODER_TOKENS)}, "unk_token": "b"}}
    reference = tokenizers.Tokenizer.from_str(json.dumps(base))
    decoders.append({"name": f"decoder {json.dumps(decoder)[:90]}", "tokenizer": base,
                     "cases": [{"ids": ids, "text": reference.decode(ids, skip_special_tokens=False)} for ids in DECODER_IDS]})
out = {"source": f"tokenizers {tokenizers.__version__}", "steps": rows, "decoders": decoders}
pathlib.Path(__file__).with_name("steps.json").write_text(json.dumps(out, ensure_ascii=True, separators=(",", ":")) + "\n")
