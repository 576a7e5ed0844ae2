/** The real page in a real browser: `aaptvae explore` serves it, Chromium opens it. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import type { Browser, Page } from "playwright-core";

import { expected, filesOf, largestGap, ROOT, unpacked } from "./bundles.js";
import { downloaded, explore, launched, opened, ready, scratch, skip, slow, until } from "./pages.js";

/** The decoded picture, as text. */
const picture = (page: Page): Promise<string> => page.evaluate('document.querySelector("#decoded canvas").toDataURL()');

/** Where a row is, in pixels of the page. */
const place = (page: Page, row: number): Promise<[number, number]> =>
  page.evaluate(`(() => {
    const { left, top } = document.querySelector("#map").getBoundingClientRect();
    const [x, y] = explorer.map.pixelOf(${row});
    return [left + x, top + y];
  })()`);

function near(found: readonly number[], wanted: readonly number[], most = 1): void {
  assert.ok(Math.hypot(found[0] - wanted[0], found[1] - wanted[1]) < most, `${found} is not within ${most} pixels of ${wanted}`);
}

/** The painted rows, as text. */
const layer = (page: Page): Promise<string> => page.evaluate('document.querySelector("#map .points").toDataURL()');

/** Whether the address holds the view as it is now. */
const WRITTEN = `new URLSearchParams(location.hash.slice(1)).get("view") ===
  [...explorer.state.view.across, ...explorer.state.view.up].map((end) => String(Number(end.toPrecision(5)))).join(",")`;

/** The share of shown rows with a painted pixel at their place, and with one that no soft edge of another row has mixed. */
const PAINTED = `(() => {
  const canvas = document.querySelector("#map .points");
  const pen = canvas.getContext("2d");
  const known = new Set([...document.querySelectorAll("#legend i")].map((mark) => mark.style.background));
  let [shown, painted, plain] = [0, 0, 0];
  for (let row = 0; row < explorer.rows.length; row++) {
    const [x, y] = explorer.map.pixelOf(row).map((at, k) => Math.floor((at - [canvas.offsetLeft, canvas.offsetTop][k]) * devicePixelRatio));
    if (x < 0 || y < 0 || x >= canvas.width || y >= canvas.height) continue;
    const [red, green, blue, alpha] = pen.getImageData(x, y, 1, 1).data;
    shown += 1;
    painted += alpha === 255;
    plain += alpha === 255 && known.has("rgb(" + [red, green, blue].join(", ") + ")");
  }
  return [painted / shown, plain / shown];
})()`;

describe("the explorer of digits", { skip }, () => {
  let browser: Browser;
  let page: Page;
  let wrong: string[];
  let site: Awaited<ReturnType<typeof explore>>;

  before(async () => {
    browser = await launched();
    site = await explore("artifacts/digits", "--image-shape", "8x8", "--rows", join(ROOT, "training/aaptvae_training/data/digits.npy"));
    [page, wrong] = await opened(browser, site.address);
    await ready(page);
  });
  after(async () => {
    site.stop();
    await browser.close();
  });

  test("the golden vectors are confirmed", async () => {
    const status = (await page.textContent("#status"))!;
    console.log(`in Chromium: ${status}`);
    assert.match(status, /computed here as at export, largest difference \d\.\de-[78]/);
  });

  test("other bundles and int8 are confirmed too", slow, async () => {
    for (const [name, { folder, precision }] of Object.entries(expected.bundles)) {
      const other = await explore(folder, "--precision", precision);
      const [another, problems] = await opened(browser, other.address);
      await ready(another);
      const status = (await another.textContent("#status"))!;
      console.log(`${name} in Chromium: ${status}`);
      assert.match(status, /computed here as at export/);
      assert.deepEqual(problems, []);
      await another.context().close();
      other.stop();
    }
  });

  test("a drag on the map changes the picture and the address", async () => {
    const before = await picture(page);
    const box = (await page.locator("#map").boundingBox())!;
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width / 3, box.y + box.height / 3, { steps: 5 });
    await page.mouse.up();
    await page.waitForURL(/[#&]z=/);
    assert.notEqual(await picture(page), before);
  });

  test("arrow keys, a slider and a picked row change the picture", async () => {
    const seen = new Set([await picture(page)]);
    const look = async (): Promise<void> => {
      for (let tries = 0; tries < 50 && seen.has(await picture(page)); tries++) await page.waitForTimeout(100);
      seen.add(await picture(page));
    };
    await page.focus("#map");
    for (let i = 0; i < 5; i++) await page.keyboard.press("Shift+ArrowRight");
    await look();
    await page.focus("#sliders input");
    for (let i = 0; i < 5; i++) await page.keyboard.press("ArrowLeft"); // the keys above moved it to its right end
    await look();
    await page.fill("#row", "7");
    await page.keyboard.press("Enter");
    await look();
    assert.equal(seen.size, 4);
    assert.match((await page.textContent("#row-facts"))!, /^row 7: ELBO -?\d/);
  });

  test("a view comes back from its address", slow, async () => {
    await page.waitForURL(/[#&]row=7/);
    const [other] = await opened(browser, page.url());
    await ready(other);
    await other.waitForTimeout(500);
    assert.equal(await picture(other), await picture(page));
    await other.context().close();
  });

  test("the mark is drawn where the picked row is", async () => {
    const mark = (await page.locator(".cross").boundingBox())!;
    near([mark.x + mark.width / 2, mark.y + mark.height / 2], await place(page, 7));
  });

  test("a row under the pointer shows its words and its picture", async () => {
    await page.mouse.move(...(await place(page, 7)));
    const hint = page.locator(".hint-row");
    assert.match((await hint.textContent())!, /^row \d+: ELBO/);
    assert.ok(await hint.locator("canvas").isVisible());
    await page.mouse.move(5, 5);
    assert.ok(await hint.isHidden());
  });

  test("Shift and drag moves the rows, and picking follows", async () => {
    const [[x, y], points] = [await place(page, 7), await layer(page)];
    await page.mouse.move(x, y);
    await page.keyboard.down("Shift");
    await page.mouse.down();
    for (const step of [1, 2, 3]) await page.mouse.move(x + 20 * step, y + 10 * step);
    await page.mouse.up();
    await page.keyboard.up("Shift");
    near(await place(page, 7), [x + 60, y + 30]);
    await page.waitForTimeout(100);
    assert.notEqual(await layer(page), points);
    await page.mouse.click(x + 60, y + 30);
    near(await place(page, Number(await page.inputValue("#row"))), [x + 60, y + 30]);
  });

  test("the wheel and two fingers zoom about their place, and 0 shows all", slow, async () => {
    const [x, y] = await place(page, 7);
    const [wide] = await page.evaluate<[number, number]>("explorer.map.span()");
    await page.mouse.move(x, y);
    await page.mouse.wheel(0, -300);
    await until(page, `explorer.map.span()[0] < ${0.7 * wide}`);
    near(await place(page, 7), [x, y]);
    const touch = await page.context().newCDPSession(page);
    for (const gap of [20, 30, 40, 0]) {
      const fingers = gap ? [-gap, gap].map((by, id) => ({ x: x + by, y, id })) : [];
      await touch.send("Input.dispatchTouchEvent", { type: gap ? (gap === 20 ? "touchStart" : "touchMove") : "touchEnd", touchPoints: fingers });
    }
    await until(page, `explorer.map.span()[0] < ${0.4 * wide}`);
    near(await place(page, 7), [x, y], 3); // the browser rounds the fingers to pixels
    await page.waitForTimeout(100);
    const pair = "[explorer.map.across[7], explorer.map.up[7]]";
    const axes = await page.evaluate<number[]>(`explorer.map.chart.convertToPixel({ gridIndex: 0 }, ${pair})`);
    near(axes, await page.evaluate<number[]>("explorer.map.pixelOf(7)")); // axes and rows have one scale
    await until(page, WRITTEN);
    const [other] = await opened(browser, page.url());
    await ready(other);
    near(await place(other, 7), await place(page, 7));
    await other.context().close();
    await page.focus("#map");
    await page.keyboard.press("0");
    await until(page, `explorer.map.span()[0] > ${0.99 * wide}`);
  });

  test("rows are painted at their places, in the colour of their group", async () => {
    const [painted, known] = await page.evaluate<[number, number]>(PAINTED);
    assert.ok(painted > 0.99 && known > 0.5, `${painted} of the rows have a pixel, ${known} one of the legend's colours`);
  });

  test("axes of the metric view can be chosen, and picking follows", async () => {
    for (const [id, label] of [["#across", "metric axis 1"], ["#up", "metric axis 2"]] as const) await page.selectOption(id, { label });
    await page.waitForTimeout(100);
    const [painted] = await page.evaluate<[number, number]>(PAINTED);
    assert.ok(painted > 0.99, `${painted} of the rows have a pixel`);
    const [x, y] = await place(page, 7);
    await page.mouse.click(x, y);
    near(await place(page, Number(await page.inputValue("#row"))), [x, y], 14);
    const before = await picture(page);
    const box = (await page.locator("#map").boundingBox())!;
    await page.mouse.click(box.x + box.width * (x > box.x + box.width / 2 ? 0.3 : 0.7), box.y + box.height / 2);
    await page.waitForTimeout(200);
    assert.notEqual(await picture(page), before);
  });

  test("samples with seed 7 equal Python's", async () => {
    await page.fill("#seed", "7");
    await page.fill("#count", "100");
    const { values } = await downloaded(page, "#download-samples");
    const unit = unpacked(expected.bundles["digits"]["unit"]);
    assert.ok(largestGap(values, unpacked(expected.bundles["digits"]["sample"]), (at) => unit[at % 64] * 4) <= 1e-5);
  });

  test("interpolation draws nine pictures", async () => {
    await page.click("#interpolate");
    await page.waitForSelector("#between figure:nth-child(9)");
    assert.equal(await page.locator("#between figure").count(), 9);
  });

  test("a table is scored, and a wrong one refused", async () => {
    const [good, bad] = ["good.csv", "bad.csv"].map((name) => join(scratch, name));
    writeFileSync(good, `${Array(64).fill(1).join(",")}\n${Array(64).fill(4).join(",")}\n`);
    writeFileSync(bad, "1,2,3\n");
    await page.setInputFiles("#file", bad);
    await page.waitForSelector("#status.refused");
    assert.match((await page.textContent("#status"))!, /bad.csv has 3 columns: this bundle takes 64/);
    await page.setInputFiles("#file", good);
    await page.waitForSelector('#table-facts:has-text("2 rows of good.csv")');
    const { names, values } = await downloaded(page, "#download-scores");
    assert.deepEqual(names, ["reconstruction_error", "kl_divergence", "elbo", "p_value"]);
    assert.equal(values.length, 8);
  });

  test("nothing left the origin and nothing went wrong", () => {
    assert.deepEqual(wrong, []);
  });

  test("pages fit 360 pixels, in light and in dark", slow, async () => {
    const folder = process.env["SCREENSHOTS"];
    for (const [scheme, width] of [["light", 1280], ["dark", 1280], ["light", 360], ["dark", 360]] as const) {
      const [other, problems] = await opened(browser, site.address, scheme, width);
      await ready(other);
      for (const button of ["#sample", "#interpolate"]) await other.click(button);
      await other.waitForSelector("#between figure:nth-child(9)");
      assert.ok((await other.evaluate<number>("document.documentElement.scrollWidth")) <= width);
      if (folder) await other.screenshot({ path: join(folder, `explorer-${scheme}-${width}.png`), fullPage: true });
      assert.deepEqual(problems, []);
      await other.context().close();
    }
  });

  test("a changed byte is refused in words", async () => {
    const changed = filesOf("artifacts/digits").get("decoder.onnx")!;
    changed[changed.length >> 1] ^= 1;
    const server = createServer((request, response) => {
      void fetch(new URL(request.url!, site.address)).then(async (answer) => {
        const body = request.url!.endsWith("decoder.onnx") ? Buffer.from(changed) : Buffer.from(await answer.arrayBuffer());
        response.writeHead(answer.status, { "Content-Type": answer.headers.get("Content-Type")! }).end(body);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const [other] = await opened(browser, `http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await ready(other);
    assert.match((await other.textContent("#status"))!, /decoder.onnx is not the file the manifest describes/);
    await other.context().close();
    server.close();
    server.closeAllConnections();
  });
});
