#!/usr/bin/env python3
"""QLoRA by bitsandbytes on the CPU, as a bare PyTorch loop: the peer of scripts/bench/train.py --method qlora.

Usage: qlora_peer.py --load DIR [--steps 6] [--warmup 2]

DIR is an export of peer_train.py: model, adapter, batches. The base is NF4 with double quantisation, the computing type
bf16; transformers, peft and bitsandbytes do the rest. Prints one JSON line: tok_s, losses.
"""

import argparse
import json
import time

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--load", required=True)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--warmup", type=int, default=2)
    a = parser.parse_args()
    quantization = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                                      bnb_4bit_compute_dtype=torch.bfloat16)
    base = AutoModelForCausalLM.from_pretrained(a.load + "/model", quantization_config=quantization,
                                                dtype=torch.bfloat16, device_map="cpu")
    model = PeftModel.from_pretrained(base, a.load + "/adapter", is_trainable=True).train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=2e-4, weight_decay=0.0)
    batches = load_file(a.load + "/batches.safetensors")
    losses, times, tokens = [], [], 0
    for i in range(a.warmup + a.steps):
        start = time.perf_counter()
        ids, labels = batches[f"{i:03}.input_ids"], batches[f"{i:03}.labels"]
        for group in optimizer.param_groups:
            group["lr"] = 2e-4 * (1 - i / (a.warmup + a.steps))
        with torch.autocast("cpu", torch.bfloat16):
            hidden = model.get_base_model().model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
            counted = labels[:, 1:] != -100
            logits = model.get_base_model().lm_head(hidden[counted])
        loss = torch.nn.functional.cross_entropy(logits.float(), labels[:, 1:][counted])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if i >= a.warmup:
            times.append(time.perf_counter() - start)
            tokens += ids.numel()
    print(json.dumps({"tok_s": round(tokens / sum(times), 1), "losses": losses}))


main()
