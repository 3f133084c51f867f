#!/usr/bin/env python3
"""Writes tests/data/schedules.json: the learning rates of 20 steps under transformers' schedules, peak 1e-3.

  python3 tests/data/make_schedule_goldens.py      needs torch, transformers 5
"""
import json
import pathlib

import torch
import transformers as t

STEPS, PEAK = 20, 1e-3
SCHEDULES = {
    "constant": lambda o: t.get_constant_schedule_with_warmup(o, 3),
    "linear": lambda o: t.get_linear_schedule_with_warmup(o, 3, STEPS),
    "cosine": lambda o: t.get_cosine_schedule_with_warmup(o, 3, STEPS),
    "cosine_min": lambda o: t.optimization.get_cosine_with_min_lr_schedule_with_warmup(o, 3, STEPS, min_lr_rate=0.1),
    "polynomial": lambda o: t.get_polynomial_decay_schedule_with_warmup(o, 3, STEPS, lr_end=0.1 * PEAK, power=2),
    "restarts": lambda o: t.get_cosine_with_hard_restarts_schedule_with_warmup(o, 3, STEPS, num_cycles=3),
    "inverse_sqrt": lambda o: t.get_inverse_sqrt_schedule(o, 3),
    **{f"wsd {shape}": lambda o, shape=shape: t.get_wsd_schedule(
        o, 3, num_decay_steps=8, num_stable_steps=9, decay_type={"sqrt": "1-sqrt"}.get(shape, shape))
       for shape in ("sqrt", "linear", "cosine")},
}
OPTIONS = {
    "cosine_min": dict(min_learning_rate=0.1), "polynomial": dict(min_learning_rate=0.1, power=2),
    "restarts": dict(cycles=3), **{f"wsd {shape}": dict(decay_share=0.4, decay_shape=shape)
                                   for shape in ("sqrt", "linear", "cosine")},
}

cases = []
for name, make in SCHEDULES.items():
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=PEAK)
    schedule = make(optimizer)
    rates = []
    for _ in range(STEPS):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    cases.append(dict(schedule=name.split()[0], warmup=3, steps=STEPS, learning_rate=PEAK, **OPTIONS.get(name, {}),
                      rates=rates))
pathlib.Path(__file__).with_name("schedules.json").write_text(json.dumps(cases, indent=0) + "\n")
