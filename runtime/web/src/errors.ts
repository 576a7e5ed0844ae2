/** Errors that this package raises on purpose; each message names the value, the expectation and a remedy. */

export class AaptvaeError extends Error {
  override name = "AaptvaeError";
}

/** Features, latents or options that cannot be used as given. */
export class InputError extends AaptvaeError {
  override name = "InputError";
}

/** A device that is not available. */
export class ProviderError extends AaptvaeError {
  override name = "ProviderError";
}

/** A bundle that is missing, damaged, inconsistent, hostile or newer than this package. */
export class BundleError extends AaptvaeError {
  override name = "BundleError";
}
