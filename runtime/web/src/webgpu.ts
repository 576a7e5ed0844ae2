/** onnxruntime-web on a GPU, with a WebAssembly file of its own (27 MB), which is fetched when it is first asked for. */

import { Backend } from "./engine/network.js";
import { ProviderError } from "./errors.js";

interface Gpu {
  requestAdapter(): Promise<unknown>;
}

let opened: Backend | undefined; // one for all bundles: their calls wait for each other

/** `ProviderError` where the browser offers no adapter. */
export async function webgpu(): Promise<Backend> {
  const gpu = (globalThis.navigator as { gpu?: Gpu } | undefined)?.gpu;
  if (gpu === undefined || (await gpu.requestAdapter()) === null) {
    const lacks = gpu === undefined ? "navigator.gpu, which pages without https lack too" : "an adapter";
    throw new ProviderError(`WebGPU is not available: this browser lacks ${lacks}: load with device "wasm", or "auto"`);
  }
  const ort = await import("onnxruntime-web/webgpu");
  ort.env.wasm.numThreads = 1;
  return (opened ??= new Backend(ort, "webgpu"));
}
