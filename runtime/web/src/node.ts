/** aaptvae in Node, on onnxruntime-node. */

import type { Place } from "./bundle/sources.js";
import type { LoadOptions } from "./loaded.js";
import { loadOn } from "./vae.js";
import type { VAE } from "./vae.js";

export * from "./exports.js";

/** Load a bundle from the URL of a folder or of a .zip, or from files, check it, and replay its golden vectors. */
export async function load(place: Place, options: LoadOptions = {}): Promise<VAE> {
  process.env["ORT_DISABLE_TELEMETRY"] ??= "1"; // onnxruntime reads it when it is loaded
  const runtime = await import("onnxruntime-node");
  return loadOn({ runtime, provider: "cpu" }, place, options);
}
