#!/usr/bin/env python3
"""Makes nf4.safetensors and int8.safetensors beside this file with bitsandbytes on the CPU: random matrices (a row of
zeros, outliers, sizes that fill no block), their quantised form and what bitsandbytes makes of it in f32 and bf16.

  python3 tests/data/nf4/generate.py      needs torch, bitsandbytes, safetensors
"""
import pathlib

import bitsandbytes.functional as bnb
import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent


def matrices():
    random = torch.Generator().manual_seed(11)
    a = torch.randn(96, 192, generator=random) * 0.05  # 288 blocks: two nested ones
    a[5] = 0
    a[7, 3] = 2.5
    yield "a", a
    yield "b", torch.randn(7, 38, generator=random)  # a last block of 10


nf4, int8 = {}, {}
for name, x in matrices():
    codes, state = bnb.quantize_4bit(x, quant_type="nf4", compress_statistics=True, blocksize=64)
    nf4.update({f"{name}.values": x, f"{name}.codes": codes.flatten(), f"{name}.scales": state.absmax,
                f"{name}.nested": state.state2.absmax, f"{name}.offset": state.offset.reshape(1),
                f"{name}.f32": bnb.dequantize_4bit(codes, state)})
    state.dtype = torch.bfloat16
    nf4[f"{name}.bf16"] = bnb.dequantize_4bit(codes, state)
    x = x[:16]
    rows, magnitudes, _ = bnb.int8_vectorwise_quant(x.half())
    int8.update({f"{name}.values": x.half().float(), f"{name}.codes": rows, f"{name}.magnitudes": magnitudes,
                 f"{name}.f32": bnb.int8_vectorwise_dequant(rows, magnitudes)})
save_file({k: v.contiguous() for k, v in nf4.items()}, HERE / "nf4.safetensors")
save_file({k: v.contiguous() for k, v in int8.items()}, HERE / "int8.safetensors")
