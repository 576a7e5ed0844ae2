/** Where the bytes of a bundle come from: the URL of a folder or of a .zip, files in memory, or the bytes of a .zip. */

import { BundleError, InputError } from "../errors.js";
import type { Bytes } from "./bytes.js";
import { MANIFEST } from "./manifest.js";
import { joined } from "./npz.js";
import { unzip } from "./zips.js";

export const BUNDLE_LIMIT = 2 ** 30;
const ZIP_RATIO = 4; // trained weights compress little: a higher ratio means a zip bomb
const ZIP_TEXT = 2 ** 24;

/** A folder's URL, the URL of a .zip, the bytes of a .zip, or files by name. */
export type Place = string | URL | Blob | Uint8Array | ArrayBuffer | ReadonlyMap<string, Uint8Array> | Iterable<File>;
/** The bytes of a file of at most `limit` bytes. */
export type Read = (name: string, limit: number) => Promise<Bytes>;

/** The reader of the files at `place`. */
export async function opened(place: Place): Promise<Read> {
  if (typeof place === "string" || place instanceof URL) return fromAddress(String(place));
  if (place instanceof Blob) return fromZip(new Uint8Array(await place.arrayBuffer()));
  if (place instanceof ArrayBuffer) return fromZip(new Uint8Array(place));
  if (place instanceof Uint8Array) return fromZip(new Uint8Array(place));
  if (place instanceof Map) return fromFiles(place as ReadonlyMap<string, Uint8Array>, "the given files");
  if (typeof place === "object" && place !== null && Symbol.iterator in place) return fromList([...(place as Iterable<File>)]);
  throw new InputError(
    `bundle is a ${typeof place}: expected the address of a folder or a .zip, the bytes of a .zip, or files by name`,
  );
}

async function fromAddress(address: string): Promise<Read> {
  const base = new URL(address, globalThis.location?.href);
  if (base.pathname.endsWith(".zip")) return fromZip(await fetched(base, address, BUNDLE_LIMIT), base.pathname.split("/").pop());
  if (base.pathname.endsWith(`/${MANIFEST}`)) {
    throw new BundleError(`${address} is a file of a bundle: give its folder, ${address.slice(0, -MANIFEST.length - 1)}`);
  }
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  return (name, limit) => fetched(new URL(name, base), address, limit);
}

/** The bytes at `url`, read only as far as `limit`. */
async function fetched(url: URL, address: string, limit: number): Promise<Bytes> {
  const response = await fetch(url).catch((error: unknown) => String(error));
  if (typeof response === "string" || !response.ok || response.body === null) {
    const why = typeof response === "string" ? response : `${response.status} ${response.statusText}: ${url.pathname}`;
    throw new BundleError(
      `cannot read ${address} (${why}): expected a bundle, a folder or a .zip with ${MANIFEST} and the files it lists`,
    );
  }
  const parts: Uint8Array[] = [];
  const reader = response.body.getReader();
  let size = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    size += part.value.length;
    if (size > limit) {
      await reader.cancel();
      const name = url.pathname.split("/").pop();
      throw new BundleError(`${name} has more than ${limit} bytes: expected ${limit} at most: fetch it again`);
    }
    parts.push(part.value);
  }
  return joined(parts);
}

async function fromList(files: readonly File[]): Promise<Read> {
  if (files.length === 1 && files[0].name.endsWith(".zip")) return opened(files[0] as Blob);
  const entries = files.map(async (file) => [file.name, new Uint8Array(await file.arrayBuffer())] as const);
  return fromFiles(new Map(await Promise.all(entries)), "the given files");
}

async function fromZip(data: Bytes, label = `the zip of ${data.length} bytes`): Promise<Read> {
  if (data.length > BUNDLE_LIMIT) {
    throw new BundleError(`the zip has more than ${BUNDLE_LIMIT} bytes: expected ${BUNDLE_LIMIT} at most`);
  }
  return fromFiles(await unzip(data, label, Math.min(BUNDLE_LIMIT, ZIP_RATIO * data.length + ZIP_TEXT)), "the zip");
}

function fromFiles(files: ReadonlyMap<string, Uint8Array>, label: string): Read {
  return async (name, limit) => {
    const data = files.get(name);
    if (data === undefined) {
      const has = label === "the zip" ? `the zip has no ${name}: it holds` : `${label} lack ${name}: they are`;
      throw new BundleError(`${has} ${[...files.keys()].join(", ")}`);
    }
    if (data.length > limit) throw new BundleError(`${name} has ${data.length} bytes: expected ${limit} at most`);
    return new Uint8Array(data);
  };
}
