#!/usr/bin/env python3
"""Writes dry_breakers.json: DRY with sequence breakers given as texts, by llama.cpp on the stories260K vocabulary.

Usage: generate_dry_breakers.py LLAMA_LIBRARY STORIES260K.gguf [OUT]

Each case: breakers, context, and `penalties`, [token, what was taken from a logit of 0] for the penalised tokens.
"""

import ctypes as C
import glob
import json
import os
import random
import sys

library, gguf = sys.argv[1:3]
V = 512


class TokenData(C.Structure):
    _fields_ = [("id", C.c_int32), ("logit", C.c_float), ("p", C.c_float)]


class TokenArray(C.Structure):
    _fields_ = [("data", C.POINTER(TokenData)), ("size", C.c_size_t), ("selected", C.c_int64), ("sorted", C.c_bool)]


class Params(C.Structure):  # passed through unread: larger than the real ones is enough
    _fields_ = [("bytes", C.c_int64 * 128)]


def load():
    for part in ("libggml-base.so", "libggml.*.so", os.path.basename(library)):
        lib = C.CDLL(sorted(glob.glob(os.path.join(os.path.dirname(library), part)))[0], mode=C.RTLD_GLOBAL)
        if "libggml." in part:
            lib.ggml_backend_load_all_from_path.argtypes = [C.c_char_p]
            lib.ggml_backend_load_all_from_path(os.path.dirname(library).encode())
    lib.llama_model_default_params.restype = Params
    lib.llama_model_load_from_file.argtypes = [C.c_char_p, Params]
    lib.llama_model_load_from_file.restype = C.c_void_p
    lib.llama_model_get_vocab.argtypes = [C.c_void_p]
    lib.llama_model_get_vocab.restype = C.c_void_p
    lib.llama_sampler_init_dry.restype = C.c_void_p
    lib.llama_sampler_apply.argtypes = [C.c_void_p, C.POINTER(TokenArray)]
    lib.llama_sampler_accept.argtypes = [C.c_void_p, C.c_int32]
    model = lib.llama_model_load_from_file(gguf.encode(), lib.llama_model_default_params())
    return lib, lib.llama_model_get_vocab(model)


def make_dry(lib, vocab, breakers):
    texts = (C.c_char_p * len(breakers))(*[b.encode() for b in breakers])
    lib.llama_sampler_init_dry.argtypes = [C.c_void_p, C.c_float, C.c_float, C.c_int32, C.c_int32,
                                           C.POINTER(C.c_char_p), C.c_size_t]
    return lib.llama_sampler_init_dry(vocab, 1.0, 1.5, 2, 1000, texts, len(breakers))


def penalties(lib, vocab, breakers, context):
    sampler = make_dry(lib, vocab, breakers)
    for token in context:
        lib.llama_sampler_accept(sampler, token)
    data = (TokenData * V)(*[TokenData(i, 0, 0) for i in range(V)])
    array = TokenArray(data, V, -1, False)
    lib.llama_sampler_apply(sampler, C.byref(array))
    found = [[array.data[i].id, round(-array.data[i].logit, 4)] for i in range(array.size) if array.data[i].logit != 0]
    return sorted(found)


def main():
    lib, vocab = load()
    random.seed(5)
    lib.llama_vocab_n_tokens.argtypes = [C.c_void_p]
    assert lib.llama_vocab_n_tokens(vocab) == V
    cases = []
    # No breaker begins with a space: llama.cpp looks at tokens without their leading space where the vocabulary is
    # SentencePiece's, so that " the" would never be found there.
    lists = [["\n", ":", "\"", "*"], ["."], [", "], ["the"], [", there was"], ["he said"], ["on", "a time"]]
    story = [403, 407, 261, 378, 432, 383, 286, 261, 376, 298, 315, 421, 395, 317, 426]
    for breakers in lists:
        for size in (15, 9):
            for tail in (8, 5, 3):
                # A stretch of the story, something else, and the beginning of the stretch again.
                context = story[:size] + [random.randrange(259, V)] + story[:tail]
                cases.append(dict(breakers=breakers, context=context, penalties=penalties(lib, vocab, breakers, context)))
        noise = [random.choice(story) for _ in range(80)]
        cases.append(dict(breakers=breakers, context=noise, penalties=penalties(lib, vocab, breakers, noise)))
    out = sys.argv[3] if len(sys.argv) > 3 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "dry_breakers.json")
    with open(out, "w", encoding="utf-8") as file:
        file.write('{"llama_cpp": %s, "cases": [\n' % json.dumps(os.path.basename(library)))
        file.write(",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]}\n")
    print(f"{len(cases)} cases, {sum(1 for c in cases if c['penalties'])} with penalties, {os.path.getsize(out)} bytes")


main()
