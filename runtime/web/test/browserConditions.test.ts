/** The real page with a model that takes conditions, in a real browser. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import type { Browser, Page } from "playwright-core";

import { expected, largestGap, unpacked } from "./bundles.js";
import { downloaded, explore, launched, opened, ready, scratch, skip, slow, until } from "./pages.js";

const KIND = "#conditions select";
const AGE = "#conditions input";
const chart = (page: Page): Promise<string> => page.evaluate('document.querySelector("#decoded canvas").toDataURL()');
const SHADES = `[...document.querySelectorAll("#between canvas")].some((canvas) => {
  const pixels = canvas.getContext("2d").getImageData(70, 12, 300, 150).data;
  return new Set(new Uint32Array(pixels.buffer)).size > 9;
})`;
const chosen = async (page: Page): Promise<string[]> => [await page.inputValue(KIND), await page.inputValue(AGE)];

describe("the explorer of a model with conditions", { skip }, () => {
  let browser: Browser;
  let page: Page;
  let wrong: string[];
  let site: Awaited<ReturnType<typeof explore>>;
  const line = (i: number): string => `${[0, 1, 2, 3, 4].map((j) => ((i * (j + 3)) % 11) - 5).join(",")},${"abc"[i % 3]},${30 + i},p${100 + i}`;

  before(async () => {
    browser = await launched();
    const rows = join(scratch, "given.csv");
    writeFileSync(rows, ["x0,x1,x2,x3,x4,kind,age,patient", ...Array.from({ length: 30 }, (_, i) => line(i))].join("\n"));
    site = await explore("tests/web/conditional", "--rows", rows, "--id", "patient");
    [page, wrong] = await opened(browser, site.address);
    await ready(page);
  });
  after(async () => {
    site.stop();
    await browser.close();
  });

  test("the controls begin with the first category and the mean", async () => {
    assert.deepEqual(await chosen(page), ["a", "40"]);
    assert.deepEqual(await page.locator(`${KIND} option`).allTextContents(), ["a", "b", "c"]);
  });

  test("another condition changes the row, the prior and the sliders", async () => {
    const seen = async (): Promise<string[]> => [
      await chart(page),
      await page.evaluate("String(explorer.latents.prior.weights)"),
      (await page.getAttribute("#sliders input", "max"))!,
    ];
    const before = await seen();
    await page.selectOption(KIND, "b");
    await page.fill(AGE, "50");
    await page.keyboard.press("Enter");
    await page.waitForURL(/condition=/);
    const after = await seen();
    after.forEach((value, k) => assert.notEqual(value, before[k]));
  });

  test("samples with seed 7 equal Python's under the condition", async () => {
    await page.fill("#seed", "7");
    await page.fill("#count", "100");
    const { values } = await downloaded(page, "#download-samples");
    const python = expected.bundles["conditional"];
    const unit = unpacked(python["unit"]);
    assert.ok(largestGap(values, unpacked(python["sample_under"]), (at) => unit[at % 5] * 4) <= 1e-5);
  });

  test("a picked row brings its condition, which can be changed", async () => {
    await page.fill("#row", "5");
    await page.keyboard.press("Enter");
    assert.match((await page.textContent("#row-facts"))!, /^row 5, patient p105, kind c, age 35: ELBO -?\d/);
    assert.deepEqual(await chosen(page), ["c", "35"]);
    const own = await page.evaluate<number[]>(`(async () => {
      const { vae, rows, c } = explorer;
      const wanted = await vae.reconstruct(rows.slice(5, 6), { condition: c.slice(5, 6) });
      const found = await vae.decode([explorer.z], { condition: explorer.given });
      return [...wanted.data.map((value, j) => value - found.data[j])];
    })()`);
    assert.ok(own.every((gap) => Math.abs(gap) < 1e-5));
    const before = await chart(page);
    await page.selectOption(KIND, "a");
    await page.waitForTimeout(300);
    assert.notEqual(await chart(page), before);
    assert.equal(await page.inputValue("#row"), "5");
  });

  test("a view comes back with its condition", slow, async () => {
    await page.waitForURL(/row=5/);
    const [other] = await opened(browser, page.url());
    await ready(other);
    await other.waitForTimeout(300);
    assert.deepEqual(await chosen(other), ["a", "35"]);
    assert.equal(await chart(other), await chart(page));
    await other.context().close();
  });

  test("rows are coloured by a condition, and interpolated with theirs", slow, async () => {
    await page.selectOption("#colour", "c0");
    assert.equal(await page.textContent("#legend"), "abc");
    await page.fill("#from", "0");
    await page.fill("#to", "1");
    await page.click("#interpolate");
    await page.waitForSelector("#between canvas");
    await until(page, SHADES); // cells of a heat map, and no empty plot
    await page.click("#play");
    await until(page, 'document.querySelector("#conditions select").value === "b"');
    await until(page, "explorer.given.data[1] === 1");
    assert.deepEqual(await chosen(page), ["b", "31"]);
  });

  test("a wrong number is refused in words", async () => {
    await page.fill(AGE, "");
    await page.keyboard.press("Enter");
    await page.waitForSelector("#status.refused");
    assert.match((await page.textContent("#status"))!, /condition age is '': expected a finite number/);
    await page.fill(AGE, "41");
    await page.keyboard.press("Enter");
    await page.waitForSelector("#status:not(.refused)", { state: "attached" });
  });

  test("columns of a dropped table are conditions, others are chosen", async () => {
    const file = join(scratch, "more.csv");
    writeFileSync(file, "kind,x0,x1,x2,x3,x4\nc,1,2,3,4,5\nb,5,4,3,2,1\n");
    await page.setInputFiles("#file", file);
    await page.waitForSelector('#table-facts:has-text("2 rows of more.csv")');
    assert.match((await page.textContent("#table-facts"))!, /All rows are under the chosen age\.$/);
    const c = await page.evaluate<number[]>("[...explorer.c.data].map((value) => Math.round(1000 * value))");
    assert.deepEqual(c, [0, 0, 1000, 100, 0, 1000, 0, 100]);
    assert.equal(await page.evaluate("explorer.ids.length"), 0); // ids of the rows before
    writeFileSync(`${file}.csv`, "kind,x0,x1,x2,x3,x4\nd,1,2,3,4,5\n");
    await page.setInputFiles("#file", `${file}.csv`);
    await page.waitForSelector("#status.refused");
    assert.match((await page.textContent("#status"))!, /condition kind is 'd' in row 0: expected one of a, b, c/);
  });

  test("nothing went wrong, and pages fit 360 pixels", slow, async () => {
    assert.deepEqual(wrong, []);
    const folder = process.env["SCREENSHOTS"];
    for (const [scheme, width] of [["light", 1280], ["dark", 1280], ["light", 360]] as const) {
      const [other, problems] = await opened(browser, site.address, scheme, width);
      await ready(other);
      for (const button of ["#sample", "#interpolate"]) await other.click(button);
      await other.waitForSelector("#between canvas");
      assert.ok((await other.evaluate<number>("document.documentElement.scrollWidth")) <= width);
      if (folder) await other.screenshot({ path: join(folder, `conditions-${scheme}-${width}.png`), fullPage: true });
      assert.deepEqual(problems, []);
      await other.context().close();
    }
  });
});
