/** Time of a frame while the map pans, and of a decoded row, in Chromium: node build/test/measure.js ADDRESS */

import { chromium } from "playwright-core";

const args = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"];
const browser = await chromium.launch({ executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium", args });
const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
const begun = Date.now();
await page.goto(process.argv[2]);
await page.waitForSelector("body[data-ready], #status.refused", { timeout: 200_000 });
console.log(`page ready after ${Date.now() - begun} ms; ${await page.textContent("#status")}; ${await page.textContent("#facts")}`);

/** Times of frames in ms, sorted, while `step` runs once a frame. */
async function frames(step: string): Promise<number[]> {
  return page.evaluate<number[]>(`(async () => {
    const step = ${step};
    const times = [];
    let last = performance.now();
    for (let i = 0; i < 80; i++) {
      step(i);
      await new Promise(requestAnimationFrame);
      const now = performance.now();
      times.push(now - last);
      last = now;
    }
    return times.sort((a, b) => a - b);
  })()`);
}

const said = (name: string, times: number[]): void => {
  console.log(`${name}: median ${times[40].toFixed(1)} ms, nine in ten below ${times[71].toFixed(1)} ms`);
};
said("a frame while the map pans", await frames("(i) => explorer.map.pan(15 * Math.sin(i / 10))"));
said("a frame while a point moves", await frames("(i) => explorer.nudge(0.01 * Math.cos(i / 5), 0.01 * Math.sin(i / 5))"));
const decoded = await page.evaluate<number[]>(`(async () => {
  const z = Array.from({ length: 200 }, (_, i) => [Array.from({ length: explorer.vae.latentDim }, (_, j) => Math.sin(i + j))]);
  const times = [];
  for (const row of z) {
    const begun = performance.now();
    await explorer.vae.decode(row);
    times.push(performance.now() - begun);
  }
  return times.sort((a, b) => a - b);
})()`);
console.log(`one row decoded: median ${decoded[100].toFixed(2)} ms, 99 in 100 below ${decoded[197].toFixed(2)} ms`);
const rate = await page.evaluate<number>(`(async () => {
  const n = 16384;
  const x = explorer.rows.constructor.empty(n, explorer.vae.inputDim);
  const begun = performance.now();
  await explorer.vae.embed(x);
  return n / ((performance.now() - begun) / 1000);
})()`);
console.log(`embed: ${Math.round(rate).toLocaleString("en")} rows per second`);
await browser.close();
