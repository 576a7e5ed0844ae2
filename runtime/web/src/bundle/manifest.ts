/** The manifest of a bundle: its fields, and the names of the bundle's files. Field names are those of the JSON. */

import { bool, float, int, list, named, object, oneOf, optional, orNull, pair, text } from "./schema.js";
import type { Check } from "./schema.js";

export const MANIFEST = "manifest.json";
export const MODEL_CARD = "README.md";
export const PRIOR = "prior.npz";
export const LIKELIHOOD = "likelihood.npz";
export const GOLDEN = "golden.npz";
export const VIEWS = "views.npz";
export const MARGINALS = "marginals.npz";
/** Weight of the decoder [D, K]: its columns are the axes of the noise in units of each column's deviation. */
export const AXES = "axes.weight";
export const UNSEALED = "0".repeat(64);
export const OPSET = 20;
export const IR_VERSION = 10;
/** The second input of encoder and decoder, where a model has conditions. */
export const CONDITION = "c";
export const MOST_CONDITIONS = 4096; // numbers of c
export const FILE_NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,99}";

export type Precision = "fp32" | "int8" | "fp16";

const width = int(1, 1 << 20);
const count = int(0, 2 ** 53);
const digest = text(Infinity, /^[0-9a-f]{64}$/);
const words = text(200);
const twinPrecision = oneOf("int8", "fp16");

const tensor = object({
  name: words,
  datatype: oneOf("FP32"),
  shape: pair(int(-1, -1), width),
});
const graph = object({ inputs: list(tensor), outputs: list(tensor) });
const twin = object({
  precision: twinPrecision,
  bytes_ratio: float(),
  r2_loss: float(),
  elbo_loss: float(),
  mu_cosine: float(),
});
const view = object({
  name: oneOf("metric", "similarity"),
  dim: width,
  geometry: oneOf("cosine", "euclidean"),
  method: words,
  recall: float(),
  start_recall: float(),
  twins: optional(list(object({ precision: twinPrecision, bytes_ratio: float(), recall_loss: float() })), []),
});

const schema1 = {
  schema_version: int(-Infinity, Infinity),
  name: text(Infinity, /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/),
  input_dim: width,
  latent_dim: width,
  hidden_dims: list(width),
  linear_skip: bool,
  likelihood: object({
    kind: oneOf("gaussian", "student", "bernoulli"),
    noise: oneOf("fixed", "learned", "optimal", "per_feature", "spectral", "none"),
    sigma: float(0),
    freedom: optional(float(0), 0),
  }),
  scaler: object({ kind: oneOf("identity", "standard"), constant_columns: count }),
  prior: object({ kind: oneOf("standard", "gaussian", "mixture"), components: count }),
  opset: int(OPSET, OPSET),
  ir_version: int(IR_VERSION, IR_VERSION),
  pair_id: digest,
  encoder: graph,
  decoder: graph,
  files: list(object({ name: text(Infinity, new RegExp(`^${FILE_NAME}$`)), bytes: count, sha256: digest })),
  parity: object({
    tolerance: float(0, true),
    comparisons: count,
    worst: list(object({ graph: words, reference: words, batch: count, inputs: words, difference: float(0) })),
  }),
  twins: list(twin),
  training: object({
    rows: count,
    seed: count,
    data_sha256: digest,
    epochs: count,
    metrics: named(float()),
    baseline: named(float()),
    refit: optional(bool, false),
  }),
  producer: named(words),
  compaction: optional(
    orNull(object({ trained_latent_dim: width, variance_share: float(0, true), r2_loss: float(), elbo_loss: float() })),
    null,
  ),
  seal: optional(digest, UNSEALED),
};
const columnName = text(1000);
const condition = object({
  name: columnName,
  categories: optional(list(columnName), []),
  mean: optional(float(), 0),
  scale: optional(float(0, true), 1),
});
const schema2 = {
  ...schema1,
  views: optional(list(view), []),
  columns: optional(orNull(list(columnName)), null),
  missing: optional(oneOf("error", "mean"), "error"),
  marginals: optional(bool, false),
  conditions: optional(list(condition), []),
};
const newest = object(schema2);
const oldest = object(schema1);

export type Manifest = ReturnType<typeof newest>;
export type GraphSpec = Manifest["encoder"];
export type TensorSpec = GraphSpec["inputs"][number];
export type View = Manifest["views"][number];
export type Condition = Manifest["conditions"][number];
export type FileEntry = Manifest["files"][number];

/** The check of a manifest by `schema_version`: fields that an older schema lacks have their defaults. */
export const SCHEMAS: ReadonlyMap<number, Check<Manifest>> = new Map([
  [1, (value, path) => ({ ...oldest(value, path), views: [], columns: null, missing: "error", marginals: false, conditions: [] })],
  [2, newest],
]);
export const NEWEST = Math.max(...SCHEMAS.keys());

/** Name of a graph's file: `encoder.onnx`, `decoder.int8.onnx`. */
export function graphFile(name: string, precision: Precision = "fp32"): string {
  return precision === "fp32" ? `${name}.onnx` : `${name}.${precision}.onnx`;
}

/** Precisions that a bundle holds, fp32 first. */
export function precisionsOf(manifest: Manifest): readonly Precision[] {
  return ["fp32", ...manifest.twins.map((entry) => entry.precision)];
}

/** The precision of the graph of a view that serves `wanted`. */
export function viewPrecision(entry: View, wanted: Precision): Precision {
  return entry.twins.some((twinned) => twinned.precision === wanted) ? wanted : "fp32";
}

/** Files of every graph that serves this precision. */
export function graphsOf(manifest: Manifest, precision: Precision): string[] {
  const views = manifest.views.map((entry) => graphFile(entry.name, viewPrecision(entry, precision)));
  return [graphFile("encoder", precision), graphFile("decoder", precision), ...views];
}

/** `x [batch, inputs], c [batch, given] -> mu, logvar [batch, latents]`; no c without conditions. */
export function encoderSpec(inputs: number, latents: number, given: number): GraphSpec {
  return { inputs: [tensorOf("x", inputs), ...conditionOf(given)], outputs: [tensorOf("mu", latents), tensorOf("logvar", latents)] };
}

/** `z [batch, latents], c [batch, given] -> reconstruction [batch, inputs]`; no c without conditions. */
export function decoderSpec(inputs: number, latents: number, given: number): GraphSpec {
  return { inputs: [tensorOf("z", latents), ...conditionOf(given)], outputs: [tensorOf("reconstruction", inputs)] };
}

function conditionOf(given: number): readonly TensorSpec[] {
  return given ? [tensorOf(CONDITION, given)] : [];
}

/** `x [batch, inputs] -> metric or similarity [batch, dim]`. */
export function viewSpec(inputs: number, entry: View): GraphSpec {
  return { inputs: [tensorOf("x", inputs)], outputs: [tensorOf(entry.name, entry.dim)] };
}

function tensorOf(name: string, size: number): TensorSpec {
  return { name, datatype: "FP32", shape: [-1, size] };
}

/** `metadata_props` of a graph, by which graphs of two bundles are never combined. */
export function metadataOf(manifest: Manifest, name: string, precision: Precision): Map<string, string> {
  const facts = {
    pair_id: manifest.pair_id,
    graph: name,
    precision,
    input_dim: manifest.input_dim,
    latent_dim: manifest.latent_dim,
    schema_version: manifest.schema_version,
  };
  return new Map(Object.entries(facts).map(([key, value]) => [`aaptvae.${key}`, String(value)]));
}
