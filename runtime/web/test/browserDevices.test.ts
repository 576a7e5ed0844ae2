/** The package in a real browser: on WebGPU of a software adapter, and without an adapter. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import type { Browser, Page } from "playwright-core";

import { expected, ROOT } from "./bundles.js";
import { launched, skip } from "./pages.js";

const DIST = "/runtime/web/node_modules/onnxruntime-web/dist/ort";
const IMPORTS = { "onnxruntime-web/wasm": `${DIST}.wasm.bundle.min.mjs`, "onnxruntime-web/webgpu": `${DIST}.webgpu.bundle.min.mjs` };
const HTML = `<!doctype html><script type="importmap">${JSON.stringify({ imports: IMPORTS })}</script>`;
const TYPES: Record<string, string> = { js: "text/javascript", mjs: "text/javascript", wasm: "application/wasm" };
const SOFTWARE = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];

interface Loaded {
  readonly device?: string;
  readonly fallback?: string | null;
  readonly worst?: number;
  readonly gap?: number;
  readonly refused?: string;
}

/** What `load` of a bundle in a page says, and how far the reconstruction of its rows is from WebAssembly's. */
const loaded = (page: Page, folder: string, options: object): Promise<Loaded> =>
  page.evaluate(`import("/runtime/web/build/src/index.js").then(async ({ load }) => {
    const vae = await load("/${folder}/", ${JSON.stringify(options)});
    const other = await load("/${folder}/", ${JSON.stringify({ ...options, device: "wasm" })});
    const rows = await Promise.all([vae, other].map((each) => each.reconstruct(each.goldenRows, { condition: each.goldenConditions })));
    const unit = vae.observation.unit;
    const gaps = rows[0].data.map((value, at) => Math.abs(value - rows[1].data[at]) / unit[at % rows[0].width]);
    const worst = Math.max(...vae.replays.map((replay) => replay.difference));
    return { device: vae.device, fallback: vae.fallback, worst, gap: Math.max(...gaps) };
  }).catch((error) => ({ refused: String(error) }))`);

describe("the package in a browser", { skip }, () => {
  const server = createServer((request, response) => {
    const path = new URL(request.url!, "http://x").pathname;
    try {
      const body = path === "/" ? HTML : readFileSync(join(ROOT, path));
      response.writeHead(200, { "Content-Type": path === "/" ? "text/html" : (TYPES[path.split(".").pop()!] ?? "") }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  const browsers: Browser[] = [];
  const page = async (...switches: string[]): Promise<Page> => {
    const browser = await launched(...switches);
    browsers.push(browser);
    const made = await browser.newPage();
    await made.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    return made;
  };
  before(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve)));
  after(async () => {
    for (const browser of browsers) await browser.close();
    server.close();
    server.closeAllConnections();
  });

  test("without an adapter, WebAssembly computes and says why", async () => {
    const plain = await page();
    const { device, fallback } = await loaded(plain, "tests/runtime/tiny", { device: "auto" });
    assert.equal(device, "wasm");
    assert.match(fallback!, /^WebGPU is not available: this browser lacks/);
    assert.match((await loaded(plain, "tests/runtime/tiny", { device: "webgpu" })).refused!, /^ProviderError: WebGPU is not available/);
    assert.match((await loaded(plain, "tests/runtime/tiny", { device: "gpu" })).refused!, /^InputError: device is 'gpu': expected "wasm"/);
  });

  test("WebGPU computes the golden vectors in fp32", async (context) => {
    const software = await page(...SOFTWARE);
    const adapter = await software.evaluate<boolean>("Promise.resolve(navigator.gpu?.requestAdapter()).then(Boolean)");
    if (!adapter) return context.skip("this Chromium has no software adapter for WebGPU");
    const all = process.env["EVERY_BUNDLE"] ? Object.keys(expected.bundles) : ["bounded", "conditional", "int8"];
    for (const name of all) {
      const { folder, precision } = expected.bundles[name];
      const found = await loaded(software, folder, { device: "auto", precision });
      // onnxruntime-web 1.30.0 has no WebGPU operator for the bytes of int8 graphs.
      if (precision === "int8") assert.match(found.fallback!, /^onnxruntime cannot compute a graph of this bundle/);
      else assert.equal(found.device, "webgpu", found.fallback ?? found.refused);
      console.log(`${name} on ${found.device}: ${found.worst!.toExponential(1)}, ${found.gap!.toExponential(1)} from WebAssembly`);
      assert.ok(found.gap! <= 1e-4, `${name} differs by ${found.gap} from WebAssembly`);
    }
  });
});
