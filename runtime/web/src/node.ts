/** aaptvae in Node, on onnxruntime-node. */

import { readBundle } from "./bundle/reading.js";
import type { Place } from "./bundle/sources.js";
import { Backend } from "./engine/network.js";
import { ProviderError } from "./errors.js";
import type { LoadOptions } from "./loaded.js";
import { loadOn } from "./vae.js";
import type { VAE } from "./vae.js";

export * from "./exports.js";

/** Load a bundle from the URL of a folder or of a .zip, or from files, check it, and replay its golden vectors. */
export async function load(place: Place, options: LoadOptions = {}): Promise<VAE> {
  if (options.device === "webgpu") {
    throw new ProviderError('WebGPU is not available: this is Node, which runs on the CPU: load without device, or with "auto"');
  }
  process.env["ORT_DISABLE_TELEMETRY"] ??= "1"; // onnxruntime reads it when it is loaded
  const runtime = await import("onnxruntime-node");
  return loadOn(new Backend(runtime, "cpu"), await readBundle(place, options.sha256), options);
}
