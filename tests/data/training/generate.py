#!/usr/bin/env python3
"""Makes the training goldens below tests/data/training with transformers and peft, in float32 on the CPU, from the tiny
checkpoints of tests/data/models; the cases trl-* are runs of TRL's SFTTrainer. One folder for each case:

  case.json                    model, options and lora (as lm.train names them; null: the weights themselves), rows
                               (input_ids, labels), and of every step the loss (mean over target tokens) and the
                               gradient's norm before clipping
  start/                       the adapter training starts from, as peft saves it (not with lora.init)
  trained.safetensors          the adapter after the last step, under peft's names (LoRA cases); where lora.init
                               changed the base (pissa and the like) converted for the base as it was, of twice the rank

  python3 tests/data/training/generate.py [CASE ...]      needs torch, transformers 5, peft, safetensors,
                                                          bitsandbytes, schedulefree, trl, datasets
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


class Xoshiro:
    """xoshiro256** seeded by splitmix64 (https://prng.di.unimi.it): the run's random numbers."""

    def __init__(self, seed):
        self.s = []
        for _ in range(4):
            seed = (seed + 0x9E3779B97F4A7C15) % 2 ** 64
            z = (seed ^ seed >> 30) * 0xBF58476D1CE4E5B9 % 2 ** 64
            z = (z ^ z >> 27) * 0x94D049BB133111EB % 2 ** 64
            self.s.append(z ^ z >> 31)

    def uniform(self):
        s = self.s
        x = s[1] * 5 % 2 ** 64
        x = (x << 7 | x >> 57) % 2 ** 64 * 9 % 2 ** 64
        t = s[1] << 17 & 2 ** 64 - 1
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = (s[3] << 45 | s[3] >> 19) % 2 ** 64
        return (x >> 11) * 2.0 ** -53


def noisy_embeddings(model, ids, mask, alpha, step, first):
    """NEFTune: each document of L tokens gets uniform noise in +-alpha / sqrt(L * d), from a generator of its own."""
    x = model.get_input_embeddings()(ids)
    noise = torch.zeros(x.shape)
    for row, n in enumerate(mask.sum(1).tolist()):
        random = Xoshiro(((42 + first + row) * 0x9E3779B97F4A7C15 + step * 1000003) % 2 ** 64)
        width = alpha / math.sqrt(n * x.shape[2])
        noise[row, :n] = torch.tensor([(2 * random.uniform() - 1) * width for _ in range(n * x.shape[2])]).view(n, -1)
    return x + noise


def loss_of(model, data, at, o, step):
    batch = data[at:at + o["batch_size"]]
    ids, labels, mask = padded(batch)
    if "neftune" in o:
        logits = model(inputs_embeds=noisy_embeddings(model, ids, mask, o["neftune"], step, at),
                       attention_mask=mask).logits
    else:
        logits = model(input_ids=ids, attention_mask=mask).logits
    logits = logits.float()[:, -ids.shape[1]:]  # without virtual tokens
    logits, targets = logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten()
    if o.get("loss") == "dft":  # trl's dft_loss
        logp = logits.log_softmax(-1)[targets != -100].gather(1, targets[targets != -100][:, None])
        return -(logp.exp().detach() * logp).mean()
    smoothing = o.get("label_smoothing", 0.0)
    loss = torch.nn.functional.cross_entropy(logits, targets, ignore_index=-100, label_smoothing=smoothing)
    if "z_loss" in o:
        loss = loss + o["z_loss"] * logits[targets != -100].logsumexp(-1).square().mean()
    return loss


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


def lora_start(model, init, quantize):
    """peft's first values that come from the weights; the base is changed."""
    from peft.utils.loftq_utils import _low_rank_decomposition

    for module in model.modules():
        if not isinstance(module, peft.tuners.lora.Linear):
            continue
        base, rank, scale = module.get_base_layer(), module.r["default"], module.scaling["default"]
        a, b = module.lora_A["default"].weight, module.lora_B["default"].weight
        if init == "loftq":  # its own function wants CUDA; with lora_alpha = r, as it does not divide by the scale
            assert scale == 1
            rounded = quantized(base.weight.data, quantize)
            halves = _low_rank_decomposition(base.weight.data - rounded, rank)
            a.data, b.data, base.weight.data = halves["R"], halves["L"], rounded
        elif init == "pissa":
            module.pissa_init("default", "pissa")
        else:
            module.olora_init("default")
        if quantize and init != "loftq":
            base.weight.data = quantized(base.weight.data, quantize)
        a.data, b.data = a.data.contiguous(), b.data.contiguous()


def lora(model, init=None, lr_ratio=None, method=None, quantize=None, **changes):
    if method == "ia3":
        config = peft.IA3Config(task_type="CAUSAL_LM", target_modules=["k_proj", "v_proj", "down_proj"],
                                feedforward_modules=["down_proj"])
    elif method in ("prompt", "prefix"):
        kind = peft.PromptTuningConfig if method == "prompt" else peft.PrefixTuningConfig
        config = kind(task_type="CAUSAL_LM", num_virtual_tokens=changes["virtual_tokens"])
    else:
        config = peft.LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", **changes)
    tuned = peft.get_peft_model(model, config)
    if init:
        lora_start(tuned, init, quantize)
        return tuned
    random = torch.Generator().manual_seed(3)
    for name, parameter in tuned.named_parameters():
        if not parameter.requires_grad:
            continue
        noise = torch.randn(parameter.shape, generator=random)
        if "magnitude" in name or "ia3_" in name:  # not what the start makes them
            parameter.data = parameter.data * (1 + 0.2 * noise)
        elif "prompt_encoder" in name:
            parameter.data = noise * 0.5
        elif "lora_" in name:  # B is not 0, so that A has a gradient
            parameter.data = noise * 0.1
    return tuned


SGD = dict(optimizer="sgd", momentum=0.0, learning_rate=0.5, schedule="constant", warmup=0, max_steps=1, batch_size=4,
           max_grad_norm=0)
ADAMW = dict(optimizer="adamw", learning_rate=1e-2, schedule="cosine", warmup=2, max_steps=6, batch_size=2,
             max_grad_norm=0.5, weight_decay=0.1)

LION = dict(ADAMW, optimizer="lion", learning_rate=1e-3, beta1=0.9, beta2=0.99)
ADAMW_8BIT = dict(ADAMW, optimizer="adamw_8bit", learning_rate=1e-3)
ADAFACTOR = dict(ADAMW, optimizer="adafactor", learning_rate=1e-2)
MUON = dict(ADAMW, optimizer="muon", learning_rate=1e-2)
SCHEDULE_FREE = dict(ADAMW, optimizer="schedule_free", schedule="constant", warmup=0)
SOPHIA = dict(ADAMW, optimizer="sophia", learning_rate=1e-3, max_steps=24, beta1=0.965, beta2=0.99, max_grad_norm=0)
MOMENTUM = dict(ADAMW, optimizer="sgd", momentum=0.9, learning_rate=0.1, weight_decay=0.0)

# name -> (model, LoRA configuration or None, options)
CASES = {
    "llama-lora-sgd": ("llama", dict(r=4, lora_alpha=8), SGD),
    "llama-lora-adamw": ("llama", dict(r=4, lora_alpha=8), ADAMW),
    "llama-lora-lion": ("llama", dict(r=4, lora_alpha=8), LION),
    "llama-lora-momentum": ("llama", dict(r=4, lora_alpha=8), MOMENTUM),
    "llama-lora-adafactor": ("llama", dict(r=4, lora_alpha=8), ADAFACTOR),
    "llama-lora-muon": ("llama", dict(r=4, lora_alpha=8), MUON),
    "llama-lora-schedule-free": ("llama", dict(r=4, lora_alpha=8), SCHEDULE_FREE),
    "llama-lora-sophia": ("llama", dict(r=4, lora_alpha=8), SOPHIA),
    "llama-lora-ema": ("llama", dict(r=4, lora_alpha=8), dict(ADAMW, ema=0.7)),
    "llama-loraplus": ("llama", dict(r=4, lora_alpha=8, lr_ratio=16), ADAMW),
    "llama-lora-layer-decay": ("llama", dict(r=4, lora_alpha=8), dict(SGD, layer_decay=0.5)),
    "llama-adafactor": ("llama", None, dict(ADAFACTOR, learning_rate=1e-3)),
    "llama-adamw-8bit": ("llama", None, ADAMW_8BIT),
    "llama-muon": ("llama", None, dict(MUON, learning_rate=1e-3)),
    "llama-rslora-adamw": ("llama", dict(r=4, lora_alpha=8, use_rslora=True), ADAMW),
    "llama-dora-sgd": ("llama", dict(r=4, lora_alpha=8, use_dora=True), SGD),
    "llama-dora-adamw": ("llama", dict(r=4, lora_alpha=8, use_dora=True), ADAMW),
    "qwen2-dora-adamw": ("qwen2", dict(r=4, lora_alpha=8, use_dora=True, use_rslora=True), ADAMW),
    "gemma3-dora-adamw": ("gemma3", dict(r=4, lora_alpha=8, use_dora=True), ADAMW),
    "llama-nf4-dora-adamw": ("llama", dict(r=4, lora_alpha=8, use_dora=True), dict(ADAMW, quantize="nf4")),
    "llama-pissa-adamw": ("llama", dict(r=4, lora_alpha=8, init="pissa"), ADAMW),
    "qwen2-olora-adamw": ("qwen2", dict(r=4, lora_alpha=8, init="olora"), ADAMW),
    "llama-nf4-pissa-adamw": ("llama", dict(r=4, lora_alpha=8, init="pissa"), dict(ADAMW, quantize="nf4")),
    "llama-loftq-adamw": ("llama", dict(r=4, lora_alpha=4, init="loftq"), dict(ADAMW, quantize="nf4")),
    "llama-ia3-sgd": ("llama", dict(method="ia3"), SGD),
    "qwen2-ia3-adamw": ("qwen2", dict(method="ia3"), ADAMW),
    "llama-prompt-sgd": ("llama", dict(method="prompt", virtual_tokens=4), SGD),
    "gpt2-prompt-adamw": ("gpt2", dict(method="prompt", virtual_tokens=3), ADAMW),
    "gemma3-prompt-adamw": ("gemma3", dict(method="prompt", virtual_tokens=5), ADAMW),
    "llama-prefix-sgd": ("llama", dict(method="prefix", virtual_tokens=4), SGD),
    "gemma3-prefix-adamw": ("gemma3", dict(method="prefix", virtual_tokens=3), ADAMW),
    "qwen3-prefix-adamw": ("qwen3", dict(method="prefix", virtual_tokens=5), dict(ADAMW, quantize="nf4")),
    "gpt2-prefix-adamw": ("gpt2", dict(method="prefix", virtual_tokens=3), ADAMW),
    "llama-nf4-adamw": ("llama", dict(r=4, lora_alpha=8), dict(ADAMW, quantize="nf4")),
    "llama-int8-adamw": ("llama", dict(r=4, lora_alpha=8), dict(ADAMW, quantize="int8")),
    **{f"{name}-sgd": (name, None, SGD)
       for name in ("llama", "qwen2", "qwen3", "gemma2", "gemma3", "gpt2", "olmo2", "phi3")},
    "llama-adamw": ("llama", None, dict(ADAMW, learning_rate=1e-3)),
    "llama-smoothing-adamw": ("llama", dict(r=4, lora_alpha=8), dict(ADAMW, label_smoothing=0.2)),
    "gemma2-z-loss-sgd": ("gemma2", None, dict(SGD, z_loss=0.01, label_smoothing=0.1)),
    "llama-dft-adamw": ("llama", dict(r=4, lora_alpha=8), dict(ADAMW, loss="dft")),
    "llama-neftune-adamw": ("llama", dict(r=4, lora_alpha=8), dict(ADAMW, neftune=20.0)),
    "llama-parts-adamw": ("llama", None, dict(ADAMW, learning_rate=1e-3, weight_decay=1.0, train_only=["mlp", "norm"],
                                              freeze=["layers.0.mlp"], no_decay=["down_proj"])),
}

TRL = dict(learning_rate=5e-3, schedule="linear", warmup=1, max_grad_norm=1.0, batch_size=2, accumulate=2, epochs=2)
TRL_CASES = {
    "trl-llama": ("llama", dict(r=4, lora_alpha=8), TRL),
    "trl-qwen3-rslora": ("qwen3", dict(r=4, lora_alpha=6, use_rslora=True), dict(TRL, schedule="cosine")),
    "trl-gemma3": ("gemma3", dict(r=3, lora_alpha=6), dict(TRL, max_grad_norm=0.05)),
    "trl-llama-full": ("llama", None, dict(TRL, learning_rate=1e-3)),
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


class Sophia(torch.optim.Optimizer):
    """Algorithms 2 and 3 of arXiv:2305.14342."""

    def __init__(self, groups, lr, betas, rho=0.04):
        super().__init__(groups, dict(lr=lr, betas=betas, rho=rho))

    def state_of(self, p):
        state = self.state[p]
        for name in ("m", "h"):
            state.setdefault(name, torch.zeros_like(p))
        return state["m"], state["h"]

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                m, h = self.state_of(p)
                m.lerp_(p.grad, 1 - group["betas"][0])
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_(group["lr"] * m.sign() * (m.abs() / (group["rho"] * h + 1e-15)).clamp(max=1))

    @torch.no_grad()
    def add_curvature(self, n):
        for group in self.param_groups:
            for p in group["params"]:
                self.state_of(p)[1].lerp_(n * p.grad ** 2, 1 - group["betas"][1])


def drawn_loss(model, batch, seed):
    """The loss of targets drawn from the model where `batch` has targets; their number."""
    ids, labels, mask = padded(batch)
    logits = model(input_ids=ids, attention_mask=mask).logits.float()[:, :-1].flatten(0, 1)
    logits = logits[labels[:, 1:].flatten() != -100]
    sums = logits.double().softmax(-1).cumsum(-1)
    wanted = torch.tensor([Xoshiro((seed + i) % 2 ** 64).uniform() for i in range(len(logits))], dtype=torch.double)
    targets = torch.searchsorted(sums, wanted[:, None]).flatten().clamp(max=logits.shape[1] - 1)
    return torch.nn.functional.cross_entropy(logits, targets), len(logits)


class Adamw8:
    """bitsandbytes.optim.AdamW8bit with its portable quantizer, which searches as its GPU kernels do."""

    def __new__(cls, groups, lr):
        import bitsandbytes
        from bitsandbytes.backends.cpu import ops as cpu
        from bitsandbytes.backends.default import ops as default

        def quantize(values, code, absmax_out, out, blocksize):
            n = values.numel()
            scales = torch.cat([block.abs().max()[None] for block in values.flatten().split(blocksize)])
            blocks = [b * (1.0 / s.clamp(min=1e-38)) if len(b) == blocksize else b / s.clamp(min=1e-38)
                      for b, s in zip(values.flatten().split(blocksize), scales)]
            bounds = (code[:-1] + code[1:]) / 2
            out.copy_(torch.bucketize(torch.cat(blocks).clamp(-1, 1), bounds).to(torch.uint8).reshape(out.shape))
            absmax_out.copy_(scales)

        assert default is not None
        cpu._quant_blockwise_fp32_direct = quantize
        return bitsandbytes.optim.AdamW8bit(groups, lr=lr, betas=(0.9, 0.999), eps=1e-8)


class Several:
    """Optimizers of disjoint parameters as one."""

    def __init__(self, *parts):
        self.parts = parts
        self.param_groups = [g for part in parts for g in part.param_groups]

    def step(self):
        for part in self.parts:
            part.step()

    def zero_grad(self):
        for part in self.parts:
            part.zero_grad()


def muon_of(named, o):
    hidden = [p for name, p in named if p.dim() == 2 and ".layers." in name]
    others = [p for name, p in named if not (p.dim() == 2 and ".layers." in name)]
    decay = o.get("weight_decay", 0.0)
    muon = torch.optim.Muon(hidden, lr=o["learning_rate"], weight_decay=decay, adjust_lr_fn="match_rms_adamw")
    if not others:
        return muon
    groups = [dict(params=[p for p in others if p.dim() >= 2], weight_decay=decay),
              dict(params=[p for p in others if p.dim() < 2], weight_decay=0.0)]
    return Several(muon, torch.optim.AdamW(groups, lr=o["learning_rate"], betas=(0.9, 0.999), eps=1e-8))


def layer_decay_groups(named, o):
    n = 1 + max(int(name.split(".layers.")[1].split(".")[0]) for name, _ in named)
    return [dict(params=[p], weight_decay=0.0,
                 lr=o["learning_rate"] * o["layer_decay"] ** (n - int(name.split(".layers.")[1].split(".")[0])))
            for name, p in named]


def optimizer_of(named, o, lr_ratio):
    parameters = [p for _, p in named]
    if o["optimizer"] == "muon":
        return muon_of(named, o)
    if "layer_decay" in o:
        return torch.optim.SGD(layer_decay_groups(named, o), lr=o["learning_rate"])
    if lr_ratio:
        return torch.optim.AdamW([dict(params=[p], weight_decay=o["weight_decay"],
                                       lr=o["learning_rate"] * (lr_ratio if "lora_B" in name else 1))
                                  for name, p in named], lr=o["learning_rate"], betas=(0.9, 0.999), eps=1e-8)
    plain = ["ia3_", *o.get("no_decay", [])]  # ia3's stand for 1, not 0
    decays = {name: p.dim() >= 2 and not any(part in name for part in plain) for name, p in named}
    decayed, others = [p for name, p in named if decays[name]], [p for name, p in named if not decays[name]]
    groups = [dict(params=decayed, weight_decay=o.get("weight_decay", 0.0)), dict(params=others, weight_decay=0.0)]
    groups = [g for g in groups if g["params"]]
    if o["optimizer"] == "sgd":
        return torch.optim.SGD(groups, lr=o["learning_rate"], momentum=o["momentum"])
    if o["optimizer"] == "lion":
        return Lion(groups, o["learning_rate"], (o["beta1"], o["beta2"]))
    if o["optimizer"] == "sophia":
        return Sophia(groups, o["learning_rate"], (o["beta1"], o["beta2"]))
    if o["optimizer"] == "adamw_8bit":
        return Adamw8(groups, o["learning_rate"])
    if o["optimizer"] == "adafactor":
        return transformers.optimization.Adafactor(groups, lr=o["learning_rate"], scale_parameter=False,
                                                   relative_step=False)
    if o["optimizer"] == "schedule_free":
        import schedulefree
        return schedulefree.AdamWScheduleFree(groups, lr=o["learning_rate"], betas=(0.9, 0.999), eps=1e-8)
    return torch.optim.AdamW(groups, lr=o["learning_rate"], betas=(0.9, 0.999), eps=1e-8)


def train(model, o, data, lr_ratio=None):
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad
             and ("train_only" not in o or any(part in name for part in o["train_only"]))
             and not any(part in name for part in o.get("freeze", []))]
    parameters = [p for _, p in named]
    optimizer = optimizer_of(named, o, lr_ratio)
    if hasattr(optimizer, "train"):
        optimizer.train()
    average = None
    make = {"constant": transformers.get_constant_schedule_with_warmup,
            "cosine": transformers.get_cosine_schedule_with_warmup}[o["schedule"]]
    more = {} if o["schedule"] == "constant" else dict(num_training_steps=o["max_steps"])
    schedules = [make(part, num_warmup_steps=o["warmup"], **more) for part in getattr(optimizer, "parts", [optimizer])]
    per_epoch = math.ceil(len(data) / o["batch_size"])
    losses, norms = [], []
    for step in range(o["max_steps"]):
        at = step % per_epoch * o["batch_size"]
        loss = loss_of(model, data, at, o, step)
        optimizer.zero_grad()
        loss.backward()
        limit = o["max_grad_norm"] or math.inf
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, limit).item())
        losses.append(loss.item())
        optimizer.step()
        for schedule in schedules:
            schedule.step()
        if "ema" in o:
            now = [p.detach().clone() for p in parameters]
            if average is None:
                average = now
            else:
                torch.optim.swa_utils.get_ema_multi_avg_fn(o["ema"])(average, now, step)
        if o["optimizer"] == "sophia" and (step + 1) % 10 == 0 and step + 1 < o["max_steps"]:
            at = (step + 1) % per_epoch * o["batch_size"]
            drawn, n = drawn_loss(model, data[at:at + o["batch_size"]],
                                  (42 * 0x9E3779B97F4A7C15 + (step + 1) * 1000003 + 1) % 2 ** 64)
            optimizer.zero_grad()
            drawn.backward()
            optimizer.add_curvature(n)
    if hasattr(optimizer, "eval"):
        optimizer.eval()
    if average is not None:
        for p, value in zip(parameters, average):
            p.data = value
    return losses, norms


def load(model_name):
    model = transformers.AutoModelForCausalLM.from_pretrained(MODELS / model_name, dtype=torch.float32,
                                                              attn_implementation="eager")
    return model.eval()  # no dropout: GPT-2 has it by default


def our_names(adapter):
    """peft's settings as lm.train has them."""
    if adapter is None or "method" in adapter:
        return None
    names = dict(r="rank", lora_alpha="alpha", use_rslora="rslora", use_dora="dora")
    return {names.get(key, key): value for key, value in adapter.items()}


def adapter_state(model):
    return {k: v.detach().clone().contiguous() for k, v in peft.get_peft_model_state_dict(model).items()}


def write(name, model, adapter, options, data, run):
    """run() trains and returns losses and norms."""
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    model_name = (CASES.get(name) or TRL_CASES[name])[0]
    initial = adapter_state(model) if adapter else {}
    changes_base = adapter and "init" in adapter
    if adapter and not changes_base:
        model.peft_config["default"].base_model_name_or_path = model_name
        model.save_pretrained(folder / "start")
        (folder / "start" / "README.md").unlink(missing_ok=True)
    losses, norms = run()
    if adapter:
        state = adapter_state(model)
        if changes_base:  # as peft's subtract_mutated_init
            state = {k: torch.cat([v, initial[k]], 0) if "lora_A" in k else torch.cat([v, -initial[k]], 1)
                     for k, v in state.items()}
        save_file(state, folder / "trained.safetensors")
    if adapter and "method" in adapter:
        options = dict(options, **adapter)
    case = dict(model=model_name, lora=our_names(adapter), options=options, rows=data, losses=losses, grad_norms=norms)
    (folder / "case.json").write_text(json.dumps(case) + "\n")


def make(name):
    model_name, adapter, options = CASES[name]
    model = load(model_name)
    quantize = options.get("quantize")
    if quantize and not (adapter and "init" in adapter):
        for module in model.model.layers.modules():
            if isinstance(module, torch.nn.Linear):
                module.weight.data = quantized(module.weight.data, quantize)
    if adapter:
        model = lora(model, quantize=quantize, **adapter)
    data = rows()
    write(name, model, adapter, options, data,
          lambda: train(model, options, data, adapter and adapter.get("lr_ratio")))


def trl_rows(vocab):
    random, out = torch.Generator().manual_seed(1), []
    for _ in range(12):
        n = int(torch.randint(5, 30, (1,), generator=random))
        ids = torch.randint(3, vocab, (n,), generator=random).tolist()
        begin = int(torch.randint(1, n - 2, (1,), generator=random))
        out.append({"input_ids": ids, "labels": [-100] * begin + ids[begin:]})
    return out


def trl_run(model, o, data):
    """What TRL's SFTTrainer computes on the rows in their order."""
    import tokenizers
    import trl
    from datasets import Dataset

    losses = []

    class Recorded(trl.SFTTrainer):
        def _get_train_sampler(self, *_):
            return torch.utils.data.SequentialSampler(self.train_dataset)

        def training_step(self, *args, **kwargs):
            loss = super().training_step(*args, **kwargs)
            losses.append(float(loss))
            return loss

    words = tokenizers.models.WordLevel({f"t{i}": i for i in range(model.config.get_text_config().vocab_size)},
                                        unk_token="t0")
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizers.Tokenizer(words), pad_token="t0",
                                                     eos_token="t1", unk_token="t0")
    args = trl.SFTConfig(
        output_dir="/tmp/train-goldens", use_cpu=True, bf16=False, gradient_checkpointing=False, seed=0,
        per_device_train_batch_size=o["batch_size"], gradient_accumulation_steps=o["accumulate"],
        num_train_epochs=o["epochs"], learning_rate=o["learning_rate"], lr_scheduler_type=o["schedule"],
        warmup_steps=o["warmup"], max_grad_norm=o["max_grad_norm"], logging_steps=1, save_strategy="no", report_to=[],
        max_length=None, packing=False, weight_decay=0.0, completion_only_loss=True, disable_tqdm=True,
        optim="adamw_torch", dataloader_pin_memory=False)
    masked = [{"input_ids": r["input_ids"], "completion_mask": [int(x != -100) for x in r["labels"]]} for r in data]
    trainer = Recorded(model=model, args=args, train_dataset=Dataset.from_list(masked), processing_class=tokenizer)
    trainer.train()
    n = o["accumulate"]
    norms = [float(e["grad_norm"]) for e in trainer.state.log_history if "grad_norm" in e]
    return [sum(losses[i:i + n]) for i in range(0, len(losses), n)], norms


def make_trl(name):
    torch.manual_seed(0)
    model_name, adapter, options = TRL_CASES[name]
    model = load(model_name)
    if adapter:
        model = peft.get_peft_model(model, peft.LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM",
                                                           **adapter))
        for parameter_name, parameter in model.named_parameters():
            if "lora_B" in parameter_name:
                torch.nn.init.normal_(parameter, std=0.05)
    data = trl_rows(model.config.get_text_config().vocab_size)
    write(name, model, adapter, options, data, lambda: trl_run(model, options, data))


if __name__ == "__main__":
    for case in sys.argv[1:] or [*CASES, *TRL_CASES]:
        (make_trl if case in TRL_CASES else make)(case)
