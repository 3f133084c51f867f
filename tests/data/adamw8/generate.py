#!/usr/bin/env python3
"""Writes tests/data/adamw8/steps.safetensors: five steps of bitsandbytes' AdamW8bit on 600 numbers (two whole blocks and
a part of one), with its portable quantizer, which searches for the nearest value as its GPU kernels do:
value.0, grad.1 .. grad.5, and after the last step value, m, v (codes), m_scale, v_scale; maps: signed, unsigned.

  python3 tests/data/adamw8/generate.py      needs torch, bitsandbytes, safetensors
"""
import pathlib
import sys

import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "training"))
from generate import Adamw8  # noqa: E402

random = torch.Generator().manual_seed(5)
p = torch.nn.Parameter(torch.randn(600, generator=random))
out = {"value.0": p.detach().clone()}
optimizer = Adamw8([dict(params=[p], weight_decay=0.1)], lr=1e-2)
optimizer.args.min_8bit_size = 1
for step in range(1, 6):
    p.grad = torch.randn(600, generator=random) * torch.randn(600, generator=random).exp()
    out[f"grad.{step}"] = p.grad.clone()
    optimizer.step()
state = optimizer.state[p]
out |= {"value": p.detach(), "m": state["state1"], "v": state["state2"], "m_scale": state["absmax1"],
        "v_scale": state["absmax2"], "signed": state["qmap1"], "unsigned": state["qmap2"]}
save_file({k: t.contiguous().clone() for k, t in out.items()}, HERE / "steps.safetensors")
