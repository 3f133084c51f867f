#!/usr/bin/env python3
"""Writes goldens_4_46.json: diverse beam search and contrastive search on the stories260K model in float32, by
transformers 4.46.3, the last line of versions that has both in its core.

Usage: generate_old.py FOLDER_OF_STORIES260K_HF [OUT]
"""

import json
import os
import sys

import torch
import transformers
from transformers import AutoModelForCausalLM

assert transformers.__version__.startswith("4.46"), transformers.__version__
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], torch_dtype=torch.float32, attn_implementation="eager").eval()
prompts = [[1, 403, 407, 261, 378], [1, 291, 280], [1, 365, 422, 394, 395]]
PERIOD, COMMA = 426, 432


def generate(prompt, ends, **options):
    ids = torch.tensor([prompt])
    with torch.no_grad():
        out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, eos_token_id=ends, pad_token_id=0,
                             return_dict_in_generate=True, output_scores=True, **options)
    return [row[len(prompt):] for row in out.sequences.tolist()], getattr(out, "sequences_scores", None)


def cut(row, ends):
    stopped = next((i for i, token in enumerate(row) if token in ends), None)
    return dict(ids=row if stopped is None else row[:stopped], stopped=stopped is not None)


def group_case(prompt, ends, max_tokens, **options):
    rows, scores = generate(prompt, ends, max_new_tokens=max_tokens, **options)
    sequences = [dict(cut(row, ends), score=round(score, 6)) for row, score in zip(rows, scores.tolist())]
    return dict(prompt_ids=prompt, max_tokens=max_tokens, stop_token_ids=ends, options=options, sequences=sequences)


def contrastive_case(prompt, ends, max_tokens, **options):
    rows, _ = generate(prompt, ends, max_new_tokens=max_tokens, **options)
    return dict(prompt_ids=prompt, max_tokens=max_tokens, stop_token_ids=ends, options=options, **cut(rows[0], ends))


def main():
    beams, contrastive = [], []
    for prompt in prompts:
        for ends in ([0], [PERIOD]):
            for groups, beam_count in ((2, 4), (3, 6), (3, 3)):
                for penalty in (0.5, 5.0):
                    beams.append(group_case(prompt, ends, 20, num_beams=beam_count, num_beam_groups=groups,
                                            diversity_penalty=penalty, num_return_sequences=beam_count))
        for alpha, k in ((0.6, 4), (0.3, 8), (0.9, 3)):
            contrastive.append(contrastive_case(prompt, [0], 40, penalty_alpha=alpha, top_k=k))
        contrastive.append(contrastive_case(prompt, [PERIOD], 40, penalty_alpha=0.5, top_k=5))
    contrastive.append(contrastive_case(prompts[0], [0], 30, penalty_alpha=0.6, top_k=4, repetition_penalty=1.3))
    out = sys.argv[2] if len(sys.argv) > 2 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "goldens_4_46.json")
    with open(out, "w", encoding="utf-8") as file:
        file.write('{"versions": %s,\n' % json.dumps(dict(transformers=transformers.__version__, torch=torch.__version__)))
        for name, cases in (("beams", beams), ("contrastive_search", contrastive)):
            file.write('"%s": [\n' % name + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases))
            file.write("\n],\n" if name == "beams" else "\n]}\n")
    print(f"{len(beams)} diverse beam searches, {len(contrastive)} contrastive searches, {os.path.getsize(out)} bytes")


main()
