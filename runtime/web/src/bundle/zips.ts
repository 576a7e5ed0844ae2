/** Members of untrusted zip archives, with their names and sizes checked. */

import { BundleError } from "../errors.js";
import { ascii, crc32 } from "./bytes.js";
import type { Bytes } from "./bytes.js";
import { FILE_NAME } from "./manifest.js";
import { joined } from "./npz.js";

const MEMBERS = 64;
const NAME = new RegExp(`^${FILE_NAME}$`);
const REGULAR = 0o100000;

interface Member {
  readonly name: string;
  readonly flags: number;
  readonly method: number;
  readonly crc: number;
  readonly packed: number;
  readonly size: number;
  readonly kind: number;
  readonly start: number;
}

/** Members of a zip by name; `BundleError` unless they are few regular files of `limit` bytes in all. */
export async function unzip(data: Bytes, name: string, limit: number): Promise<Map<string, Bytes>> {
  const members = entries(data, name);
  check(members, name, limit);
  const files = new Map<string, Bytes>();
  for (const member of members) files.set(member.name, await content(data, member, name));
  return files;
}

function entries(data: Bytes, name: string): Member[] {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let end = data.length - 22;
  while (end >= Math.max(0, data.length - 65557) && view.getUint32(end, true) !== 0x06054b50) end -= 1;
  if (end < 0 || view.getUint32(end, true) !== 0x06054b50) throw unreadable(name, "File is not a zip file");
  const count = view.getUint16(end + 10, true);
  if (count > 4 * MEMBERS) throw new BundleError(`${name} has ${count} entries: expected ${MEMBERS} members at most`);
  const found: Member[] = [];
  let at = view.getUint32(end + 16, true);
  for (let i = 0; i < count; i++) {
    if (at + 46 > end || view.getUint32(at, true) !== 0x02014b50) throw unreadable(name, "Bad magic number for central directory");
    const length = view.getUint16(at + 28, true);
    found.push({
      name: ascii(data.subarray(at + 46, at + 46 + length)),
      flags: view.getUint16(at + 8, true),
      method: view.getUint16(at + 10, true),
      crc: view.getUint32(at + 16, true),
      packed: view.getUint32(at + 20, true),
      size: view.getUint32(at + 24, true),
      kind: (view.getUint32(at + 38, true) >>> 16) & 0o170000,
      start: view.getUint32(at + 42, true),
    });
    at += 46 + length + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  return found;
}

function check(members: readonly Member[], name: string, limit: number): void {
  if (members.length > MEMBERS || new Set(members.map((member) => member.name)).size < members.length) {
    throw new BundleError(
      `${name} has ${members.length} members, or two of one name: expected ${MEMBERS} at most, with distinct names`,
    );
  }
  for (const member of members) {
    if (!NAME.test(member.name) || ![0, REGULAR].includes(member.kind) || member.flags & 1) {
      throw new BundleError(
        `${name} has a member '${member.name.slice(0, 100)}': expected plain, unencrypted files with plain names: ` +
          "zip the files of the bundle and nothing else: zip -jX bundle.zip bundle/*",
      );
    }
  }
  const total = members.reduce((sum, member) => sum + member.size, 0);
  if (total > limit) throw new BundleError(`${name} unpacks to ${total} bytes: expected ${limit} at most`);
}

async function content(data: Bytes, member: Member, name: string): Promise<Bytes> {
  if (member.method !== 0 && member.method !== 8) {
    throw new BundleError(
      `${member.name} in ${name} is packed by method ${member.method}: expected stored or deflated: zip it again`,
    );
  }
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (member.start + 30 > data.length || view.getUint32(member.start, true) !== 0x04034b50) {
    throw unreadable(name, "Bad magic number for file header");
  }
  const body = member.start + 30 + view.getUint16(member.start + 26, true) + view.getUint16(member.start + 28, true);
  const packed = data.subarray(body, body + member.packed);
  const unpacked = member.method === 0 ? packed : await inflate(packed, member.size, name);
  if (unpacked.length !== member.size) {
    throw new BundleError(`${member.name} in ${name} is not ${member.size} bytes as declared: fetch it again`);
  }
  if (crc32(unpacked) !== member.crc) throw unreadable(name, `Bad CRC-32 for file '${member.name}'`);
  return unpacked;
}

/** The inflated bytes, at most one more than `size`, because the declared size may be wrong. */
async function inflate(packed: Bytes, size: number, name: string): Promise<Bytes> {
  const reader = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  const parts: Uint8Array[] = [];
  let length = 0;
  try {
    for (let part = await reader.read(); !part.done && length <= size; part = await reader.read()) {
      parts.push(part.value);
      length += part.value.length;
    }
  } catch (error) {
    throw unreadable(name, String(error));
  }
  if (length > size) await reader.cancel();
  return joined(parts);
}

function unreadable(name: string, why: string): BundleError {
  return new BundleError(`${name} is not a readable zip (${why}): fetch it again`);
}
