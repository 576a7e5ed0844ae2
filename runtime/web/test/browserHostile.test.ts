/** The real page with names and ids that are HTML, broken addresses, wrong files and incomplete folders. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import type { Browser, Page } from "playwright-core";

import { filesOf } from "./bundles.js";
import { explore, launched, opened, ready, scratch, skip, slow, until } from "./pages.js";

const NAMES = (JSON.parse(Buffer.from(filesOf("tests/web/named").get("manifest.json")!).toString()) as { columns: string[] }).columns;
const EVIL = `<svg/onload="document.title='run'">`;
const line = (cells: readonly unknown[]): string => cells.map((cell) => `"${String(cell).replaceAll('"', '""')}"`).join(",");
const row = (i: number): number[] => NAMES.map((_, j) => ((i * (j + 3)) % 11) / 11);

describe("hostile names, addresses and files", { skip }, () => {
  let browser: Browser;
  let page: Page;
  let wrong: string[];
  let site: Awaited<ReturnType<typeof explore>>;

  before(async () => {
    browser = await launched();
    const rows = join(scratch, "hostile.csv");
    const lines = Array.from({ length: 12 }, (_, i) => [...row(i), "abc"[i % 3], 30 + i, `<script>document.title='run'</script>`, EVIL]);
    writeFileSync(rows, [[...NAMES, "kind", "age", "<b>label</b>", EVIL], ...lines].map(line).join("\n"));
    site = await explore("tests/web/named", "--precision", "int8", "--rows", rows, "--label", "<b>label</b>", "--id", EVIL);
    [page, wrong] = await opened(browser, site.address);
    await ready(page);
  });
  after(async () => {
    site.stop();
    await browser.close();
  });

  /** Whether a key decodes another point. */
  const alive = async (): Promise<void> => {
    const before = await page.evaluate<number>("explorer.frames.count");
    await page.focus("#map");
    await page.keyboard.press("ArrowRight");
    await until(page, `explorer.frames.count > ${before}`);
  };

  test("names and ids are text, in charts and tooltips too", async () => {
    await page.fill("#row", "3");
    await page.keyboard.press("Enter");
    assert.match((await page.textContent("#row-facts"))!, /row 3, <svg\/onload=.*, <b>label<\/b> <script>.*: ELBO/);
    await page.click("#sample");
    await page.waitForSelector("#samples canvas");
    for (const [id, top] of [["#decoded", 120], ["#samples", 60]] as const) {
      await page.locator(id).scrollIntoViewIfNeeded();
      const box = (await page.locator(id).boundingBox())!;
      for (const share of [0.12, 0.15, 0.18]) await page.mouse.move(box.x + share * box.width, box.y + top);
      await until(page, `document.querySelector("${id}").textContent.includes("<")`); // the tooltip
    }
    assert.equal(await page.title(), "named: latent explorer");
    assert.equal(await page.locator("main img, main svg, main script, main b").count(), 0);
    assert.deepEqual(wrong, []);
  });

  test("broken addresses leave a page that works", slow, async () => {
    const given = encodeURIComponent(JSON.stringify({ kind: "z" }));
    const cases: [string, RegExp | null][] = [
      ["z=3e38,-3e38,3e38&colour=toString&form=<b>&seed=<i>&across=99&up=-1", null],
      ["row=1e9&view=-1e308,1e308,-1e308,1e308&condition=[]", null],
      [`condition=${given}&colour=c9`, /condition kind is 'z': expected one of a, b, c/],
    ];
    for (const [hash, words] of cases) {
      await page.goto("about:blank");
      await page.goto(`${site.address}#${hash}`);
      await ready(page);
      await until(page, "'explorer' in globalThis"); // the status may be a refusal before
      if (words) assert.match((await page.textContent("#status"))!, words);
      await alive();
      assert.equal(await page.inputValue("#colour"), "label");
    }
    assert.deepEqual(wrong, []);
  });

  test("an empty row field picks none, and counts have a limit", async () => {
    await page.fill("#row", "2");
    await page.keyboard.press("Enter");
    await page.fill("#row", "");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate("explorer.state.row"), null);
    await page.fill("#count", "1000000000");
    await page.click("#sample");
    await page.waitForSelector("#status.refused");
    assert.equal(await page.textContent("#status"), "1000000000 rows are asked for: expected 1 to 10,000: take more in Python, in parts");
  });

  test("a dropped table takes the place of rows, labels and ids", async () => {
    const [good, bad] = ["twelve.csv", "picture.csv"].map((name) => join(scratch, name));
    writeFileSync(good, [[...NAMES, "note"], ...Array.from({ length: 12 }, (_, i) => [...row(i + 1), "n"])].map(line).join("\n"));
    writeFileSync(bad, Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 1, 2]));
    const before = await page.textContent("#table-facts");
    await page.setInputFiles("#file", bad);
    await page.waitForSelector('#status:has-text("picture.csv holds bytes that are not text in UTF-8")');
    assert.equal(await page.textContent("#table-facts"), before);
    await page.setInputFiles("#file", good);
    await page.waitForSelector('#table-facts:has-text("12 rows of twelve.csv are on the map")');
    assert.match((await page.textContent("#table-facts"))!, /the chosen kind, age\. Left out, as the model does not know them: note\.$/);
    await page.fill("#row", "3");
    await page.keyboard.press("Enter");
    assert.match((await page.textContent("#row-facts"))!, /^row 3, kind c, age 32: ELBO/); // none of the labels before
    await alive();
  });

  test("a folder without a file of the bundle is refused in words", slow, async () => {
    const server = createServer((request, response) => {
      void fetch(new URL(request.url!, site.address)).then(async (answer) => {
        const status = request.url!.endsWith("prior.npz") ? 404 : answer.status;
        response.writeHead(status, { "Content-Type": answer.headers.get("Content-Type")! }).end(Buffer.from(await answer.arrayBuffer()));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const [other] = await opened(browser, `http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await ready(other);
    assert.match((await other.textContent("#status"))!, /cannot read .*404 Not Found: \/bundle\/prior\.npz\): expected a bundle/);
    await other.context().close();
    server.close();
    server.closeAllConnections();
  });
});
