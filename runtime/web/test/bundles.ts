/** Bundles of the repository, what Python computes with them, and bundles that are changed and sealed again. */

import { readdirSync, readFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

let folder = dirname(fileURLToPath(import.meta.url));
while (!readdirSync(folder).includes("artifacts")) folder = dirname(folder);
export const ROOT = folder;

export interface Expected {
  readonly noise: { readonly seeds: readonly string[] } & Readonly<Record<"normals" | "chi_squares" | "long" | "uniforms", string>>;
  readonly bundles: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

export const expected = JSON.parse(readFileSync(join(ROOT, "runtime/web/test/expected.json"), "utf-8")) as Expected;

/** float32 numbers of base64. */
export function unpacked(text: string): Float32Array {
  return new Float32Array(new Uint8Array(Buffer.from(text, "base64")).buffer);
}

/** Files of a folder by name. */
export function filesOf(path: string): Map<string, Uint8Array<ArrayBuffer>> {
  const absolute = join(ROOT, path);
  return new Map(readdirSync(absolute).map((name) => [name, new Uint8Array(readFileSync(join(absolute, name)))]));
}

export function digestOf(data: Uint8Array | string): string {
  return createHash("sha256").update(data).digest("hex");
}

/** The files with a manifest that lists their sizes and digests as they are, after `change` of its JSON text, sealed. */
export function sealedAgain(files: ReadonlyMap<string, Uint8Array>, change = (text: string): string => text): Map<string, Uint8Array> {
  const manifest = JSON.parse(Buffer.from(files.get("manifest.json")!).toString()) as {
    files: { name: string; bytes: number; sha256: string }[];
    seal: string;
  };
  for (const entry of manifest.files) {
    const data = files.get(entry.name)!;
    [entry.bytes, entry.sha256] = [data.length, digestOf(data)];
  }
  manifest.seal = "0".repeat(64);
  const unsealed = change(JSON.stringify(manifest, null, 2) + "\n");
  const text = unsealed.replace(`"seal": "${"0".repeat(64)}"`, `"seal": "${digestOf(unsealed)}"`);
  return new Map([...files, ["manifest.json", new Uint8Array(Buffer.from(text))]]);
}

/** A copy of the files with one of them replaced. */
export function replaced(files: ReadonlyMap<string, Uint8Array>, name: string, data: Uint8Array): Map<string, Uint8Array> {
  return new Map([...files, [name, data]]);
}

export function largestGap(a: ArrayLike<number>, b: ArrayLike<number>, unit: (at: number) => number = () => 1): number {
  if (a.length !== b.length) return Infinity;
  return Array.from(a, (value, at) => Math.abs(value - b[at]) / unit(at)).reduce((most, gap) => Math.max(most, gap), 0);
}
