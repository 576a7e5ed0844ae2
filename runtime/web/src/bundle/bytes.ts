/** Digests and checksums of bytes. */

import { BundleError } from "../errors.js";

export type Bytes = Uint8Array<ArrayBuffer>;

/** SHA-256 in hexadecimal digits, by WebCrypto. */
export async function sha256(data: Bytes): Promise<string> {
  if (globalThis.crypto?.subtle === undefined) {
    throw new BundleError("this page has no WebCrypto to check digests: expected https:// or localhost: serve it from there");
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

const REMAINDERS = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** CRC-32 as zip files use it. */
export function crc32(data: Uint8Array): number {
  let value = 0xffffffff;
  for (const byte of data) value = (value >>> 8) ^ REMAINDERS[(value ^ byte) & 0xff];
  return ~value >>> 0;
}

export function ascii(data: Uint8Array): string {
  return Array.from(data, (byte) => String.fromCharCode(byte)).join("");
}
