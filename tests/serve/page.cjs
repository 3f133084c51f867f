// Uses the playground in headless Chromium.
// Usage: node page.cjs URL [SCREENSHOT-FOLDER]       needs playwright-core (NODE_PATH) and chromium
"use strict";
const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { chromium } = require("playwright-core");

const [url, folder] = process.argv.slice(2);
const program = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((p) => fs.existsSync(p));
const checks = {
  async chat_streams(page) {
    await page.fill("#input", "Name three colours.");
    await page.press("#input", "Enter");
    await page.waitForSelector(".turn.assistant .token");
    await page.waitForSelector("#stop:disabled");
    assert.match(await page.textContent("#status"), /tokens\/s/);
    assert.equal(await page.locator(".turn.user").count(), 1);
  },
  async probabilities_show_on_hover(page) {
    await page.hover(".turn.assistant .token >> nth=0");
    await page.waitForSelector("#tip:not([hidden])");
    assert.ok(await page.locator("#tip div").count() >= 5);
    assert.match(await page.textContent("#tip .taken"), /%/);
  },
  async regenerate_replaces_the_answer(page) {
    await page.keyboard.press("Alt+KeyR");
    await page.waitForSelector("#stop:not(:disabled)");
    await page.waitForSelector("#stop:disabled");
    assert.equal(await page.locator(".turn.assistant").count(), 1);
  },
  async escape_stops(page) {
    await page.evaluate(() => { document.getElementById("settings").open = true; });
    await page.fill("#max_tokens", "4000");
    await page.fill("#input", "Write a very long story about the sea.");
    await page.press("#input", "Enter");
    await page.waitForFunction(() => document.querySelectorAll(".turn.assistant:last-child .token").length > 3);
    await page.keyboard.press("Escape");
    await page.waitForSelector("#stop:disabled");
    assert.equal(await page.textContent("#status"), "stopped");
  },
  async parameters_and_system_prompt_are_sent(page) {
    await page.fill("#system", "You are a pirate.");
    await page.fill("#max_tokens", "5");
    await page.fill("#temperature", "0");
    const asked = page.waitForRequest((r) => r.url().endsWith("/v1/chat/completions"));
    await page.click("#clear");
    await page.fill("#input", "Hi");
    await page.click("#send");
    const body = (await asked).postDataJSON();
    assert.deepEqual([body.max_tokens, body.temperature, body.messages[0]], [5, 0, { role: "system", content: "You are a pirate." }]);
    await page.waitForFunction(() => /^5 tokens/.test(document.getElementById("status").textContent));
  },
  async refusals_are_shown(page) {
    await page.fill("#temperature", "-3");
    await page.fill("#input", "Hi");
    await page.press("#input", "Enter");
    await page.waitForSelector("#status.bad");
    assert.match(await page.textContent("#status"), /temperature/);
    await page.fill("#temperature", "0.7");
    await page.evaluate(() => { document.getElementById("settings").open = false; });
  },
  async tokens_are_counted(page) {
    await page.click("#tab-tokens");
    await page.fill("#text", "Hello, wörld 🎉");
    await page.waitForSelector("#token-list span");
    const n = await page.locator("#token-list > span").count();
    await page.waitForFunction((n) => document.getElementById("token-count").textContent.startsWith(`${n} tokens`), n);
    const pieces = await page.evaluate(() => [...document.querySelectorAll("#token-list > span")].map((s) => s.firstChild.textContent));
    assert.ok(pieces.join("").startsWith("Hello"));
  },
  async metrics_are_shown(page) {
    await page.press("#tab-tokens", "ArrowRight");
    await page.waitForSelector("#metric-rows tr");
    assert.match(await page.textContent("#metric-rows"), /generated tokens/);
  },
  async phone_has_no_sideways_scroll(page) {
    await page.setViewportSize({ width: 360, height: 640 });
    for (const tab of ["#tab-chat", "#tab-tokens", "#tab-metrics"]) {
      await page.click(tab);
      const [wide, seen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(wide <= seen, `${tab}: ${wide} pixels in a window of ${seen}`);
    }
  },
};

async function shots(page) {
  await page.click("#tab-chat");
  await page.screenshot({ path: path.join(folder, "phone.png") });
  await page.setViewportSize({ width: 1000, height: 700 });
  for (const scheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.hover(".turn.assistant .token >> nth=0").catch(() => {});
    await page.screenshot({ path: path.join(folder, `${scheme}.png`) });
  }
}

async function main() {
  if (!program) return console.log("skipped: no chromium\n0 passed, 0 failed, 1 skipped");
  const browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox"] });
  const page = await browser.newPage({ viewport: { width: 1000, height: 700 } });
  const strange = [], problems = [];
  page.on("request", (r) => { if (!r.url().startsWith(url) && !r.url().startsWith("data:")) strange.push(r.url()); });
  page.on("pageerror", (e) => problems.push(e.message));
  page.on("console", (m) => { if (m.type() === "error" && !/status of 400/.test(m.text())) problems.push(m.text()); });
  await page.goto(url);
  await page.waitForSelector("#model option", { state: "attached" });
  let failed = 0;
  for (const [name, check] of Object.entries(checks)) {
    const reason = await check(page).then(() => "ok", (e) => `FAILED ${e.message}`);
    failed += reason !== "ok";
    console.log(`${name}: ${reason}`);
  }
  if (folder) await shots(page);
  await browser.close();
  for (const what of [...strange.map((u) => `it asks ${u}`), ...problems]) { failed++; console.log(`FAILED ${what}`); }
  console.log(`${Object.keys(checks).length} checks, ${failed} failed`);
  process.exitCode = failed ? 1 : 0;
}

main();
