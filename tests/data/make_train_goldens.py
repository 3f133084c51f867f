#!/usr/bin/env python3
"""Writes tests/data/train: what TRL's SFTTrainer with PEFT computes on small models, step by step, in f32.

Each folder: rows.jsonl (token rows), initial/ and final/ (adapters in PEFT's format, B not zero at the start), run.json
(options, and loss and gradient norm before clipping of every optimizer step).

Usage: make_train_goldens.py        needs torch, transformers, peft, trl (1.16), datasets
"""
import json, shutil
from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from tokenizers import Tokenizer, models
from trl import SFTConfig, SFTTrainer

HERE = Path(__file__).resolve().parent
CASES = {  # folder -> model, adapter settings, trainer settings
    "llama": ("llama", dict(r=4, lora_alpha=8), dict()),
    "qwen3-rslora": ("qwen3", dict(r=4, lora_alpha=6, use_rslora=True), dict(lr_scheduler_type="cosine")),
    "gemma3": ("gemma3", dict(r=3, lora_alpha=6), dict(max_grad_norm=0.05)),
    "llama-full": ("llama", None, dict(learning_rate=1e-3)),
}


class Recorded(SFTTrainer):
    """Keeps the rows' order and every step's exact loss."""

    def _get_train_sampler(self, *args):
        return torch.utils.data.SequentialSampler(self.train_dataset)

    def training_step(self, *args, **kwargs):
        loss = super().training_step(*args, **kwargs)
        self.losses.append(float(loss))
        return loss


def rows(vocab, generator):
    out = []
    for _ in range(12):
        n = int(torch.randint(5, 30, (1,), generator=generator))
        ids = torch.randint(3, vocab, (n,), generator=generator).tolist()
        begin = int(torch.randint(1, n - 2, (1,), generator=generator))
        out.append({"input_ids": ids, "completion_mask": [0] * begin + [1] * (n - begin)})
    return out


def make(name, model_name, lora, extra):
    torch.manual_seed(0)
    folder = HERE / "train" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model = AutoModelForCausalLM.from_pretrained(HERE / "models" / model_name, dtype=torch.float32, attn_implementation="eager")
    data = rows(model.config.get_text_config().vocab_size, torch.Generator().manual_seed(1))
    (folder / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in data))
    if lora:
        model = get_peft_model(model, LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM", **lora))
        for p_name, p in model.named_parameters():
            if "lora_B" in p_name:
                torch.nn.init.normal_(p, std=0.05)
        model.peft_config["default"].base_model_name_or_path = model_name  # not where it lay
        model.save_pretrained(folder / "initial")
    settings = dict(learning_rate=5e-3, lr_scheduler_type="linear", warmup_steps=1, max_grad_norm=1.0) | extra
    vocabulary = {f"t{i}": i for i in range(data and model.config.get_text_config().vocab_size)}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(vocabulary, unk_token="t0")),
                                        pad_token="t0", eos_token="t1", unk_token="t0")
    args = SFTConfig(output_dir="/tmp/train-goldens", use_cpu=True, bf16=False, gradient_checkpointing=False, seed=0,
                     per_device_train_batch_size=2, gradient_accumulation_steps=2, num_train_epochs=2, logging_steps=1,
                     save_strategy="no", report_to=[], max_length=None, packing=False, weight_decay=0.0, completion_only_loss=True,
                     disable_tqdm=True, optim="adamw_torch", dataloader_pin_memory=False, **settings)
    trainer = Recorded(model=model, args=args, train_dataset=Dataset.from_list(data), processing_class=tokenizer)
    trainer.losses = []
    trainer.train()
    losses = [sum(trainer.losses[i:i + 2]) for i in range(0, len(trainer.losses), 2)]
    norms = [float(e["grad_norm"]) for e in trainer.state.log_history if "grad_norm" in e]
    run = {"model": model_name, "lora": lora, "learning_rate": settings["learning_rate"],
           "schedule": settings["lr_scheduler_type"], "max_grad_norm": settings["max_grad_norm"], "warmup": 1,
           "batch_size": 2, "accumulate": 2, "epochs": 2, "loss": losses, "grad_norm": norms}
    (folder / "run.json").write_text(json.dumps(run, indent=1) + "\n")
    if lora:
        trainer.model.save_pretrained(folder / "final")
        for extra_file in [*folder.glob("*/README.md")]:
            extra_file.unlink()
    print(name, losses[:2], norms[:2])


if __name__ == "__main__":
    for name, (model, lora, extra) in CASES.items():
        make(name, model, lora, extra)
