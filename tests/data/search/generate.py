#!/usr/bin/env python3
"""Writes goldens.json: beam search and guidance by transformers in float32, on the stories260K model.

Usage: generate.py FOLDER_OF_STORIES260K_HF [OUT]
"""

import json
import os
import sys

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = sys.argv[1]
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
prompts = ["Once upon a time", "The cat and the dog", "Lily"]
ids_of = {p: [1] + tokenizer.encode(p, add_special_tokens=False) for p in prompts}
period = 426  # ".": an end token that comes soon


def generate(prompt, eos, options):
    ids = torch.tensor([ids_of[prompt]])
    with torch.no_grad():
        out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, eos_token_id=eos, pad_token_id=0,
                             return_dict_in_generate=True, output_scores=True, **options)
    return ids.shape[1], out


def beam_case(prompt, max_tokens, eos, **options):
    n, out = generate(prompt, eos, dict(max_new_tokens=max_tokens, **options))
    sequences = []
    for row, score in zip(out.sequences.tolist(), out.sequences_scores.tolist()):
        row = row[n:]
        stopped = next((i for i, token in enumerate(row) if token in eos), None)
        sequences.append(dict(ids=row if stopped is None else row[:stopped], stopped=stopped is not None,
                              score=round(score, 6)))
    return dict(prompt_ids=ids_of[prompt], max_tokens=max_tokens, stop_token_ids=eos, options=options,
                sequences=sequences)


def guidance_case(prompt, negative, scale, max_tokens):
    options = dict(max_new_tokens=max_tokens, guidance_scale=scale)
    if negative:
        options["negative_prompt_ids"] = torch.tensor([ids_of[negative]])
    n, out = generate(prompt, [0], options)
    return dict(prompt_ids=ids_of[prompt], negative_ids=ids_of[negative] if negative else None, scale=scale,
                max_tokens=max_tokens, ids=out.sequences[0, n:].tolist())


def log_probs(ids):
    with torch.no_grad():
        return torch.log_softmax(model(torch.tensor([ids])).logits[0, -1].double(), dim=-1)


def contrastive_case(prompt, amateur, alpha, max_tokens):
    """Greedy on ln p_expert - ln p_amateur where p_expert >= alpha max p_expert; the amateur is the same model with less
    to read."""
    produced = []
    for _ in range(max_tokens):
        expert, other = log_probs(ids_of[prompt] + produced), log_probs(amateur + produced)
        scores = torch.where(expert >= expert.max() + torch.log(torch.tensor(alpha)).double(), expert - other, -torch.inf)
        produced.append(int(scores.argmax()))
    return dict(prompt_ids=ids_of[prompt], amateur_ids=amateur, alpha=alpha, max_tokens=max_tokens, ids=produced)


def main():
    global period
    period = tokenizer.encode("a.", add_special_tokens=False)[-1]
    ends, never = [period], [0]
    beams = []
    for prompt in prompts:
        for width in (1, 2, 4, 7) if prompt == prompts[0] else (3,):
            beams.append(beam_case(prompt, 24, never, num_beams=max(width, 2), num_return_sequences=min(width, 3)))
            for early in (True, False, "never"):
                for penalty in (0.0, 1.0, 2.0, -0.5):
                    beams.append(beam_case(prompt, 40, ends, num_beams=max(width, 2), num_return_sequences=min(width, 4),
                                           early_stopping=early, length_penalty=penalty))
    more_ends = [period, tokenizer.encode("a,", add_special_tokens=False)[-1]]
    beams.append(beam_case(prompts[1], 30, more_ends, num_beams=4, num_return_sequences=4))
    beams.append(beam_case(prompts[0], 60, never, num_beams=3, num_return_sequences=3, repetition_penalty=1.4))
    beams.append(beam_case(prompts[1], 60, never, num_beams=3, num_return_sequences=3, no_repeat_ngram_size=3))
    beams.append(beam_case(prompts[2], 30, ends, num_beams=3, num_return_sequences=3, min_new_tokens=20))
    guided = [guidance_case(p, n, s, 30) for p, n in ((prompts[0], prompts[2]), (prompts[1], prompts[0]), (prompts[0], None))
              for s in (1.5, 3.0, 0.4)]
    contrastive = [contrastive_case(p, ids_of[p][-1:], alpha, 25) for p in prompts[:2] for alpha in (0.1, 0.4)]
    out = sys.argv[2] if len(sys.argv) > 2 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "goldens.json")
    with open(out, "w", encoding="utf-8") as file:
        file.write('{"versions": %s,\n' % json.dumps(dict(transformers=transformers.__version__, torch=torch.__version__)))
        for name, cases in (("beams", beams), ("guidance", guided), ("contrastive", contrastive)):
            file.write('"%s": [\n' % name + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases))
            file.write("\n]}\n" if name == "contrastive" else "\n],\n")
    print(f"{len(beams)} beam searches, {len(guided)} guided, {os.path.getsize(out)} bytes")


main()
