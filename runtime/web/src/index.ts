/** aaptvae in the browser: on onnxruntime-web's WebAssembly, or on its WebGPU where that computes the golden vectors. */

import { readBundle } from "./bundle/reading.js";
import type { Place } from "./bundle/sources.js";
import { loadOnFirst, requireReplay } from "./devices.js";
import { InputError } from "./errors.js";
import type { LoadOptions } from "./loaded.js";
import { shown } from "./text.js";
import { loadOn } from "./vae.js";
import type { VAE } from "./vae.js";
import { wasm } from "./wasm.js";
import { webgpu } from "./webgpu.js";

export * from "./exports.js";
export { setWasm } from "./wasm.js";

/** Load a bundle from the URL of a folder or of a .zip, or from files, check it, and replay its golden vectors. */
export async function load(place: Place, options: LoadOptions = {}): Promise<VAE> {
  const { device = "wasm" } = options;
  if (!["wasm", "webgpu", "auto"].includes(device)) {
    throw new InputError(`device is ${shown(device)}: expected "wasm", "webgpu" or "auto"`);
  }
  const bundle = await readBundle(place, options.sha256);
  if (device === "auto") return loadOnFirst(webgpu, wasm, bundle, options);
  if (device === "webgpu") requireReplay(options);
  return loadOn(await (device === "webgpu" ? webgpu() : wasm()), bundle, options);
}
