#!/usr/bin/env python3
"""Writes goldens.json: what each sampler does to given logits, computed by programs that know nothing of this one.

Usage: generate.py LLAMA_LIBRARY [OUT]

Needs torch, transformers and numpy, and llama.cpp's shared library (the npm package @node-llama-cpp/linux-x64 ships
libllama.*.so beside its ggml libraries). Formulas that neither has (top-a, quadratic smoothing, penalties on the answer
only) are evaluated in float64 here, from their definitions.

Each case names the sampler, its options and a list of steps: context (tokens so far), n_prompt (how many of them are the
prompt), logits, and expected: the logit of every token afterwards, null where it cannot be chosen any more. Steps of one
case follow each other; `chosen` is the token that the reference drew.
"""

import ctypes as C
import glob
import json
import os
import sys

import numpy as np
import torch
import transformers
from transformers.generation import logits_process as hf

V = 48
rng = np.random.default_rng(20240817)
cases = []


def logits(spread=3.0, n=V):
    return [round(float(x), 3) for x in rng.normal(0, spread, n)]


def add(sampler, options, steps, source, **more):
    cases.append(dict(sampler=sampler, options=options, steps=steps, source=source, **more))


def shown(values):
    return [None if not np.isfinite(x) else round(float(x), 5) for x in values]


# transformers ----------------------------------------------------------------------------------------------------------


def by_transformers(sampler, options, processor, context=(), z=None, n_prompt=None, **more):
    z = z or logits()
    ids = torch.tensor([list(context) or [0]])
    out = processor(ids, torch.tensor([z], dtype=torch.float32))[0].numpy()
    step = dict(context=list(context), n_prompt=len(context) if n_prompt is None else n_prompt, logits=z,
                expected=shown(out))
    add(sampler, options, [step], f"transformers {type(processor).__name__}", **more)


def transformers_cases():
    for t in (0.3, 1.7):
        by_transformers("temperature", dict(temperature=t), hf.TemperatureLogitsWarper(t))
    for k in (1, 7, 47, 100):
        by_transformers("top_k", dict(top_k=k), hf.TopKLogitsWarper(k))
    by_transformers("top_k", dict(top_k=2, min_keep=5), hf.TopKLogitsWarper(2, min_tokens_to_keep=5))
    for p in (0.05, 0.5, 0.9, 0.999):
        by_transformers("top_p", dict(top_p=p), hf.TopPLogitsWarper(p))
    by_transformers("top_p", dict(top_p=0.1, min_keep=4), hf.TopPLogitsWarper(0.1, min_tokens_to_keep=4))
    for p in (0.02, 0.1, 0.5, 1.0):
        by_transformers("min_p", dict(min_p=p), hf.MinPLogitsWarper(p))
    by_transformers("min_p", dict(min_p=0.9, min_keep=6), hf.MinPLogitsWarper(0.9, min_tokens_to_keep=6))
    for p in (0.1, 0.5, 0.9, 0.99):
        by_transformers("typical_p", dict(typical_p=p), hf.TypicalLogitsWarper(p), z=logits(1.5))
    for e in (0.001, 0.02, 0.3, 0.9):
        by_transformers("epsilon_cutoff", dict(epsilon_cutoff=e), hf.EpsilonLogitsWarper(e))
    for e in (0.0003, 0.02, 0.3, 0.9):
        by_transformers("eta_cutoff", dict(eta_cutoff=e), hf.EtaLogitsWarper(e), z=logits(1.5))

    context = [3, 5, 7, 3, 5, 9, 3, 5]
    for r in (1.3, 0.7):
        by_transformers("penalties", dict(repetition_penalty=r, penalty_window=-1),
                        hf.RepetitionPenaltyLogitsProcessor(r), context)
    for n in (1, 2, 3, 4, 20):
        by_transformers("no_repeat_ngram", dict(no_repeat_ngram_size=n), hf.NoRepeatNGramLogitsProcessor(n), context)
    words = [[3, 5, 11], [9, 3], [5, 12], [20], [3, 6], [8, 3, 5, 14], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]
    by_transformers("bad_words", dict(bad_words=words), hf.NoBadWordsLogitsProcessor(words, eos_token_id=2), context)
    for least in (2, 3, 9):
        by_transformers("min_tokens", dict(min_tokens=least),
                        hf.MinNewTokensLengthLogitsProcessor(5, least, torch.tensor([2, 17])), context, n_prompt=5,
                        stop_ids=[2, 17])
    by_transformers("forced_tokens", dict(forced_token_ids=[13]), hf.ForcedBOSTokenLogitsProcessor(13), [4])
    by_transformers("suppress_tokens", dict(suppress_tokens=[0, 13, 47]),
                    hf.SuppressTokensLogitsProcessor([0, 13, 47]), context)
    allowed = [1, 5, 30, 31]
    by_transformers("allowed_token_ids", dict(allowed_token_ids=allowed),
                    hf.PrefixConstrainedLogitsProcessor(lambda batch, ids: allowed, 1), context)
    bias = {4: 2.5, 40: -3.0, 7: -100.0}
    by_transformers("logit_bias", dict(logit_bias=[[k, v] for k, v in bias.items()]),
                    hf.SequenceBiasLogitsProcessor([[[k], v] for k, v in bias.items()]), context)


# llama.cpp -------------------------------------------------------------------------------------------------------------


class TokenData(C.Structure):
    _fields_ = [("id", C.c_int32), ("logit", C.c_float), ("p", C.c_float)]


class TokenArray(C.Structure):
    _fields_ = [("data", C.POINTER(TokenData)), ("size", C.c_size_t), ("selected", C.c_int64), ("sorted", C.c_bool)]


class Bias(C.Structure):
    _fields_ = [("token", C.c_int32), ("bias", C.c_float)]


class Vector(C.Structure):  # std::vector of libstdc++
    _fields_ = [("begin", C.c_void_p), ("end", C.c_void_p), ("limit", C.c_void_p)]


def vector_of(array):
    begin = C.addressof(array)
    return Vector(begin, begin + C.sizeof(array), begin + C.sizeof(array))


class Llama:
    f, i, u, z = C.c_float, C.c_int32, C.c_uint32, C.c_size_t
    signatures = dict(top_k=[i], top_p=[f, z], min_p=[f, z], typical=[f, z], temp=[f], temp_ext=[f, f, f],
                      xtc=[f, f, z, u], top_n_sigma=[f], mirostat=[i, u, f, f, i], mirostat_v2=[u, f, f],
                      penalties=[i, i, f, f, f], adaptive_p=[f, f, u], logit_bias=[i, i, C.POINTER(Bias)])

    def __init__(self, path):
        # Its neighbours first: it finds them by name only where they are installed.
        for part in ("libggml-base.so", "libggml.*.so", os.path.basename(path)):
            found = sorted(glob.glob(os.path.join(os.path.dirname(path), part)))
            self.lib = C.CDLL(found[0], mode=C.RTLD_GLOBAL)
        for name in ("apply", "accept", "free"):
            getattr(self.lib, f"llama_sampler_{name}").restype = None
        self.lib.llama_sampler_apply.argtypes = [C.c_void_p, C.POINTER(TokenArray)]
        self.lib.llama_sampler_accept.argtypes = [C.c_void_p, C.c_int32]

    def make(self, name, *values):
        init = getattr(self.lib, f"llama_sampler_init_{name}")
        init.restype, init.argtypes = C.c_void_p, self.signatures[name]
        return init(*values)

    def dry(self, multiplier, base, allowed, last_n, breakers):
        init = self.lib._Z30llama_sampler_init_dry_testingffiiRKSt6vectorIS_IiSaIiEESaIS1_EE
        init.restype = C.c_void_p
        init.argtypes = [self.f, self.f, self.i, self.i, C.POINTER(Vector)]
        inner = [(C.c_int32 * len(b))(*b) for b in breakers]
        rows = (Vector * len(inner))(*[vector_of(a) for a in inner])
        return init(multiplier, base, allowed, last_n, C.byref(vector_of(rows)))

    def apply(self, sampler, z):
        data = (TokenData * len(z))(*[TokenData(i, x, 0) for i, x in enumerate(z)])
        array = TokenArray(data, len(z), -1, False)
        self.lib.llama_sampler_apply(sampler, C.byref(array))
        out = np.full(len(z), -np.inf)
        for j in range(array.size):
            out[array.data[j].id] = array.data[j].logit
        chosen = array.data[array.selected].id if array.selected >= 0 else None
        return shown(out), chosen


def by_llama(llama, sampler, options, made, context=(), z=None, n_prompt=None, label=None, steps=1, spread=3.0, **more):
    for token in context:
        llama.lib.llama_sampler_accept(made, token)
    rows, context = [], list(context)
    start = len(context) if n_prompt is None else n_prompt
    for _ in range(steps):
        given = z or logits(spread)
        expected, chosen = llama.apply(made, given)
        row = dict(context=list(context), n_prompt=start, logits=given, expected=expected)
        if chosen is not None:
            row["chosen"] = chosen
            llama.lib.llama_sampler_accept(made, chosen)
            context.append(chosen)
        rows.append(row)
    add(sampler, options, rows, f"llama.cpp {label or sampler}", **more)


def llama_cases(llama):
    for k in (1, 9):
        by_llama(llama, "top_k", dict(top_k=k), llama.make("top_k", k))
    for p in (0.3, 0.95):
        by_llama(llama, "top_p", dict(top_p=p), llama.make("top_p", p, 1))
        by_llama(llama, "typical_p", dict(typical_p=p), llama.make("typical", p, 1), label="typical")
    for p in (0.05, 0.4):
        by_llama(llama, "min_p", dict(min_p=p), llama.make("min_p", p, 1))
    by_llama(llama, "min_p", dict(min_p=0.8, min_keep=3), llama.make("min_p", 0.8, 3))
    for n in (0.5, 1.0, 2.0):
        by_llama(llama, "top_n_sigma", dict(top_n_sigma=n), llama.make("top_n_sigma", n))
    for t in (0.01, 0.05, 0.1, 0.4, 0.6):
        by_llama(llama, "xtc", dict(xtc_probability=1, xtc_threshold=t), llama.make("xtc", 1, t, 1, 1), spread=1.6)
    by_llama(llama, "xtc", dict(xtc_probability=1, xtc_threshold=0.005, min_keep=40), llama.make("xtc", 1, 0.005, 40, 1),
             spread=0.5)
    by_llama(llama, "temperature", dict(temperature=0.8), llama.make("temp", 0.8), label="temp")
    for t, r, e in ((1.0, 0.5, 1.0), (0.8, 0.7, 2.0), (1.5, 1.5, 0.5)):
        for spread in (0.7, 4.0):
            by_llama(llama, "dynamic_temperature", dict(temperature=t, dynatemp_range=r, dynatemp_exponent=e),
                     llama.make("temp_ext", t, r, e), label="temp_ext", spread=spread)
    context = [3, 5, 7, 3, 5, 9, 3, 5, 40, 41]
    for last_n, r, f, p in ((64, 1.1, 0.0, 0.0), (4, 1.5, 0.3, 0.2), (10, 1.0, 0.5, 0.0), (10, 1.0, 0.0, -0.7)):
        by_llama(llama, "penalties", dict(repetition_penalty=r, frequency_penalty=f, presence_penalty=p,
                                          penalty_window=last_n), llama.make("penalties", V, last_n, r, f, p), context)
    bias = [[4, 2.5], [40, -3.0], [7, -100.0]]
    by_llama(llama, "logit_bias", dict(logit_bias=bias), llama.make("logit_bias", V, 3, (Bias * 3)(*[Bias(*b) for b in bias])))
    for tau, eta in ((5.0, 0.1), (2.0, 0.5)):
        options = dict(mirostat_tau=tau, mirostat_eta=eta)
        by_llama(llama, "mirostat_1", dict(mirostat=1, **options), llama.make("mirostat", V, 7, tau, eta, 100),
                 label="mirostat", steps=6, spread=2.0)
        by_llama(llama, "mirostat_2", dict(mirostat=2, **options), llama.make("mirostat_v2", 7, tau, eta),
                 label="mirostat_v2", steps=6, spread=2.0)
    for target, decay in ((0.5, 0.9), (0.1, 0.5), (0.0, 0.0)):
        by_llama(llama, "adaptive_p", dict(adaptive_target=target, adaptive_decay=decay),
                 llama.make("adaptive_p", target, decay, 7), steps=5)
    dry_cases(llama)


def dry_cases(llama):
    contexts = [
        [1, 2, 3, 4, 5, 1, 2, 3],
        [1, 2, 3, 9, 1, 2, 3, 8, 7, 2, 3, 8, 6, 1, 2, 3],
        [5, 5, 5, 5, 5],
        [1, 2, 3, 4, 10, 2, 3, 4, 6, 10, 2, 3, 4],      # 10 breaks sequences
        [7, 11, 12, 13, 20, 8, 11, 12, 13],              # 11 12 breaks them
        [7, 11, 30, 31, 20, 8, 11, 30, 31],              # 11 alone does not
        [1, 2, 3, 4],
        [int(x) for x in rng.integers(0, 4, 60)],
        [10, 10, 3, 4, 10, 3, 4],
        [0] * 40,
    ]
    settings = [(0.8, 1.75, 2, 64, [[10], [11, 12]]), (2.0, 1.0, 1, 64, [[10]]), (1.5, 3.0, 3, 7, []), (0.5, 2.0, 0, 64, [[10], [10, 3]])]
    for context in contexts:
        for multiplier, base, allowed, last_n, breakers in settings:
            if len(context) == 60 and allowed != 2:
                continue
            by_llama(llama, "dry", dict(dry_multiplier=multiplier, dry_base=base, dry_allowed_length=allowed,
                                        dry_penalty_last_n=last_n, dry_breaker_ids=breakers),
                     llama.dry(multiplier, base, allowed, last_n, breakers), context, z=logits(n=16))


# Definitions in float64 ------------------------------------------------------------------------------------------------


def by_definition(sampler, options, formula, source, context=(), n_prompt=None, spread=3.0):
    z = logits(spread)
    step = dict(context=list(context), n_prompt=len(context) if n_prompt is None else n_prompt, logits=z,
                expected=shown(formula(np.array(z, dtype=np.float64))))
    add(sampler, options, [step], source)


def softmax(z):
    p = np.exp(z - z.max())
    return p / p.sum()


def definition_cases():
    for a in (0.05, 0.2, 0.9):
        by_definition("top_a", dict(top_a=a), lambda z: np.where(softmax(z) >= a * softmax(z).max() ** 2, z, -np.inf),
                      "definition: p >= a p_max^2", spread=1.5)
    for f, c in ((0.3, 1.0), (0.2, 2.5), (1.5, 4.0)):
        def smooth(z):
            d = z - z.max()
            return -(3 - c) / 2 * f * d**2 + (c - 1) / 2 * f * d**3 + z.max()
        by_definition("quadratic_smoothing", dict(smoothing_factor=f, smoothing_curve=c), smooth,
                      "definition: KoboldCpp smoothing_factor")
    context, n_prompt = [3, 5, 7, 3, 5, 9, 3, 5], 4

    def penalised(z):
        for token in set(context[n_prompt:]):
            z[token] -= 0.7 + 0.4 * context[n_prompt:].count(token)
        return z
    by_definition("penalties", dict(presence_penalty=0.7, frequency_penalty=0.4, penalize_prompt=False,
                                    penalty_window=-1), penalised, "definition: OpenAI API, vLLM", context, n_prompt)
    forced = [13, 14, 15]
    for produced in (0, 2, 3):
        def force(z):
            return z if produced == 3 else np.where(np.arange(V) == forced[produced], 0.0, -np.inf)
        by_definition("forced_tokens", dict(forced_token_ids=forced), force, "definition",
                      [1, 2] + forced[:produced], 2)


def main():
    transformers_cases()
    llama_cases(Llama(sys.argv[1]))
    definition_cases()
    out = sys.argv[2] if len(sys.argv) > 2 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "goldens.json")
    versions = dict(transformers=transformers.__version__, torch=torch.__version__, numpy=np.__version__,
                    llama_cpp=os.path.basename(sys.argv[1]))
    with open(out, "w", encoding="utf-8") as file:
        file.write('{"versions": %s,\n"cases": [\n' % json.dumps(versions))
        file.write(",\n".join(json.dumps(case, separators=(",", ":")) for case in cases))
        file.write("\n]}\n")
    print(f"{len(cases)} cases, {os.path.getsize(out)} bytes")


main()
