// The playground: everything it asks goes to the server that it came from.
"use strict";

const $ = (id) => document.getElementById(id);
const element = (name, className, text) => {
  const e = document.createElement(name);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
};

const messages = []; // {role, content}
let running = null; // AbortController of the answer that comes

function say(text, bad = false) {
  $("status").textContent = text;
  $("status").classList.toggle("bad", bad);
}

async function ask(path, body, signal) {
  const headers = { "content-type": "application/json" };
  if ($("key").value) headers.authorization = "Bearer " + $("key").value;
  const reply = await fetch(path, body ? { method: "POST", headers, body: JSON.stringify(body), signal } : { headers, signal });
  if (reply.ok) return reply;
  let reason = `${reply.status} ${reply.statusText}`;
  try { reason = (await reply.json()).error.message; } catch { /* no JSON: the status says it */ }
  throw new Error(reason);
}

// --- token probabilities

const percent = (logprob) => (100 * Math.exp(logprob)).toFixed(1) + " %";
const visible = (text) => JSON.stringify(text).slice(1, -1);

function showTip(target) {
  const tip = $("tip");
  tip.replaceChildren();
  for (const token of target.tokens) {
    const rows = [...token.top_logprobs];
    if (!rows.some((r) => r.token === token.token)) rows.push(token);
    for (const row of rows) {
      const line = element("div", row.token === token.token ? "taken" : "");
      line.append(element("span", "", visible(row.token)), element("span", "", percent(row.logprob)));
      tip.append(line);
    }
  }
  tip.hidden = false;
  const box = target.getBoundingClientRect(), own = tip.getBoundingClientRect();
  const below = box.bottom + own.height + 8 < innerHeight;
  tip.style.top = `${below ? box.bottom + 4 : Math.max(4, box.top - own.height - 4)}px`;
  tip.style.left = `${Math.max(4, Math.min(box.left, innerWidth - own.width - 4))}px`;
}

function hideTip() { $("tip").hidden = true; }

// --- chat

// Draws one answer as it comes. Tokens that are no whole character yet wait for those that end it.
class Turn {
  constructor(role, text) {
    this.body = element("div", `turn ${role}`, text);
    this.pending = [];
    $("log").append(this.body);
    this.follow();
  }
  follow() { $("log").scrollTop = $("log").scrollHeight; }
  think(text) {
    if (!this.thoughts) {
      const details = element("details");
      this.thoughts = element("div");
      details.append(element("summary", "", "Thoughts"), this.thoughts);
      this.body.prepend(details);
    }
    this.thoughts.textContent += text;
  }
  add(text, tokens) {
    this.pending.push(...tokens);
    if (!text) return;
    const span = element("span", this.pending.length ? "token" : "", text);
    span.tokens = this.pending;
    if (span.tokens.length) {
      const least = Math.min(...span.tokens.map((t) => t.logprob));
      span.classList.toggle("unsure", Math.exp(least) < 0.5);
    }
    this.pending = [];
    this.body.append(span);
    this.follow();
  }
}

function parameters() {
  const out = { model: $("model").value, stream: true, stream_options: { include_usage: true } };
  for (const name of ["temperature", "top_p", "top_k", "min_p", "repetition_penalty", "max_tokens", "seed"])
    if ($(name).value !== "") out[name] = Number($(name).value);
  if ($("logprobs").checked) Object.assign(out, { logprobs: true, top_logprobs: 5 });
  const system = $("system").value.trim();
  out.messages = (system ? [{ role: "system", content: system }] : []).concat(messages);
  return out;
}

// Calls on_event with the JSON of each server-sent event.
async function readEvents(reply, onEvent) {
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let held = ""; ;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (held + value).split("\n\n");
    held = parts.pop();
    for (const part of parts)
      if (part.startsWith("data: ") && part !== "data: [DONE]") onEvent(JSON.parse(part.slice(6)));
  }
}

function setRunning(controller) {
  running = controller;
  $("stop").disabled = !controller;
  $("send").disabled = !!controller;
  $("again").disabled = !!controller || !messages.length;
}

async function answer() {
  const turn = new Turn("assistant", "");
  const begin = performance.now();
  let content = "", usage = null, first = 0, ended = "";
  setRunning(new AbortController());
  say("…");
  try {
    const reply = await ask("v1/chat/completions", parameters(), running.signal);
    await readEvents(reply, (event) => {
      if (event.error) throw new Error(event.error.message);
      if (event.usage) usage = event.usage;
      const choice = event.choices?.[0];
      if (!choice) return;
      first ||= performance.now();
      ended = choice.finish_reason || ended;
      if (choice.delta.reasoning_content) turn.think(choice.delta.reasoning_content);
      content += choice.delta.content || "";
      turn.add(choice.delta.content || "", choice.logprobs?.content || []);
    });
    const seconds = (performance.now() - first) / 1000;
    const speed = usage ? `${usage.completion_tokens} tokens, ${(usage.completion_tokens / seconds).toFixed(1)} tokens/s, ` : "";
    say(`${speed}first after ${((first - begin) / 1000).toFixed(2)} s${ended === "length" ? "; ended at the most tokens" : ""}`);
  } catch (error) {
    if (error.name === "AbortError") say("stopped");
    else say(error.message, true);
  }
  if (content) messages.push({ role: "assistant", content });
  else turn.body.remove();
  setRunning(null);
}

function send() {
  const content = $("input").value.trim();
  if (!content || running) return;
  messages.push({ role: "user", content });
  new Turn("user", content);
  $("input").value = "";
  answer();
}

function regenerate() {
  if (running || !messages.length) return;
  if (messages.at(-1).role === "assistant") {
    messages.pop();
    $("log").lastElementChild.remove();
  }
  if (messages.length) answer();
}

function clearChat() {
  running?.abort();
  messages.length = 0;
  $("log").replaceChildren();
  say("");
  setRunning(null);
  $("input").focus();
}

// --- tokens

// A piece that is no whole character comes as bytes.
const pieceText = (piece) =>
  typeof piece === "string" ? piece.replaceAll("\n", "↵\n") : piece.map((b) => `<${b.toString(16)}>`).join("");

let tokensAsked = 0;
async function showTokens() {
  const mine = ++tokensAsked;
  try {
    const body = { model: $("model").value, content: $("text").value, with_pieces: true };
    const reply = await (await ask("tokenize", body)).json();
    if (mine !== tokensAsked) return;
    $("token-count").textContent = `${reply.count} tokens, ${[...$("text").value].length} characters`;
    $("token-list").replaceChildren(...reply.tokens.map((t) => {
      const span = element("span", "", pieceText(t.piece));
      span.append(element("small", "", t.id));
      return span;
    }));
  } catch (error) {
    $("token-count").textContent = error.message;
  }
}

// --- metrics

const shownMetrics = [
  ["lmfast:num_requests_running", "running requests"], ["lmfast:num_requests_waiting", "waiting requests"],
  ["lmfast:http_connections", "connections"], ["lmfast:prompt_tokens_total", "prompt tokens"],
  ["lmfast:prefix_cache_hits_total", "of these from the prefix cache"],
  ["lmfast:generation_tokens_total", "generated tokens"], ["lmfast:kv_cache_usage_perc", "part of the KV cache in use"],
  ["lmfast:http_refused_total", "refused requests"], ["lmfast:http_cancelled_total", "cancelled requests"],
];

async function showMetrics() {
  if ($("metrics").hidden) return;
  try {
    const lines = (await (await ask("metrics")).text()).split("\n");
    const rows = [];
    for (const [name, label] of shownMetrics)
      for (const line of lines.filter((l) => l.startsWith(name) && /[ {]/.test(l[name.length]))) {
        const model = /model_name="([^"]*)"/.exec(line)?.[1];
        const row = element("tr");
        const value = Number(line.slice(line.lastIndexOf(" ") + 1));
        row.append(element("td", "", model ? `${label} (${model})` : label),
          element("td", "", Number.isInteger(value) ? value : value.toPrecision(3)));
        rows.push(row);
      }
    $("metric-rows").replaceChildren(...rows);
  } catch (error) {
    $("metric-rows").replaceChildren(element("tr", "", error.message));
  }
}

// --- the frame

const tabs = [...document.querySelectorAll("[role=tab]")];
function choose(tab) {
  for (const t of tabs) {
    t.setAttribute("aria-selected", t === tab);
    t.tabIndex = t === tab ? 0 : -1;
    $(t.getAttribute("aria-controls")).hidden = t !== tab;
  }
  tab.focus();
  showMetrics();
}

async function showModels() {
  try {
    const list = (await (await ask("v1/models")).json()).data;
    const before = $("model").value;
    $("model").replaceChildren(...list.map((m) => new Option(m.id, m.id)));
    if (list.some((m) => m.id === before)) $("model").value = before;
    say("");
  } catch (error) {
    say(error.message, true);
    $("settings").open = true;
  }
}

$("ask").addEventListener("submit", (e) => { e.preventDefault(); send(); });
$("input").addEventListener("keydown", (e) => {
  if (e.key === "Enter" && !e.shiftKey && !e.isComposing) { e.preventDefault(); send(); }
});
$("stop").addEventListener("click", () => running?.abort());
$("again").addEventListener("click", regenerate);
$("clear").addEventListener("click", clearChat);
$("text").addEventListener("input", showTokens);
$("key").addEventListener("change", showModels);
$("model").addEventListener("change", () => { if ($("text").value) showTokens(); });
$("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
for (const type of ["mouseover", "click"])
  $("log").addEventListener(type, (e) => e.target.tokens?.length ? showTip(e.target) : hideTip());
$("log").addEventListener("mouseleave", hideTip);
$("log").addEventListener("scroll", hideTip);
document.addEventListener("keydown", (e) => {
  if (e.key === "Escape") { running?.abort(); hideTip(); }
  if (e.altKey && e.code === "KeyR") { e.preventDefault(); regenerate(); }
});
for (const tab of tabs) {
  tab.addEventListener("click", () => choose(tab));
  tab.addEventListener("keydown", (e) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
    if (step) choose(tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length]);
  });
}
showModels();
setInterval(showMetrics, 2000);
$("input").focus();
