/** What both entries of the package export beside `load`. */

export type { Replay } from "./bundle/golden.js";
export type { Manifest, Precision } from "./bundle/manifest.js";
export type { Place } from "./bundle/sources.js";
export type { Seed } from "./density/noise.js";
export { AaptvaeError, BundleError, InputError } from "./errors.js";
export type { Curve } from "./interpolation.js";
export { Rows } from "./rows.js";
export type { Table } from "./rows.js";
export type { LoadOptions, SampleOptions, Scores, VAE } from "./vae.js";
export type { ViewName } from "./views.js";
