// Asks a server through the official packages for Node. Usage: node probe.mjs URL MODEL
import assert from "node:assert/strict";
import OpenAI from "openai";
import Anthropic from "@anthropic-ai/sdk";
import { Ollama } from "ollama";
import { generateText, generateObject, streamText, jsonSchema, tool, embed } from "ai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";

const [url, model] = process.argv.slice(2);
const openai = new OpenAI({ baseURL: url + "/v1", apiKey: "none", maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: url, apiKey: "none", maxRetries: 0 });
const ollama = new Ollama({ host: url });
const vercel = createOpenAICompatible({ name: "lmfast", baseURL: url + "/v1", supportsStructuredOutputs: true });
const question = "What is the capital of France?";
const messages = [{ role: "user", content: question }];
const schema = {
  type: "object", additionalProperties: false, required: ["city", "unit"],
  properties: { city: { type: "string", maxLength: 20 }, unit: { type: "string", enum: ["C", "F"] } },
};
const weather = { type: "function", function: { name: "get_weather", description: "The weather.", parameters: schema, strict: true } };

const checks = {
  async openai_chat() {
    const r = await openai.chat.completions.create({ model, messages, temperature: 0, max_tokens: 16 });
    assert.match(r.choices[0].message.content, /Paris/);
  },
  async openai_stream() {
    let text = "";
    for await (const c of await openai.chat.completions.create({ model, messages, temperature: 0, max_tokens: 16, stream: true }))
      text += c.choices[0]?.delta?.content ?? "";
    assert.match(text, /Paris/);
  },
  async openai_models() {
    assert.equal((await openai.models.retrieve(model)).id, model);
  },
  async openai_embeddings() {
    const r = await openai.embeddings.create({ model, input: ["a", "b"] });
    assert.equal(r.data.length, 2);
    assert.ok(Math.abs(r.data[0].embedding.reduce((s, x) => s + x * x, 0) - 1) < 1e-3);
  },
  async openai_tools_stream_helper() {
    const s = openai.chat.completions.stream({ model, messages: [{ role: "user", content: "Weather in Paris?" }], temperature: 0,
      max_tokens: 120, tools: [weather], tool_choice: "required", parallel_tool_calls: false });
    const final = await s.finalChatCompletion();
    const call = final.choices[0].message.tool_calls[0];
    assert.deepEqual(Object.keys(JSON.parse(call.function.arguments)).sort(), ["city", "unit"]);
  },
  async openai_responses_stream() {
    const s = openai.responses.stream({ model, input: question, temperature: 0, max_output_tokens: 16 });
    assert.match((await s.finalResponse()).output_text, /Paris/);
  },
  async openai_abort() {
    const s = await openai.chat.completions.create({ model, messages, stream: true, max_tokens: 1000, ignore_eos: true });
    for await (const _ of s) { s.controller.abort(); break; }
  },
  async openai_error() {
    await assert.rejects(openai.chat.completions.create({ model: "nope", messages }), (e) => e.status === 404 && e.code === "model_not_found");
  },
  async anthropic_message() {
    const r = await anthropic.messages.create({ model, messages, max_tokens: 16 });
    assert.equal(r.content[0].type, "text");
    assert.ok(r.usage.output_tokens > 0);
  },
  async anthropic_stream() {
    const s = anthropic.messages.stream({ model, messages, max_tokens: 16 });
    let text = "";
    s.on("text", (t) => { text += t; });
    assert.equal((await s.finalMessage()).content[0].text, text);
  },
  async anthropic_tool() {
    const s = anthropic.messages.stream({ model, max_tokens: 120, messages: [{ role: "user", content: "Weather in Paris?" }],
      tools: [{ name: "get_weather", description: "The weather.", input_schema: schema }], tool_choice: { type: "any" } });
    const last = (await s.finalMessage()).content.find((b) => b.type === "tool_use");
    assert.deepEqual(Object.keys(last.input).sort(), ["city", "unit"]);
  },
  async anthropic_count() {
    assert.ok((await anthropic.messages.countTokens({ model, messages })).input_tokens > 5);
  },
  async ollama_chat() {
    let text = "";
    for await (const p of await ollama.chat({ model, messages, stream: true, options: { temperature: 0, num_predict: 16 } })) text += p.message.content;
    assert.match(text, /Paris/);
  },
  async ollama_generate_list_embed() {
    assert.ok((await ollama.generate({ model, prompt: "Hi", options: { num_predict: 4 } })).response);
    assert.ok((await ollama.list()).models.some((m) => m.name === model));
    assert.equal((await ollama.embed({ model, input: "x" })).embeddings.length, 1);
  },
  async vercel_generate() {
    const r = await generateText({ model: vercel(model), prompt: question, temperature: 0, maxOutputTokens: 16 });
    assert.match(r.text, /Paris/);
  },
  async vercel_stream() {
    let text = "";
    for await (const t of streamText({ model: vercel(model), prompt: question, temperature: 0, maxOutputTokens: 16 }).textStream) text += t;
    assert.match(text, /Paris/);
  },
  async vercel_object() {
    const r = await generateObject({ model: vercel(model), prompt: "Weather?", schema: jsonSchema(schema), temperature: 0, maxOutputTokens: 80 });
    assert.deepEqual(Object.keys(r.object).sort(), ["city", "unit"]);
  },
  async vercel_tool() {
    const r = await generateText({ model: vercel(model), prompt: "Weather in Paris?", temperature: 0, maxOutputTokens: 120, toolChoice: "required",
      tools: { get_weather: tool({ description: "The weather.", inputSchema: jsonSchema(schema) }) } });
    assert.ok(["C", "F"].includes(r.toolCalls[0].input.unit));
  },
  async vercel_embed() {
    assert.ok((await embed({ model: vercel.textEmbeddingModel(model), value: "x" })).embedding.length > 10);
  },
};

let good = 0;
for (const [name, run] of Object.entries(checks)) {
  let result = "ok";
  try { await run(); good++; } catch (error) { result = `${error.name}: ${error.message}`.replaceAll("\n", " ").slice(0, 300); }
  console.log(`${name.padEnd(45)} ${result}`);
}
console.log(`${good} of ${Object.keys(checks).length}`);
process.exit(good === Object.keys(checks).length ? 0 : 1);
