/** onnxruntime-web's WebAssembly with one thread, which needs no special headers. The explorer's page loads this alone. */

import * as ort from "onnxruntime-web/wasm";

import type { Place } from "./bundle/sources.js";
import { readBundle } from "./bundle/reading.js";
import { Backend } from "./engine/network.js";
import type { LoadOptions } from "./loaded.js";
import { loadOn } from "./vae.js";
import type { VAE } from "./vae.js";

/** Use these bytes of `ort-wasm-simd-threaded.wasm` instead of fetching the file from beside the script. */
export function setWasm(binary: ArrayBuffer): void {
  ort.env.wasm.wasmBinary = binary;
}

export async function wasm(): Promise<Backend> {
  ort.env.wasm.numThreads = 1;
  return new Backend(ort, "wasm");
}

/** Load a bundle on WebAssembly, check it, and replay its golden vectors. */
export async function load(place: Place, options: LoadOptions = {}): Promise<VAE> {
  return loadOn(await wasm(), await readBundle(place, options.sha256), options);
}
