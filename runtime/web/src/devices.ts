/** The device that graphs run on: the first of several that computes the golden vectors. */

import type { Bundle } from "./bundle/reading.js";
import type { Backend } from "./engine/network.js";
import { BundleError, InputError, ProviderError } from "./errors.js";
import type { LoadOptions } from "./loaded.js";
import { loadOn } from "./vae.js";
import type { VAE } from "./vae.js";

/**
 * The bundle on `preferred`, else on `other`: `vae.fallback` then says why.
 *
 * `InputError` if the golden vectors would not be compared.
 */
export async function loadOnFirst(
  preferred: () => Promise<Backend>,
  other: () => Promise<Backend>,
  bundle: Bundle,
  options: LoadOptions,
): Promise<VAE> {
  requireReplay(options);
  try {
    return await loadOn(await preferred(), bundle, options);
  } catch (error) {
    if (!(error instanceof BundleError || error instanceof ProviderError)) throw error;
    const vae = await loadOn(await other(), bundle, options);
    vae.fallback = error.message;
    return vae;
  }
}

/** `InputError` for a GPU without the comparison: its results are trusted for no other reason. */
export function requireReplay({ golden = true }: LoadOptions): void {
  if (golden) return;
  throw new InputError("golden is false: WebGPU is used only where it computes the golden vectors: leave it out, or use wasm");
}
