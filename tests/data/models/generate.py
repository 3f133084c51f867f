#!/usr/bin/env python3
"""Makes the tiny checkpoints below tests/data/models with transformers: random weights (rounded to bfloat16), and what
the model computes from them in float32, eager attention. One folder for each entry of MODELS:

  config.json, model.safetensors   as transformers saves them
  golden.safetensors               ids [T] i64 and, in f32, logits [T, V] after every token (language models), or
                                   hidden [T, C] after the last norm and pooled vectors (encoders);
                                   pixels [N, channels, size, size] and image_hidden [N, T, C], image_scores
                                   [N, labels] (models that read images) or ids and image_logits [T, V] (text models
                                   that see them)

  python3 tests/data/models/generate.py [NAME ...]      needs torch, transformers 5, safetensors, Pillow 12
"""
import json
import pathlib
import shutil
import sys

import torch
import transformers
from PIL import Image
from safetensors.torch import save_file
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

HERE = pathlib.Path(__file__).parent
SIZES = dict(vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=0)
N_TOKENS = 24


def sizes(**changes):
    return {**SIZES, **changes}


# Encoders: name -> (model class, config class, config values)
ENCODER_SIZES = dict(vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
                     max_position_embeddings=64, pad_token_id=0)
ENCODERS = {
    "bert": ("BertModel", "BertConfig", ENCODER_SIZES),
    "bert-rerank": ("BertForSequenceClassification", "BertConfig", {**ENCODER_SIZES, "num_labels": 1}),
    "roberta-rerank": ("RobertaForSequenceClassification", "RobertaConfig",
                       {**ENCODER_SIZES, "num_labels": 1, "type_vocab_size": 1, "pad_token_id": 1}),
    "nomic-bert": ("NomicBertModel", "NomicBertConfig", ENCODER_SIZES),
    "modernbert": ("ModernBertModel", "ModernBertConfig",
                   {**ENCODER_SIZES, "num_hidden_layers": 3, "global_attn_every_n_layers": 3, "local_attention": 8}),
    "modernbert-rerank": ("ModernBertForSequenceClassification", "ModernBertConfig",
                          {**ENCODER_SIZES, "num_labels": 1, "classifier_pooling": "mean", "local_attention": 8}),
    "llama-rerank": ("LlamaForSequenceClassification", "LlamaConfig",
                     {**ENCODER_SIZES, "num_labels": 1, "num_key_value_heads": 2}),
}

T5_SIZES = dict(vocab_size=96, d_model=32, d_kv=12, d_ff=48, num_layers=3, num_decoder_layers=2, num_heads=4,
                relative_attention_num_buckets=8, relative_attention_max_distance=20, decoder_start_token_id=0)
SEQ2SEQ = {
    "t5": T5_SIZES,
    "t5-distance": {**T5_SIZES, "relative_attention_max_distance": 128},
    "flan-t5": {**T5_SIZES, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False,
                "relative_attention_max_distance": 128},
}


def without_kv(**changes):
    return {k: v for k, v in sizes(**changes).items() if k != "num_key_value_heads"}


def rope(kind="default", theta=10000.0, **values):
    return dict(rope_parameters=dict(rope_type=kind, rope_theta=theta, **values))


MOE = dict(num_local_experts=4, num_experts_per_tok=2)
YARN = dict(factor=4.0, original_max_position_embeddings=16)
LONG = [1.0 + 0.7 * i for i in range(4)]
SHORT = [1.0 + 0.1 * i for i in range(4)]

# name -> (class without "Config"/"ForCausalLM", config values)
CAUSAL = {
    "llama": ("Llama", sizes(**rope())),
    "llama-bias-headdim": ("Llama", sizes(head_dim=16, attention_bias=True, mlp_bias=True, tie_word_embeddings=True)),
    "llama-rope-linear": ("Llama", sizes(**rope("linear", factor=2.0))),
    "llama-rope-dynamic": ("Llama", sizes(**{**rope("dynamic", factor=2.0), "max_position_embeddings": 16})),
    "llama-rope-yarn": ("Llama", sizes(**rope("yarn", **YARN))),
    "llama-rope-llama3": ("Llama", sizes(**rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                                original_max_position_embeddings=16))),
    "llama-rope-longrope": ("Llama", sizes(**rope("longrope", short_factor=SHORT, long_factor=LONG, factor=4.0,
                                                  original_max_position_embeddings=16))),
    "mistral-window": ("Mistral", sizes(sliding_window=8)),
    "mixtral": ("Mixtral", sizes(**MOE, sliding_window=None)),
    "smollm3": ("SmolLM3", sizes(num_hidden_layers=4, no_rope_layer_interval=4, use_sliding_window=False)),
    "qwen2": ("Qwen2", sizes(use_sliding_window=False)),
    "qwen3": ("Qwen3", sizes(head_dim=16)),
    "qwen2-moe": ("Qwen2Moe", sizes(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=24,
                                    shared_expert_intermediate_size=40, decoder_sparse_step=1, norm_topk_prob=False)),
    "qwen3-moe": ("Qwen3Moe", sizes(head_dim=16, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=24,
                                    norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[0])),
    "gemma": ("Gemma", sizes(head_dim=16)),
    "gemma2": ("Gemma2", sizes(head_dim=16, num_hidden_layers=2, sliding_window=8, query_pre_attn_scalar=24,
                               attn_logit_softcapping=5.0, final_logit_softcapping=3.0)),
    "gemma3": ("Gemma3Text", sizes(head_dim=16, num_hidden_layers=3, sliding_window=8, query_pre_attn_scalar=24,
                                   layer_types=["sliding_attention", "sliding_attention", "full_attention"],
                                   rope_parameters=dict(
                                       full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1000000.0),
                                       sliding_attention=dict(rope_type="default", rope_theta=10000.0)))),
    "phi3": ("Phi3", sizes(sliding_window=None)),
    "phi3-longrope": ("Phi3", sizes(partial_rotary_factor=0.5, tie_word_embeddings=True, hidden_size=64,
                                    original_max_position_embeddings=16, sliding_window=None,
                                    **rope("longrope", short_factor=SHORT, long_factor=LONG,
                                           partial_rotary_factor=0.5, original_max_position_embeddings=16))),
    "phimoe": ("Phimoe", sizes(**MOE, attention_bias=True, lm_head_bias=True, sliding_window=None)),
    "granite": ("Granite", sizes(embedding_multiplier=6.0, residual_multiplier=0.4, attention_multiplier=0.2,
                                 logits_scaling=3.0)),
    "granite-moe": ("GraniteMoe", sizes(**MOE, embedding_multiplier=6.0, residual_multiplier=0.4,
                                        attention_multiplier=0.2, logits_scaling=3.0)),
    # transformers has no MiniCPM 1/2; its published code is Granite's with these factors (scale_depth 1.4 over the root of
    # 2 layers, hidden size over dim_model_base). CONFIGS has the names that its own files use.
    "minicpm": ("Granite", sizes(embedding_multiplier=12.0, residual_multiplier=1.4 / 2 ** 0.5,
                                 attention_multiplier=8 ** -0.5, logits_scaling=32 / 8)),
    "olmo2": ("Olmo2", sizes()),
    "olmoe": ("Olmoe", sizes(num_experts=4, num_experts_per_tok=2, norm_topk_prob=False)),
    "stablelm": ("StableLm", sizes(partial_rotary_factor=0.25, hidden_size=64, use_qkv_bias=True)),
    "stablelm-parallel": ("StableLm", sizes(partial_rotary_factor=0.25, hidden_size=64, use_parallel_residual=True,
                                            qk_layernorm=True)),
    "gpt2": ("GPT2", dict(vocab_size=96, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=1,
                          eos_token_id=2)),
    "gpt-neox": ("GPTNeoX", without_kv(hidden_size=64, rotary_pct=0.25, use_parallel_residual=True)),
    "gpt-neox-serial": ("GPTNeoX", without_kv(rotary_pct=1.0, use_parallel_residual=False, attention_bias=True)),
    "mamba": ("Mamba", dict(vocab_size=96, hidden_size=32, state_size=8, num_hidden_layers=2, expand=2, conv_kernel=4,
                            use_conv_bias=True)),
    "rwkv4": ("Rwkv", dict(vocab_size=96, hidden_size=32, attention_hidden_size=32, intermediate_size=48,
                           num_hidden_layers=2, context_length=64, rescale_every=0)),
    "falcon-mamba": ("FalconMamba", dict(vocab_size=96, hidden_size=32, state_size=8, num_hidden_layers=2, expand=2,
                                         conv_kernel=4)),
    "mamba2": ("Mamba2", dict(vocab_size=96, hidden_size=32, state_size=8, num_hidden_layers=2, expand=2, conv_kernel=4,
                              num_heads=8, head_dim=8, n_groups=2, chunk_size=8)),
    "falcon-h1": ("FalconH1", sizes(mamba_d_ssm=48, mamba_n_heads=6, mamba_d_head=8, mamba_n_groups=2, mamba_d_state=8,
                                    mamba_chunk_size=8, mamba_rms_norm=True, mamba_norm_before_gate=False,
                                    ssm_multipliers=[0.7, 1.3, 0.9, 1.1, 0.8], mlp_multipliers=[1.2, 0.7],
                                    embedding_multiplier=3.0, lm_head_multiplier=0.5, key_multiplier=0.8,
                                    attention_in_multiplier=1.1, attention_out_multiplier=0.9,
                                    ssm_in_multiplier=1.2, ssm_out_multiplier=0.6)),
    "falcon-h1-no-norm": ("FalconH1", sizes(mamba_d_ssm=64, mamba_n_heads=8, mamba_d_head=8, mamba_n_groups=1,
                                            mamba_d_state=8, mamba_chunk_size=8, mamba_rms_norm=False)),
    "deepseek-v2": ("DeepseekV2", sizes(num_key_value_heads=4, num_hidden_layers=3, q_lora_rank=None, kv_lora_rank=16, qk_rope_head_dim=8,
                                        qk_nope_head_dim=16, v_head_dim=16, n_routed_experts=4, num_experts_per_tok=2,
                                        n_shared_experts=2, moe_intermediate_size=24, first_k_dense_replace=1,
                                        topk_method="greedy", routed_scaling_factor=1.5, norm_topk_prob=False,
                                        **rope("yarn", mscale=0.7, mscale_all_dim=0.5, beta_fast=32, beta_slow=1,
                                               **YARN))),
    "deepseek-v2-groups": ("DeepseekV2", sizes(num_key_value_heads=4, q_lora_rank=24, kv_lora_rank=16, qk_rope_head_dim=8,
                                               qk_nope_head_dim=16, v_head_dim=12, n_routed_experts=8,
                                               num_experts_per_tok=3, n_shared_experts=1, moe_intermediate_size=24,
                                               first_k_dense_replace=0, topk_method="group_limited_greedy", n_group=4,
                                               topk_group=2, routed_scaling_factor=1.5, norm_topk_prob=False, **rope())),
}

# What the config.json of a model says that was computed with another model's code.
CONFIGS = {
    "minicpm": dict(model_type="minicpm", architectures=["MiniCPMForCausalLM"], scale_emb=12, scale_depth=1.4,
                    dim_model_base=8, remove=["embedding_multiplier", "residual_multiplier", "attention_multiplier",
                                              "logits_scaling"]),
}


def randomize(model, seed):
    """Values of a size that make every part of the model matter, exact in bfloat16."""
    g = torch.Generator().manual_seed(seed)
    for name, p in sorted(model.named_parameters()):
        noise = torch.randn(p.shape, generator=g)
        if p.dim() >= 2:
            scale = 0.5 if "embed" in name or "wte" in name or "wpe" in name else 1.3 / p.shape[-1] ** 0.5
            value = noise * scale
        elif "norm" in name or ".ln_" in name or "layernorm" in name.lower():
            value = (1.0 if name.endswith("weight") else 0.0) + 0.2 * noise
        else:
            value = 0.3 * noise
        p.data = value.to(torch.bfloat16).float()


def save(folder, model, golden):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.to(torch.bfloat16).save_pretrained(folder)
    for extra in folder.glob("*generation_config.json"):
        extra.unlink()
    config = json.loads((folder / "config.json").read_text())
    config.update(CONFIGS.get(folder.name, {}))
    for key in ["transformers_version", *config.pop("remove", [])]:
        config.pop(key, None)
    (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    save_file({k: v.contiguous() for k, v in golden.items()}, str(folder / "golden.safetensors"))
    print(f"{folder.name}: {sum(f.stat().st_size for f in folder.iterdir())} bytes")


def causal(name, kind, values):
    config = getattr(transformers, kind + "Config")(**values)
    config._attn_implementation = "eager"
    cls = getattr(transformers, (kind + "LMHeadModel") if kind == "GPT2" else kind.replace("Text", "") + "ForCausalLM")
    torch.manual_seed(0)
    model = cls(config).eval().float()
    randomize(model, sum(map(ord, name)))
    ids = torch.randint(3, config.vocab_size, (1, N_TOKENS), generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        logits = model(ids, use_cache=False).logits[0].float()
    save(HERE / name, model, {"ids": ids[0], "logits": logits})


def encoder(name, cls, config_cls, values):
    config = getattr(transformers, config_cls)(**values)
    config._attn_implementation = "eager"
    torch.manual_seed(0)
    model = getattr(transformers, cls)(config).eval().float()
    randomize(model, sum(map(ord, name)))
    ids = torch.randint(5, config.vocab_size, (1, N_TOKENS), generator=torch.Generator().manual_seed(7))
    types = (torch.arange(N_TOKENS)[None] >= 10).long()
    inputs = dict(token_type_ids=types) if getattr(config, "type_vocab_size", 0) == 2 else {}
    golden = {"ids": ids[0], **({"token_types": types[0]} if inputs else {})}
    with torch.no_grad():
        out = model(ids, output_hidden_states=True, **inputs)
        if hasattr(out, "logits"):
            golden["scores"] = out.logits[0].float()
        else:
            golden["hidden"] = out.last_hidden_state[0].float()
    save(HERE / name, model, golden)


def seq2seq(name, values):
    config = transformers.T5Config(**values)
    config._attn_implementation = "eager"
    torch.manual_seed(0)
    model = transformers.T5ForConditionalGeneration(config).eval().float()
    randomize(model, sum(map(ord, name)))
    g = torch.Generator().manual_seed(7)
    source, ids = (torch.randint(3, config.vocab_size, (1, n), generator=g) for n in (N_TOKENS, 16))
    ids[0, 0] = 0
    with torch.no_grad():
        out = model(input_ids=source, decoder_input_ids=ids, use_cache=False)
        greedy = model.generate(source, max_new_tokens=12, do_sample=False, min_new_tokens=12)[0, 1:]
        beams = model.generate(source, max_new_tokens=8, num_beams=3, do_sample=False)[0, 1:]
    save(HERE / name, model, {"source": source[0], "ids": ids[0], "logits": out.logits[0].float(),
                              "encoded": out.encoder_last_hidden_state[0].float(), "greedy": greedy,
                              "beams": beams})


VISION_SIZES = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, image_size=16,
                    patch_size=4)
# name -> (model class, config class, config values)
VISION = {
    "vit": ("ViTForImageClassification", "ViTConfig", {**VISION_SIZES, "num_labels": 5}),
    "siglip": ("SiglipVisionModel", "SiglipVisionConfig", {**VISION_SIZES, "vision_use_head": False}),
}
# The tokens of "smolvlm": special ones, then the characters of ASCII.
SEEING_TOKENS = ["<|endoftext|>", "<|im_start|>", "<end_of_utterance>", "<image>", "<fake_token_around_image>",
                 "<global-img>"] + [f"<row_{r}_col_{c}>" for r in (1, 2, 3) for c in (1, 2, 3)]
SEEING_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{% if message.content is string %}"
    "{{ message.content }}{% else %}{% for part in message.content %}{% if part.type == 'image' %}<image>{% else %}"
    "{{ part.text }}{% endif %}{% endfor %}{% endif %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
SEEING = {
    "smolvlm": ("SmolVLM", dict(text_config=dict(model_type="llama", **sizes(vocab_size=111, max_position_embeddings=256)),
                                vision_config=VISION_SIZES, scale_factor=2, image_token_id=3)),
    "idefics3": ("Idefics3", dict(text_config=dict(model_type="llama", **SIZES), tie_word_embeddings=True, scale_factor=2,
                                  vision_config={**VISION_SIZES, "hidden_size": 40, "num_hidden_layers": 1}, image_token_id=3)),
}


def vision(name, cls, config_cls, values):
    config = getattr(transformers, config_cls)(**values)
    config._attn_implementation = "eager"
    torch.manual_seed(0)
    model = getattr(transformers, cls)(config).eval().float()
    randomize(model, sum(map(ord, name)))
    pixels = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        out = model(pixels)
    golden = {"image_scores": out.logits} if hasattr(out, "logits") else {"image_hidden": out.last_hidden_state}
    save(HERE / name, model, {"pixels": pixels, **golden})
    if name == "vit":
        ViTImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(HERE / name)


def seeing(name, kind, values):
    config = getattr(transformers, kind + "Config")(**values)
    config._attn_implementation = "eager"
    torch.manual_seed(0)
    model = getattr(transformers, kind + "ForConditionalGeneration")(config).eval().float()
    randomize(model, sum(map(ord, name)))
    g = torch.Generator().manual_seed(7)
    pixels = torch.randn(1, 2, 3, 16, 16, generator=g)
    ids = torch.randint(4, 89, (1, N_TOKENS), generator=g)
    ids[0, 3:7] = ids[0, 12:16] = config.image_token_id
    with torch.no_grad():
        out = model(input_ids=ids, pixel_values=pixels, use_cache=False)
    golden = {"ids": ids[0], "pixels": pixels[0], "image_logits": out.logits[0].float()}
    if name != "smolvlm":
        return save(HERE / name, model, golden)
    # A question about a picture, from the file to the answer.
    tokenizer = seeing_tokenizer()
    processor = transformers.Idefics3Processor(
        SmolVLMImageProcessorPil(size={"longest_edge": 48}, max_image_size={"longest_edge": 16}), tokenizer,
        image_seq_len=4, chat_template=SEEING_TEMPLATE)
    message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}
    inputs = processor(text=processor.apply_chat_template([message], add_generation_prompt=True),
                       images=[Image.open(HERE.parent / "images" / "rgb.png")], return_tensors="pt")
    with torch.no_grad():
        answer = model.generate(**inputs, max_new_tokens=8, min_new_tokens=8, do_sample=False)
    n = inputs["input_ids"].shape[1]
    save(HERE / name, model, {**golden, "chat_ids": inputs["input_ids"][0], "chat_greedy": answer[0, n:]})
    tokenizer.save_pretrained(HERE / name)
    (HERE / name / "chat_template.jinja").write_text(SEEING_TEMPLATE)
    processor.image_processor.save_pretrained(HERE / name)


def seeing_tokenizer():
    import tokenizers
    characters = [chr(c) for c in range(33, 127)] + ["\u0120", "\u010a"]  # byte-level space and newline
    tokens = SEEING_TOKENS + characters
    t = tokenizers.Tokenizer(tokenizers.models.BPE(vocab={x: i for i, x in enumerate(tokens)}, merges=[]))
    t.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = tokenizers.decoders.ByteLevel()
    t.add_special_tokens(SEEING_TOKENS)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=t, bos_token="<|im_start|>",
                                                eos_token="<end_of_utterance>", pad_token="<|endoftext|>")


# RWKV 5.2 and 7 are not in transformers: the formulas of the papers (arXiv:2404.05892, arXiv:2503.14456) in float64
# numpy, which gives the expected logits of rwkv.cpp's own test models to 4e-6. Files in the format of rwkv.cpp.
RWKV = {"rwkv5": (5, 3, 32, 48, 8), "rwkv7": (7, 3, 32, 48, 8)}  # version, layers, width, ffn, head size


def rwkv_tensors(version, layers, c, ffn, n, rng):
    def random(*shape, scale=None):
        value = rng.standard_normal(shape) * (scale or 1.3 / shape[-1] ** 0.5)
        return torch.tensor(value).to(torch.bfloat16).double().numpy()

    t = {"emb.weight": random(96, c, scale=0.5), "head.weight": random(96, c)}
    for norm in ["blocks.0.ln0", "ln_out"] + [f"blocks.{i}.ln{j}" for i in range(layers) for j in (1, 2)]:
        t[norm + ".weight"], t[norm + ".bias"] = 1 + random(c, scale=0.2), random(c, scale=0.2)
    for i in range(layers):
        att, fmt = f"blocks.{i}.att.", "time_mix_" if version == 5 else "x_"
        for name in ["receptance", "key", "value", "output"] + (["gate"] if version == 5 else []):
            t[f"{att}{name}.weight"] = random(c, c)
        t[att + "ln_x.weight"], t[att + "ln_x.bias"] = 1 + random(c, scale=0.2), random(c, scale=0.2)
        if version == 5:
            for m in "kvrg":
                t[f"{att}time_mix_{m}"] = rng.random(c)
            t[att + "time_decay"] = rng.random((c // n, n, 1)) * 0.8 + 0.1  # exp(-exp(w))
            t[att + "time_faaaa"] = random(c // n, n, 1, scale=0.5)
            t[f"blocks.{i}.ffn.time_mix_r"] = rng.random(c)
            t[f"blocks.{i}.ffn.receptance.weight"] = random(c, c)
        else:
            t[att + "x_rwkvag"] = rng.random((6, 1, c))
            for m in "wavg":
                if m != "v" or i > 0:
                    t[f"{att}{m}1"], t[f"{att}{m}2"] = random(12, c), random(c, 12)
                    if m != "g":
                        t[f"{att}{m}0"] = random(1, 1, c, scale=0.5)
            for m in ("k_k", "k_a"):
                t[att + m] = 1 + random(1, 1, c, scale=0.3)
            t[att + "r_k"] = random(c // n, n, scale=0.5)
        t[f"blocks.{i}.ffn." + fmt + "k"] = rng.random(c)
        t[f"blocks.{i}.ffn.key.weight"], t[f"blocks.{i}.ffn.value.weight"] = random(ffn, c), random(c, ffn)
    return {k: v.astype("float32").astype("float64") for k, v in t.items()}


def rwkv_logits(version, layers, c, n, t, ids):
    import numpy as np

    def norm(x, name):
        return (x - x.mean()) / np.sqrt(x.var() + 1e-5) * t[name + ".weight"] + t[name + ".bias"]

    def group_norm(x, name, eps):
        x = x.reshape(-1, n)
        x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + eps)
        return x.reshape(-1) * t[name + ".weight"] + t[name + ".bias"]

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    h = c // n
    last = np.zeros((layers, 2, c))
    state = np.zeros((layers, h, n, n))
    out = []
    for token in ids:
        x = norm(t["emb.weight"][token], "blocks.0.ln0")
        for i in range(layers):
            a, xx = f"blocks.{i}.att.", norm(x, f"blocks.{i}.ln1")
            before, last[i, 0] = last[i, 0].copy(), xx
            if version == 5:
                r, k, v, g = (t[f"{a}{w}.weight"] @ (xx * t[f"{a}time_mix_{m}"] + before * (1 - t[f"{a}time_mix_{m}"]))
                              for w, m in (("receptance", "r"), ("key", "k"), ("value", "v"), ("gate", "g")))
                kv = k.reshape(h, n, 1) * v.reshape(h, 1, n)
                y = np.einsum("hi,hio->ho", r.reshape(h, n), t[a + "time_faaaa"] * kv + state[i])
                state[i] = kv + t[a + "time_decay"] * state[i]
                y = group_norm(y.reshape(-1), a + "ln_x", 1e-5) * (g * sigmoid(g))
            else:
                mixed = [xx + (before - xx) * m for m in t[a + "x_rwkvag"][:, 0]]
                r, k, v = (t[f"{a}{w}.weight"] @ mixed[j] for w, j in (("receptance", 0), ("key", 2), ("value", 3)))
                low = {m: (lambda z, m=m: t[f"{a}{m}2"] @ z) for m in "wavg" if f"{a}{m}2" in t}
                w = np.exp(-np.exp(-0.5) * sigmoid(t[a + "w0"].ravel() + low["w"](np.tanh(t[a + "w1"] @ mixed[1]))))
                rate = sigmoid(t[a + "a0"].ravel() + low["a"](t[a + "a1"] @ mixed[4]))
                g = low["g"](sigmoid(t[a + "g1"] @ mixed[5]))
                kk = (k * t[a + "k_k"].ravel()).reshape(h, n)
                kk /= np.maximum(np.linalg.norm(kk, axis=1, keepdims=True), 1e-12)
                k = k * (1 + (rate - 1) * t[a + "k_a"].ravel())
                if i == 0:
                    first = v
                else:
                    v = v + (first - v) * sigmoid(t[a + "v0"].ravel() + low["v"](t[a + "v1"] @ mixed[3]))
                rh, kh, vh, ah = (z.reshape(h, n) for z in (r, k, v, rate))
                state[i] = (state[i] * w.reshape(h, 1, n) + np.einsum("hij,hj->hi", state[i], -kk)[:, :, None]
                            * (kk * ah)[:, None] + vh[:, :, None] * kh[:, None])
                y = group_norm(np.einsum("hij,hj->hi", state[i], rh).reshape(-1), a + "ln_x", 64e-5)
                y = (y + ((rh * kh * t[a + "r_k"]).sum(1, keepdims=True) * vh).reshape(-1)) * g
            x = x + t[a + "output.weight"] @ y
            f, xx = f"blocks.{i}.ffn.", norm(x, f"blocks.{i}.ln2")
            before, last[i, 1] = last[i, 1].copy(), xx
            m = t[f + "time_mix_k"] if version == 5 else 1 - t[f + "x_k"]
            y = t[f + "value.weight"] @ np.maximum(t[f + "key.weight"] @ (xx * m + before * (1 - m)), 0) ** 2
            if version == 5:
                m = t[f + "time_mix_r"]
                y = y * sigmoid(t[f + "receptance.weight"] @ (xx * m + before * (1 - m)))
            x = x + y
        out.append(t["head.weight"] @ norm(x, "ln_out"))
    return np.stack(out)


def rwkv(name, version, layers, c, ffn, n):
    import numpy as np
    import struct
    t = rwkv_tensors(version, layers, c, ffn, n, np.random.default_rng(version))
    ids = torch.randint(3, 96, (N_TOKENS,), generator=torch.Generator().manual_seed(7))
    logits = rwkv_logits(version, layers, c, n, t, ids.tolist())
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with open(folder / "model.bin", "wb") as f:
        f.write(struct.pack("<6i", 0x67676d66, 101, 96, c, layers, 0))
        for key, value in t.items():
            shape = value.shape[::-1]
            f.write(struct.pack("<3i", len(shape), len(key), 0) + struct.pack(f"<{len(shape)}i", *shape))
            f.write(key.encode() + value.astype("<f4").tobytes())
    save_file({"ids": ids, "logits": torch.tensor(logits).float()}, str(folder / "golden.safetensors"))
    print(f"{name}: {sum(x.stat().st_size for x in folder.iterdir())} bytes")


# Hymba is not in transformers: the computation of the paper and of the checkpoint's published code, in float64.
HYMBA = {
    "hymba": dict(model_type="hymba", architectures=["HymbaForCausalLM"], vocab_size=96, hidden_size=32,
                  intermediate_size=40, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
                  max_position_embeddings=64, orig_max_position_embeddings=16, rope=True, rope_theta=10000.0,
                  rope_type="ntk", rms_norm_eps=1e-6, hidden_act="silu", mlp_hidden_act="silu", mamba_expand=2,
                  mamba_d_state=8, mamba_d_conv=4, mamba_dt_rank="auto", mamba_conv_bias=True, mamba_proj_bias=False,
                  mamba_inner_layernorms=True, num_memory_tokens=5, memory_tokens_interspersed_every=0, num_experts=1,
                  num_mamba=1, kq_norm="none", kq_head_dim=-1, v_head_dim=16, attn_hidden_size=-1, sliding_window=6,
                  global_attn_idx=[0, 3], kv_reuse_group=[[1, 2]], kv_reuse_every_i_layer=-1,
                  tie_word_embeddings=True, bos_token_id=1, eos_token_id=2, pad_token_id=0),
}


def hymba_producers(c):
    return {i: group[0] for group in c["kv_reuse_group"] for i in group[1:]}


def hymba_tensors(c, seed):
    g = torch.Generator().manual_seed(seed)
    h, inner, state, ffn = (c["hidden_size"], c["mamba_expand"] * c["hidden_size"], c["mamba_d_state"],
                            c["intermediate_size"])
    kv = c["num_key_value_heads"] * (h + inner) // c["num_attention_heads"]
    rank, t = (h + 15) // 16, {}

    def add(name, *shape, scale=None, mean=0.0):
        t[name] = (mean + torch.randn(shape, generator=g) * (scale or 1.3 / shape[-1] ** 0.5)).bfloat16()

    add("model.embed_tokens.weight", c["vocab_size"], h, scale=0.5)
    add("model.memory_tokens", c["num_memory_tokens"], h, scale=0.5)
    add("model.final_layernorm.weight", h, scale=0.2, mean=1)
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        for norm, n in (("input_layernorm", h), ("pre_moe_layernorm", h), ("mamba.pre_avg_layernorm1", inner),
                        ("mamba.pre_avg_layernorm2", inner), ("mamba.dt_layernorm", rank),
                        ("mamba.B_layernorm", state), ("mamba.C_layernorm", state)):
            add(f"{p}{norm}.weight", n, scale=0.2, mean=1)
        add(p + "mamba.in_proj.weight", h + 2 * inner + (0 if i in hymba_producers(c) else kv), h)
        add(p + "mamba.out_proj.weight", h, inner)
        add(p + "mamba.conv1d.weight", inner, 1, c["mamba_d_conv"])
        add(p + "mamba.conv1d.bias", inner, scale=0.3)
        add(p + "mamba.x_proj.0.weight", rank + 2 * state, inner)
        add(p + "mamba.dt_proj.0.weight", inner, rank)
        add(p + "mamba.dt_proj.0.bias", inner, scale=0.3)
        add(p + "mamba.A_log.0", inner, state, scale=0.5, mean=0.5)
        add(p + "mamba.D.0", inner, scale=0.3, mean=1)
        for part, shape in (("gate", (ffn, h)), ("up", (ffn, h)), ("down", (h, ffn))):
            add(f"{p}moe.experts.0.{part}_proj.weight", *shape)
    return t


def hymba_hidden_and_logits(c, t, ids):
    from torch.nn.functional import silu, softplus
    t = {k: v.double() for k, v in t.items()}
    heads, kv_heads, meta = c["num_attention_heads"], c["num_key_value_heads"], c["num_memory_tokens"]
    h, inner, state = c["hidden_size"], c["mamba_expand"] * c["hidden_size"], c["mamba_d_state"]
    n, dim, value = meta + len(ids), h // heads, c["mamba_expand"] * h // heads
    stretch = 2 * c["max_position_embeddings"] / c["orig_max_position_embeddings"] - 1
    base = c["rope_theta"] * stretch ** (dim / (dim - 2))
    angles = torch.arange(n).double()[:, None] * base ** (-torch.arange(0, dim, 2).double() / dim)
    at = torch.arange(n)
    causal = at[None] <= at[:, None]
    window = causal & ((at[:, None] - at[None] <= c["sliding_window"]) | (at[None] < meta))

    def norm(x, name):
        return x / (x.pow(2).mean(-1, keepdim=True) + c["rms_norm_eps"]).sqrt() * t[name + ".weight"]

    def turn(x):  # [n, heads, dim]
        a, b, cos, sin = x[..., :dim // 2], x[..., dim // 2:], angles.cos()[:, None], angles.sin()[:, None]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    def attend(q, k, v, mask):
        k, v = (z.repeat_interleave(heads // kv_heads, 1) for z in (k, v))
        scores = torch.einsum("qhd,khd->hqk", q, k) / dim ** 0.5
        return torch.einsum("hqk,khd->qhd", scores.masked_fill(~mask, -torch.inf).softmax(-1), v).reshape(n, -1)

    def scan(x, z, p):
        padded = torch.cat([torch.zeros(c["mamba_d_conv"] - 1, inner, dtype=x.dtype), x])
        kernel = t[p + "conv1d.weight"][:, 0]
        x = silu(torch.stack([(padded[i:i + c["mamba_d_conv"]].T * kernel).sum(1) for i in range(n)])
                 + t[p + "conv1d.bias"])
        rank = t[p + "dt_proj.0.weight"].shape[1]
        dt, b, cc = (x @ t[p + "x_proj.0.weight"].T).split([rank, state, state], 1)
        dt = softplus(norm(dt, p + "dt_layernorm") @ t[p + "dt_proj.0.weight"].T + t[p + "dt_proj.0.bias"])
        b, cc = norm(b, p + "B_layernorm"), norm(cc, p + "C_layernorm")
        a, s, out = -t[p + "A_log.0"].exp(), torch.zeros(inner, state, dtype=x.dtype), []
        for i in range(n):
            s = (dt[i][:, None] * a).exp() * s + (dt[i] * x[i])[:, None] * b[i]
            out.append(s @ cc[i] + t[p + "D.0"] * x[i])
        return torch.stack(out) * silu(z)

    x, keys = torch.cat([t["model.memory_tokens"], t["model.embed_tokens.weight"][ids]]), {}
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        y = norm(x, p + "input_layernorm") @ t[p + "mamba.in_proj.weight"].T
        producer = hymba_producers(c).get(i, i)
        if producer == i:
            q, k, v, u, z = y.split([h, kv_heads * dim, kv_heads * value, inner, inner], 1)
            keys[i] = turn(k.reshape(n, kv_heads, dim)), v.reshape(n, kv_heads, value)
        else:
            q, u, z = y.split([h, inner, inner], 1)
        attended = attend(turn(q.reshape(n, heads, dim)), *keys[producer],
                          causal if i in c["global_attn_idx"] else window)
        mixed = (norm(attended, p + "mamba.pre_avg_layernorm1")
                 + norm(scan(u, z, p + "mamba."), p + "mamba.pre_avg_layernorm2")) / 2
        x = x + mixed @ t[p + "mamba.out_proj.weight"].T
        y, e = norm(x, p + "pre_moe_layernorm"), p + "moe.experts.0."
        x = x + (silu(y @ t[e + "gate_proj.weight"].T) * (y @ t[e + "up_proj.weight"].T)) @ t[e + "down_proj.weight"].T
    hidden = norm(x[meta:], "model.final_layernorm")
    return hidden, hidden @ t["model.embed_tokens.weight"].T


def hymba(name, config):
    tensors = hymba_tensors(config, sum(map(ord, name)))
    ids = torch.randint(3, config["vocab_size"], (N_TOKENS,), generator=torch.Generator().manual_seed(7))
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    save_file(tensors, str(folder / "model.safetensors"), metadata={"format": "pt"})
    hidden, logits = hymba_hidden_and_logits(config, tensors, ids)
    save_file({"ids": ids, "hidden": hidden.float(), "logits": logits.float()}, str(folder / "golden.safetensors"))
    print(f"{name}: {sum(x.stat().st_size for x in folder.iterdir())} bytes")


def lora(name, base, values):
    """A PEFT adapter of one of the tiny models, and the logits with it."""
    import peft  # the reference implementation of adapters
    model = transformers.AutoModelForCausalLM.from_pretrained(HERE / base, dtype=torch.float32,
                                                              attn_implementation="eager").eval()
    model = peft.get_peft_model(model, peft.LoraConfig(r=4, task_type="CAUSAL_LM", **values))
    g = torch.Generator().manual_seed(11)
    for key, p in sorted(model.named_parameters()):
        if "lora_" in key:
            p.data = (0.3 * torch.randn(p.shape, generator=g)).to(torch.bfloat16).float()
    ids = torch.randint(3, 96, (1, N_TOKENS), generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        logits = model(ids, use_cache=False).logits[0].float()
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    model.eval().save_pretrained(folder)
    for extra in folder.glob("*.md"):
        extra.unlink()
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = base
    config["target_modules"] = sorted(config["target_modules"])
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    save_file({"ids": ids[0], "logits": logits.contiguous()}, str(folder / "golden.safetensors"))
    print(f"{name}: {sum(f.stat().st_size for f in folder.iterdir())} bytes")


LORAS = {
    "llama-lora": ("llama", dict(lora_alpha=8, target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj",
                                                               "up_proj", "down_proj"])),
    "llama-rslora-gate": ("llama", dict(lora_alpha=6, use_rslora=True, target_modules=["gate_proj", "q_proj"])),
    "phi3-lora": ("phi3", dict(lora_alpha=8, target_modules=["qkv_proj", "gate_up_proj"])),
    "gpt2-lora": ("gpt2", dict(lora_alpha=8, fan_in_fan_out=True, target_modules=["c_attn", "c_fc"])),
    "falcon-h1-lora": ("falcon-h1", dict(lora_alpha=8, target_modules=["q_proj", "k_proj", "in_proj", "down_proj"])),
}


def main(names):
    torch.set_num_threads(1)
    for name, (kind, values) in CAUSAL.items():
        if not names or name in names:
            causal(name, kind, values)
    for name, values in ENCODERS.items():
        if not names or name in names:
            encoder(name, *values)
    for name, values in SEQ2SEQ.items():
        if not names or name in names:
            seq2seq(name, values)
    for name, values in VISION.items():
        if not names or name in names:
            vision(name, *values)
    for name, values in SEEING.items():
        if not names or name in names:
            seeing(name, *values)
    for name, (base, values) in LORAS.items():
        if not names or name in names:
            lora(name, base, values)
    for name, values in RWKV.items():
        if not names or name in names:
            rwkv(name, *values)
    for name, values in HYMBA.items():
        if not names or name in names:
            hymba(name, values)


if __name__ == "__main__":
    main(sys.argv[1:])
