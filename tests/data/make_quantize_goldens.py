#!/usr/bin/env python3
"""Writes quantize_goldens.json: what llama.cpp's quantiser makes of real models, per file type.

Usage: make_quantize_goldens.py LIBS MODELS     (needs the Python package gguf)
LIBS: folder with libllama and libggml shared libraries (npm package @node-llama-cpp/linux-x64, bins/linux-x64);
run with LD_LIBRARY_PATH=LIBS. MODELS: folder with the GGUF files named below.
For the first model: size and CRC-32 of each whole output file. For all: the type of every tensor, as runs
[type number, count] in file order."""
import ctypes
import glob
import json
import os
import pathlib
import sys
import tempfile
import zlib

from gguf import GGUFReader

ALL = {"f16": 1, "bf16": 32, "q8_0": 7, "q4_0": 2, "q4_1": 3, "q5_0": 8, "q5_1": 9, "q2_k": 10, "q3_k_s": 11, "q3_k_m": 12,
       "q3_k_l": 13, "q4_k_s": 14, "q4_k_m": 15, "q5_k_s": 16, "q5_k_m": 17, "q6_k": 18, "iq4_nl": 25, "iq4_xs": 30,
       "tq1_0": 36, "tq2_0": 37}
SOME = ["q4_0", "q2_k", "q3_k_m", "q3_k_l", "q4_k_s", "q4_k_m", "q5_k_m", "q6_k"]
MODELS = [("SmolLM2-135M-Instruct.Q4_1.gguf", list(ALL)), ("gemma-3-270m-q4_k_m.gguf", SOME),
          ("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", SOME)]


class Params(ctypes.Structure):
    _fields_ = ([("nthread", ctypes.c_int32)] + [(n, ctypes.c_int) for n in ("ftype", "output_type", "embedding_type")] +
                [(n, ctypes.c_bool) for n in ("allow_requantize", "quantize_output", "only_copy", "pure", "keep_split", "dry_run")] +
                [(n, ctypes.c_void_p) for n in ("imatrix", "kv_overrides", "tensor_types", "prune_layers")])


def library(folder):
    ctypes.CDLL(sorted(glob.glob(folder + "/libggml-base*.so*"))[0], mode=ctypes.RTLD_GLOBAL)
    llama = ctypes.CDLL(sorted(glob.glob(folder + "/libllama.*so*"))[0], mode=ctypes.RTLD_GLOBAL)
    llama.llama_model_quantize_default_params.restype = Params
    llama.llama_model_quantize.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(Params)]
    return llama


def runs(types):
    out = []
    for t in types:
        if out and out[-1][0] == t:
            out[-1][1] += 1
        else:
            out.append([t, 1])
    return out


def main():
    llama, folder = library(sys.argv[1]), sys.argv[2]
    result = {"source": "llama.cpp 0.5.0 (node-llama-cpp 3.22.1), llama_model_quantize with allow_requantize", "models": {}}
    with tempfile.TemporaryDirectory() as tmp:
        for name, wanted in MODELS:
            entry = result["models"][name] = {}
            for file_type in wanted:
                out = os.path.join(tmp, "out.gguf")
                params = llama.llama_model_quantize_default_params()
                params.ftype, params.allow_requantize = ALL[file_type], True
                if llama.llama_model_quantize(os.path.join(folder, name).encode(), out.encode(), ctypes.byref(params)):
                    raise SystemExit(f"{name}: {file_type} failed")
                row = {"types": runs(int(t.tensor_type) for t in GGUFReader(out).tensors)}
                if name == MODELS[0][0]:
                    data = pathlib.Path(out).read_bytes()
                    row.update(bytes=len(data), crc32=zlib.crc32(data))
                entry[file_type] = row
    text = json.dumps(result, separators=(",", ":")).replace('"q', '\n"q').replace('"SmolLM2', '\n"SmolLM2')
    pathlib.Path(__file__).with_name("quantize_goldens.json").write_text(text + "\n")


main()
