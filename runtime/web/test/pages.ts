/** Pages of `aaptvae explore` in Chromium, and what they report. */

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { Browser, Page } from "playwright-core";

import { ROOT } from "./bundles.js";

const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const PYTHON = process.env["PYTHON"] ?? join(ROOT, ".venv/bin/python");
const SWITCHES = ["--no-sandbox", "--no-first-run", "--disable-background-networking"];
SWITCHES.push("--disable-component-update", "--disable-sync", "--disable-quic");
export const skip = existsSync(CHROMIUM) && existsSync(PYTHON) ? false : `needs ${CHROMIUM} (CHROMIUM) and ${PYTHON} (PYTHON)`;
export const slow = { skip: process.env["CI"] ? false : "slow: set CI=1 to run it" };
export const scratch = mkdtempSync(join(tmpdir(), "aaptvae-"));
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));

/** `aaptvae explore` of a bundle: its address, and how to end it. */
export async function explore(bundle: string, ...options: string[]): Promise<{ address: string; stop: () => void }> {
  const child = spawn(PYTHON, ["-m", "aaptvae", "explore", bundle, "--no-open", "--offline", ...options], { cwd: ROOT });
  let said = "";
  for await (const part of child.stderr) {
    said += String(part);
    const address = /at (http:\S+) until/.exec(said)?.[1];
    if (address) return { address, stop: () => child.kill() };
  }
  throw new Error(said);
}

/** A page and everything that it reported: requests of other origins, errors. */
export async function opened(browser: Browser, address: string, scheme: "light" | "dark" = "light", width = 1280): Promise<[Page, string[]]> {
  const context = await browser.newContext({ colorScheme: scheme, viewport: { width, height: 900 }, acceptDownloads: true });
  const page = await context.newPage();
  const wrong: string[] = [];
  page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
  page.on("pageerror", (error) => wrong.push(error.message));
  page.on("request", (request) => request.url().startsWith("http") && !request.url().startsWith(new URL(address).origin) && wrong.push(request.url()));
  await page.goto(address);
  return [page, wrong];
}

export async function ready(page: Page): Promise<void> {
  await page.waitForSelector("body[data-ready], #status.refused", { timeout: 120_000 });
}

/** A browser: without a GPU, or with these switches. */
export async function launched(...switches: string[]): Promise<Browser> {
  const { chromium } = await import("playwright-core");
  return chromium.launch({ executablePath: CHROMIUM, args: [...SWITCHES, ...(switches.length ? switches : ["--disable-gpu"])] });
}

/** Numbers of a .csv that a button downloads. */
export async function downloaded(page: Page, button: string): Promise<{ names: string[]; values: number[] }> {
  const [file] = await Promise.all([page.waitForEvent("download"), page.click(button)]);
  const [names, ...lines] = readFileSync(await file.path(), "utf-8").trim().split("\n");
  return { names: names.split(","), values: lines.flatMap((line) => line.split(",").map(Number)) };
}

/** Wait until an expression is true on the page; the page's policy refuses Playwright's own `waitForFunction`. */
export async function until(page: Page, expression: string): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    if (await page.evaluate<boolean>(expression)) return;
    await page.waitForTimeout(100);
  }
  throw new Error(`${expression} did not become true`);
}
