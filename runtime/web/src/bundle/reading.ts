/** Read a bundle and check every byte against its manifest before use; `sources.ts` opens the files. */

import { Conditions } from "../conditions.js";
import { BundleError } from "../errors.js";
import { shown } from "../text.js";
import { sha256 } from "./bytes.js";
import type { Bytes } from "./bytes.js";
import { strictJson } from "./json.js";
import type { Json } from "./json.js";
import * as names from "./manifest.js";
import type { FileEntry, Manifest } from "./manifest.js";
import { MANIFEST, NEWEST, SCHEMAS, UNSEALED } from "./manifest.js";
import { SchemaError } from "./schema.js";
import { BUNDLE_LIMIT, opened } from "./sources.js";
import type { Place } from "./sources.js";

const MANIFEST_LIMIT = 2 ** 20;

/** A bundle in memory: `digest` is the SHA-256 of its manifest, `files` the checked bytes of the files it lists. */
export interface Bundle {
  readonly digest: string;
  readonly manifest: Manifest;
  readonly files: ReadonlyMap<string, Bytes>;
}

/** The bundle at `place`; `BundleError` if it is incomplete, changed, or has another digest than `pinned`. */
export async function readBundle(place: Place, pinned?: string): Promise<Bundle> {
  const read = await opened(place);
  const data = await read(MANIFEST, MANIFEST_LIMIT);
  checkLineEnds(data);
  const digest = await sha256(data);
  if (pinned !== undefined && pinned.toLowerCase() !== digest) {
    const label = typeof place === "string" || place instanceof URL ? String(place) : "the bundle";
    throw new BundleError(`${label} has digest ${digest}: expected ${pinned}: this is another bundle than the pinned one`);
  }
  const manifest = await readManifest(data);
  checkNames(manifest);
  // The model card is not part of what runs.
  const entries = manifest.files.filter((entry) => entry.name !== names.MODEL_CARD);
  const files = new Map<string, Bytes>();
  for (const entry of entries) files.set(entry.name, await checked(await read(entry.name, entry.bytes), entry));
  return { digest, manifest, files };
}

function checkLineEnds(data: Bytes): void {
  if (data.some((byte, i) => byte === 13 && data[i + 1] === 10)) {
    throw new BundleError(
      `${MANIFEST} has CRLF line ends, expected LF: git converts them with core.autocrlf: write ` +
        "`* -text` to .gitattributes beside the bundle and check it out again, or fetch the bundle again",
    );
  }
}

/** The manifest in `data`; `BundleError` unless it is strict JSON of a known schema with an unbroken seal. */
export async function readManifest(data: Bytes): Promise<Manifest> {
  let text: string;
  let fields: Json;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
    fields = strictJson(text);
  } catch (error) {
    throw new BundleError(`${MANIFEST} is not strict JSON (${(error as Error).message}): fetch the bundle again`);
  }
  const version = fields instanceof Map ? fields.get("schema_version") : undefined;
  if (typeof version !== "number" || !Number.isInteger(version) || version < 1) {
    throw new BundleError(`${MANIFEST} has schema_version ${shown(version)}: expected 1 to ${NEWEST}: this is not a bundle`);
  }
  const check = SCHEMAS.get(version);
  if (check === undefined) {
    throw new BundleError(`${MANIFEST} has schema ${version}: this aaptvae reads up to ${NEWEST}: npm install aaptvae@latest`);
  }
  const manifest = decoded(() => check(fields, "$"));
  const unsealed = new TextEncoder().encode(text.replaceAll(manifest.seal, UNSEALED));
  if (manifest.seal !== (await sha256(unsealed))) {
    throw new BundleError(`${MANIFEST} was changed after it was sealed: fetch the bundle again, or export it again`);
  }
  return manifest;
}

function decoded(check: () => Manifest): Manifest {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    throw new BundleError(`${MANIFEST} does not follow the schema (${error.message}): export the bundle again`);
  }
}

function checkViews(manifest: Manifest): void {
  const found = manifest.views.map((view) => view.name);
  const metric = manifest.views.find((view) => view.name === "metric");
  if (new Set(found).size < found.length || (metric !== undefined && metric.dim !== manifest.latent_dim)) {
    throw new BundleError(
      `${MANIFEST} has views ${found.join(", ")}: expected each once, and metric of latent_dim numbers: export it again`,
    );
  }
  const precisions = names.precisionsOf(manifest);
  const twins = [...new Set(manifest.views.flatMap((view) => view.twins.map((twin) => twin.precision)))];
  if (!twins.every((precision) => precisions.includes(precision))) {
    throw new BundleError(
      `a view in ${MANIFEST} has twins of precisions ${twins.sort().join(", ")}: this bundle holds ` +
        `${precisions.join(", ")}: export it again`,
    );
  }
}

function checkConditions({ conditions, columns }: Manifest): void {
  const found = conditions.map((condition) => condition.name);
  const { width } = new Conditions(conditions);
  const distinct = (values: readonly string[]): boolean => new Set(values).size === values.length;
  const clash = found.some((name) => columns?.includes(name)) || !distinct(found);
  if (clash || !conditions.every(({ categories }) => distinct(categories)) || width > names.MOST_CONDITIONS) {
    throw new BundleError(
      `${MANIFEST} has conditions ${found.join(", ")} of ${width} numbers: expected different names, none of a feature, ` +
        `different categories, and at most ${names.MOST_CONDITIONS} numbers: export the bundle again`,
    );
  }
}

function checkNames(manifest: Manifest): void {
  checkViews(manifest);
  const columns = manifest.columns === null ? manifest.input_dim : new Set(manifest.columns).size;
  if (columns !== manifest.input_dim || (manifest.columns?.length ?? columns) !== columns) {
    throw new BundleError(
      `${MANIFEST} names ${columns} columns: expected ${manifest.input_dim} different names: export the bundle again`,
    );
  }
  const listed = manifest.files.map((entry) => entry.name);
  const graphs = names.precisionsOf(manifest).flatMap((precision) => names.graphsOf(manifest, precision));
  const metric = manifest.views.some((view) => view.name === "metric") ? [names.VIEWS] : [];
  const marginals = manifest.marginals ? [names.MARGINALS] : [];
  const others = [names.PRIOR, names.LIKELIHOOD, names.GOLDEN, names.MODEL_CARD, ...metric, ...marginals];
  const expected = [...new Set([...graphs, ...others])].sort();
  if ([...listed].sort().join() !== expected.join()) {
    throw new BundleError(`${MANIFEST} lists ${listed.join(", ")}: expected ${expected.join(", ")}, each once`);
  }
  const size = manifest.files.reduce((sum, entry) => sum + entry.bytes, 0);
  if (size > BUNDLE_LIMIT) throw new BundleError(`${MANIFEST} lists ${size} bytes of files: expected ${BUNDLE_LIMIT} at most`);
  checkConditions(manifest);
  checkGraphs(manifest);
}

function checkGraphs(manifest: Manifest): void {
  const widths = [manifest.input_dim, manifest.latent_dim, new Conditions(manifest.conditions).width] as const;
  const found = JSON.stringify([manifest.encoder, manifest.decoder]);
  if (found !== JSON.stringify([names.encoderSpec(...widths), names.decoderSpec(...widths)])) {
    const given = widths[2] ? ` and ${widths[2]} numbers of conditions` : "";
    throw new BundleError(
      `${MANIFEST} describes other graphs than ${widths[0]} features and ${widths[1]} latents${given} need: export the ` +
        "bundle again",
    );
  }
}

async function checked(data: Bytes, entry: FileEntry): Promise<Bytes> {
  if (data.length !== entry.bytes || (await sha256(data)) !== entry.sha256) {
    throw new BundleError(
      `${entry.name} is not the file the manifest describes (${data.length} bytes, ${entry.bytes} ` +
        "expected; or another SHA-256): fetch the bundle again",
    );
  }
  return data;
}
