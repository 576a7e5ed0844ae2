/** aaptvae in the browser, on onnxruntime-web's WebAssembly with one thread, which needs no special headers. */

import * as ort from "onnxruntime-web/wasm";

import type { Place } from "./bundle/sources.js";
import type { LoadOptions } from "./loaded.js";
import { loadOn } from "./vae.js";
import type { VAE } from "./vae.js";

export * from "./exports.js";

/** Use these bytes of `ort-wasm-simd-threaded.wasm` instead of fetching the file from beside the script. */
export function setWasm(binary: ArrayBuffer): void {
  ort.env.wasm.wasmBinary = binary;
}

/** Load a bundle from the URL of a folder or of a .zip, or from files, check it, and replay its golden vectors. */
export async function load(place: Place, options: LoadOptions = {}): Promise<VAE> {
  ort.env.wasm.numThreads = 1;
  return loadOn({ runtime: ort, provider: "wasm" }, place, options);
}
