/** What `aaptvae export --web` and `aaptvae explore` put beside the page, and the VAE that it loads. */

import { AaptvaeError, Rows } from "../../src/exports.js";
import type { Precision, VAE } from "../../src/exports.js";
import { load, setWasm } from "../../src/wasm.js";
import { readNpy } from "./npy.js";

/** `explorer.json`. */
export interface Site {
  readonly bundle: string;
  readonly sha256: string;
  readonly precision: Precision;
  readonly wasm: { readonly url: string; readonly integrity: string; readonly version: string };
  /** Height and width of a row as a grey picture, or null. */
  readonly image_shape: readonly [number, number] | null;
  readonly curve: boolean;
  /** A .npy of rows [N, D], or null for the rows that the bundle carries. */
  readonly rows: string | null;
  /** A .npy of the conditions of these rows, c [N, C], or null for a model without. */
  readonly conditions: string | null;
  /** Values of one column by which points are coloured, and its name. */
  readonly labels: { readonly name: string; readonly values: readonly (string | number)[] } | null;
  /** Columns that name the rows, or null for rows without ids. */
  readonly ids: readonly { readonly name: string; readonly values: readonly string[] }[] | null;
}

export interface Loaded {
  readonly site: Site;
  readonly vae: VAE;
  readonly rows: Rows;
  /** c of the rows, undefined for a model without conditions. */
  readonly c: Rows | undefined;
}

async function fetched(address: string, init?: RequestInit): Promise<Response> {
  const response = await fetch(address, init).catch((error: unknown) => {
    throw new AaptvaeError(`cannot read ${address} (${String(error)}): expected a folder that aaptvae made: make it again`);
  });
  if (!response.ok) throw new AaptvaeError(`cannot read ${address} (${response.status}): expected a folder that aaptvae made`);
  return response;
}

/** The site's VAE, golden vectors replayed, and its rows. */
export async function loadSite(): Promise<Loaded> {
  const site = (await (await fetched("explorer.json")).json()) as Site;
  const { url, integrity } = site.wasm;
  setWasm(await (await fetched(url, { integrity, credentials: "omit" })).arrayBuffer());
  const vae = await load(new URL(site.bundle, location.href), { sha256: site.sha256, precision: site.precision });
  if (site.rows === null) return { site, vae, rows: vae.goldenRows, c: vae.goldenConditions };
  const read = async (name: string, width: number): Promise<Rows> =>
    readNpy(new Uint8Array(await (await fetched(name)).arrayBuffer()), width, name);
  const rows = await read(site.rows, vae.inputDim);
  return { site, vae, rows, c: site.conditions === null ? undefined : await read(site.conditions, vae.conditions.width) };
}
