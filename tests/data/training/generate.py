#!/usr/bin/env python3
"""Makes the training goldens below tests/data/training with transformers and peft, in float32 on the CPU, from the tiny
checkpoints of tests/data/models. One folder for each case:

  case.json                    model, options (as lm.train names them), rows (input_ids, labels), and of every step the
                               loss (mean over target tokens) and the gradient's norm before clipping
  start/                       the adapter training starts from, as peft saves it (LoRA cases)
  trained.safetensors          the adapter after the last step, under peft's names (LoRA cases)

  python3 tests/data/training/generate.py [CASE ...]      needs torch, transformers 5, peft, safetensors, bitsandbytes
"""
import json
import math
import pathlib
import sys

import peft
import torch
import transformers
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
MODELS = HERE.parent / "models"


def rows():
    random = torch.Generator().manual_seed(7)
    out = []
    for length, masked in ((17, 6), (9, 0), (23, 11), (5, 2)):
        ids = torch.randint(3, 96, (length,), generator=random).tolist()
        out.append({"input_ids": ids, "labels": [-100] * masked + ids[masked:]})
    return out


def padded(batch):
    length = max(len(row["input_ids"]) for row in batch)
    ids = torch.zeros(len(batch), length, dtype=torch.long)
    labels = torch.full((len(batch), length), -100)
    mask = torch.zeros(len(batch), length, dtype=torch.long)
    for i, row in enumerate(batch):
        n = len(row["input_ids"])
        ids[i, :n], labels[i, :n], mask[i, :n] = torch.tensor(row["input_ids"]), torch.tensor(row["labels"]), 1
    return ids, labels, mask


def loss_of(model, batch):
    ids, labels, mask = padded(batch)
    logits = model(input_ids=ids, attention_mask=mask).logits.float()
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)


def quantized(w, kind):
    """What a layer's frozen matrix is once bitsandbytes has quantised it."""
    import bitsandbytes.functional as bnb
    from bitsandbytes.backends.default import ops

    if kind == "nf4":
        codes, state = bnb.quantize_4bit(w, quant_type="nf4", compress_statistics=True, blocksize=64)
        scales = bnb.dequantize_blockwise(state.absmax, state.state2) + state.offset
        # Its portable kernel: the CPU library of 0.50 is wrong where a block of 64 reaches into the next row.
        return ops._dequantize_4bit_compute(codes.flatten(), scales, state.code, 64, w.shape, torch.float32)
    rows, magnitudes, _ = torch.ops.bitsandbytes.int8_vectorwise_quant.default(w)
    return bnb.int8_vectorwise_dequant(rows, magnitudes)


def lora(model, **changes):
    config = peft.LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", **changes)
    tuned = peft.get_peft_model(model, config)
    random = torch.Generator().manual_seed(3)
    for name, parameter in tuned.named_parameters():
        if "lora_" in name:  # B is not 0, so that A has a gradient
            parameter.data = torch.randn(parameter.shape, generator=random) * 0.1
    return tuned


SGD = dict(optimizer="sgd", momentum=0.0, learning_rate=0.5, schedule="constant", warmup=0, max_steps=1, batch_size=4,
           max_grad_norm=0)
ADAMW = dict(optimizer="adamw", learning_rate=1e-2, schedule="cosine", warmup=2, max_steps=6, batch_size=2,
             max_grad_norm=0.5, weight_decay=0.1)

LION = dict(ADAMW, optimizer="lion", learning_rate=1e-3, beta1=0.9, beta2=0.99)
MOMENTUM = dict(ADAMW, optimizer="sgd", momentum=0.9, learning_rate=0.1, weight_decay=0.0)

# name -> (model, LoRA configuration or None, options)
CASES = {
    "llama-lora-sgd": ("llama", dict(r=4, lora_alpha=8), SGD),
    "llama-lora-adamw": ("llama", dict(r=4, lora_alpha=8), ADAMW),
    "llama-lora-lion": ("llama", dict(r=4, lora_alpha=8), LION),
    "llama-lora-momentum": ("llama", dict(r=4, lora_alpha=8), MOMENTUM),
    "llama-rslora-adamw": ("llama", dict(r=4, lora_alpha=8, use_rslora=True), ADAMW),
    "llama-nf4-adamw": ("llama", dict(r=4, lora_alpha=8), dict(ADAMW, quantize="nf4")),
    "llama-int8-adamw": ("llama", dict(r=4, lora_alpha=8), dict(ADAMW, quantize="int8")),
    **{f"{name}-sgd": (name, None, SGD)
       for name in ("llama", "qwen2", "qwen3", "gemma2", "gemma3", "gpt2", "olmo2", "phi3")},
    "llama-adamw": ("llama", None, dict(ADAMW, learning_rate=1e-3)),
}


class Lion(torch.optim.Optimizer):
    """Algorithm 2 of arXiv:2302.06675."""

    def __init__(self, groups, lr, betas):
        super().__init__(groups, dict(lr=lr, betas=betas))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                direction = (m * beta1 + p.grad * (1 - beta1)).sign()
                p.sub_(group["lr"] * (direction + group["weight_decay"] * p))
                m.mul_(beta2).add_(p.grad, alpha=1 - beta2)


def optimizer_of(parameters, o):
    decayed = [p for p in parameters if p.dim() >= 2]
    others = [p for p in parameters if p.dim() < 2]
    groups = [dict(params=decayed, weight_decay=o.get("weight_decay", 0.0)), dict(params=others, weight_decay=0.0)]
    groups = [g for g in groups if g["params"]]
    if o["optimizer"] == "sgd":
        return torch.optim.SGD(groups, lr=o["learning_rate"], momentum=o["momentum"])
    if o["optimizer"] == "lion":
        return Lion(groups, o["learning_rate"], (o["beta1"], o["beta2"]))
    return torch.optim.AdamW(groups, lr=o["learning_rate"], betas=(0.9, 0.999), eps=1e-8)


def train(model, o, data):
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = optimizer_of(parameters, o)
    make = {"constant": transformers.get_constant_schedule_with_warmup,
            "cosine": transformers.get_cosine_schedule_with_warmup}[o["schedule"]]
    more = {} if o["schedule"] == "constant" else dict(num_training_steps=o["max_steps"])
    schedule = make(optimizer, num_warmup_steps=o["warmup"], **more)
    per_epoch = math.ceil(len(data) / o["batch_size"])
    losses, norms = [], []
    for step in range(o["max_steps"]):
        at = step % per_epoch * o["batch_size"]
        loss = loss_of(model, data[at:at + o["batch_size"]])
        optimizer.zero_grad()
        loss.backward()
        limit = o["max_grad_norm"] or math.inf
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, limit).item())
        losses.append(loss.item())
        optimizer.step()
        schedule.step()
    return losses, norms


def make(name):
    model_name, adapter, options = CASES[name]
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    model = transformers.AutoModelForCausalLM.from_pretrained(MODELS / model_name, dtype=torch.float32,
                                                              attn_implementation="eager")
    model.eval()  # no dropout: GPT-2 has it by default
    if "quantize" in options:
        for module in model.model.layers.modules():
            if isinstance(module, torch.nn.Linear):
                module.weight.data = quantized(module.weight.data, options["quantize"])
    if adapter:
        model = lora(model, **adapter)
        model.peft_config["default"].base_model_name_or_path = model_name
        model.save_pretrained(folder / "start")
        (folder / "start" / "README.md").unlink(missing_ok=True)
    data = rows()
    losses, norms = train(model, options, data)
    if adapter:
        state = peft.get_peft_model_state_dict(model)
        save_file({k: v.detach().contiguous() for k, v in state.items()}, folder / "trained.safetensors")
    case = dict(model=model_name, rank=adapter["r"] if adapter else 0, alpha=adapter["lora_alpha"] if adapter else 0,
                rslora=bool(adapter and adapter.get("use_rslora")), options=options, rows=data, losses=losses,
                grad_norms=norms)
    (folder / "case.json").write_text(json.dumps(case) + "\n")


for case in sys.argv[1:] or CASES:
    make(case)
