/** What both entries of the package export beside `load`. */

export type { Replay } from "./bundle/golden.js";
export type { Manifest, Precision } from "./bundle/manifest.js";
export type { Condition } from "./bundle/manifest.js";
export type { Place } from "./bundle/sources.js";
export { Conditions } from "./conditions.js";
export type { ConditionLike, ConditionValue } from "./conditions.js";
export type { LatentPrior } from "./density/prior.js";
export type { Seed } from "./density/noise.js";
export { AaptvaeError, BundleError, InputError, ProviderError } from "./errors.js";
export type { Curve } from "./interpolation.js";
export type { Device, LoadOptions } from "./loaded.js";
export { Rows } from "./rows.js";
export type { Table } from "./rows.js";
export type { Conditioned, SampleOptions, Scores, VAE } from "./vae.js";
export type { ViewName } from "./views.js";
