import assert from "node:assert/strict";
import { test } from "node:test";

import * as ort from "onnxruntime-node";

import { readBundle } from "../src/bundle/reading.js";
import { loadOnFirst } from "../src/devices.js";
import { Backend } from "../src/engine/network.js";
import { load, ProviderError } from "../src/node.js";
import { filesOf } from "./bundles.js";

/** onnxruntime whose results are off by 0.01, as a faulty driver's might be. */
const faulty = {
  Tensor: ort.Tensor,
  InferenceSession: {
    async create(graph: Uint8Array, options: ort.InferenceSession.SessionOptions) {
      const session = await ort.InferenceSession.create(graph, { ...options, executionProviders: ["cpu"] });
      const run = session.run.bind(session) as (...given: unknown[]) => Promise<ort.InferenceSession.OnnxValueMapType>;
      const wrong = async (...given: unknown[]) => {
        const found = await run(...given);
        return Object.fromEntries(
          Object.entries(found).map(([name, { data, dims }]) => [
            name,
            new ort.Tensor("float32", (data as Float32Array).map((value) => value + 0.01), dims),
          ]),
        );
      };
      return Object.assign(session, { run: wrong });
    },
  },
};
const cpu = async (): Promise<Backend> => new Backend(ort, "cpu");
const gpu = async (): Promise<Backend> => new Backend(faulty as never, "webgpu");

test("a device that does not compute the golden vectors is left, in words", async () => {
  const bundle = await readBundle(filesOf("tests/runtime/tiny"));
  const vae = await loadOnFirst(gpu, cpu, bundle, {});
  assert.equal(vae.device, "cpu");
  assert.match(vae.fallback!, /^mu differs from the golden vectors by 0.01, 0.0001 allowed: the bundle or this machine's/);
  assert.equal(vae.replays.length, 3);
  const first = await loadOnFirst(cpu, gpu, bundle, {});
  assert.deepEqual([first.device, first.fallback], ["cpu", null]);
});

test("a device that is not available is left, in words", async () => {
  const none = async (): Promise<Backend> => {
    throw new ProviderError("WebGPU is not available");
  };
  const vae = await loadOnFirst(none, cpu, await readBundle(filesOf("tests/runtime/tiny")), {});
  assert.deepEqual([vae.device, vae.fallback], ["cpu", "WebGPU is not available"]);
});

test("a GPU is not used without the golden vectors, and not in Node", async () => {
  const bundle = await readBundle(filesOf("tests/runtime/tiny"));
  await assert.rejects(loadOnFirst(gpu, cpu, bundle, { golden: false }), /golden is false: WebGPU is used only where it computes/);
  await assert.rejects(load(filesOf("tests/runtime/tiny"), { device: "webgpu" }), /WebGPU is not available: this is Node/);
  assert.equal((await load(filesOf("tests/runtime/tiny"), { device: "auto" })).device, "cpu");
});
