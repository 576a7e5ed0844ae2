import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { deflateRawSync } from "node:zlib";

import { crc32 } from "../src/bundle/bytes.js";
import { load } from "../src/node.js";
import type { Place } from "../src/node.js";
import { digestOf, filesOf, replaced, sealedAgain } from "./bundles.js";

const tiny = filesOf("tests/runtime/tiny");

async function refused(place: Place, words: string | RegExp, sha256?: string): Promise<void> {
  await assert.rejects(load(place, sha256 === undefined ? {} : { sha256 }), (error: Error) => {
    assert.equal(error.name, "BundleError", error.stack);
    assert.match(error.message, typeof words === "string" ? new RegExp(words.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")) : words);
    return true;
  });
}

/** A .zip of the files, deflated. */
function zipped(files: ReadonlyMap<string, Uint8Array>, attributes = 0o100644): Uint8Array {
  const [bodies, entries]: [Buffer[], Buffer[]] = [[], []];
  let start = 0;
  for (const [name, data] of files) {
    const packed = deflateRawSync(data);
    const facts = Buffer.alloc(26);
    facts.writeUInt16LE(20, 0);
    facts.writeUInt16LE(8, 4);
    facts.writeUInt32LE(crc32(data), 10);
    facts.writeUInt32LE(packed.length, 14);
    facts.writeUInt32LE(data.length, 18);
    facts.writeUInt16LE(name.length, 22);
    const entry = Buffer.alloc(46);
    entry.write("PK\x01\x02", "latin1");
    facts.copy(entry, 6);
    entry.writeUInt32LE(attributes * 65536, 38);
    entry.writeUInt32LE(start, 42);
    entries.push(entry, Buffer.from(name));
    bodies.push(Buffer.from("PK\x03\x04", "latin1"), facts, Buffer.from(name), packed);
    start += 30 + name.length + packed.length;
  }
  const directory = Buffer.concat(entries);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(files.size, 8);
  end.writeUInt16LE(files.size, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(start, 16);
  return new Uint8Array(Buffer.concat([...bodies, directory, end]));
}

test("a bundle loads from a folder's address, from a zip and from files", async () => {
  const zip = zipped(tiny);
  const server = createServer((request, response) => {
    const name = request.url!.split("/").pop()!;
    const data = name === "tiny.zip" ? zip : tiny.get(name);
    response.writeHead(data ? 200 : 404).end(data);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    const digest = digestOf(tiny.get("manifest.json")!);
    for (const place of [`${address}/tiny`, new URL(`${address}/tiny/`), `${address}/tiny.zip`, zip, new Blob([zip as BlobPart]), tiny]) {
      assert.equal((await load(place)).digest, digest);
    }
    await refused(`${address}/tiny/manifest.json`, "is a file of a bundle: give its folder");
    tiny.delete("prior.npz");
    await refused(`${address}/tiny`, /cannot read .*404.*: expected a bundle, a folder or a .zip with manifest.json/);
  } finally {
    tiny.set("prior.npz", filesOf("tests/runtime/tiny").get("prior.npz")!);
    server.close();
  }
});

test("one changed byte in any file is refused", async () => {
  for (const [name, data] of tiny) {
    if (name === "README.md") continue; // the model card may be edited
    const changed = data.slice();
    changed[changed.length >> 1] ^= 1;
    await refused(replaced(tiny, name, changed), name === "manifest.json" ? "manifest.json" : `${name} is not the file the manifest describes`);
  }
});

test("another bundle than the pinned one is refused", async () => {
  const digest = digestOf(tiny.get("manifest.json")!);
  await load(tiny, { sha256: digest.toUpperCase() });
  await refused(tiny, `has digest ${digest}: expected ${"0".repeat(64)}: this is another bundle than the pinned one`, "0".repeat(64));
});

test("manifests that Python refuses are refused in its words", async () => {
  const cases: [(text: string) => string, string][] = [
    [(text) => text.replace('"schema_version": 2', '"schema_version": 3'), "has schema 3: this aaptvae reads up to 2"],
    [(text) => text.replace('"schema_version": 2', '"schema_version": true'), "has schema_version True: expected 1 to 2"],
    [(text) => text.replace('"name": "tiny"', '"name": "tiny", "name": "tiny"'), "is not strict JSON (a key occurs twice"],
    [(text) => text.replace('"input_dim": 5', '"input_dim": NaN'), "is not strict JSON"],
    [(text) => text.replace('"input_dim": 5,', ""), "does not follow the schema (Object missing required field `input_dim`)"],
    [(text) => text.replace('"input_dim": 5', '"more": 1, "input_dim": 5'), "Object contains unknown field `more`"],
    [(text) => text.replace('"input_dim": 5', '"input_dim": "5"'), "Expected `int`, got `str` - at `$.input_dim`"],
    [(text) => text.replace('"latent_dim": 2', '"latent_dim": 0'), "Expected `int` >= 1 - at `$.latent_dim`"],
    [(text) => text.replace('"latent_dim": 2', '"latent_dim": 3'), "describes other graphs than 5 features and 3 latents need"],
    [(text) => text.replaceAll("\n", "\r\n"), "has CRLF line ends, expected LF"],
    [(text) => text.replace('"views": []', '"views": [], "columns": ["a", "a", "b", "c", "d"]'), "names 4 columns: expected 5"],
    [
      (text) => text.replace('"views": []', '"views": [], "conditions": [{"name": "kind", "categories": ["a", "b"]}]'),
      "manifest.json describes other graphs than 5 features and 2 latents and 2 numbers of conditions need",
    ],
    [
      (text) => text.replace('"views": []', '"views": [], "conditions": [{"name": "kind"}, {"name": "kind"}]'),
      "has conditions kind, kind of 2 numbers: expected different names, none of a feature, different categories, and at most 4096",
    ],
    [(text) => text.replace('"prior.npz"', '"other.npz"'), "lists README.md, decoder.onnx"],
  ];
  for (const [change, words] of cases) await refused(sealedAgain(tiny, change), words);
  await load(sealedAgain(tiny));
});

test("a graph with an unknown field or of another bundle is refused", async () => {
  const graph = tiny.get("encoder.onnx")!;
  const longer = new Uint8Array([...graph, 0x32, 0x01, 0x61]); // a doc string, field 6
  await refused(sealedAgain(replaced(tiny, "encoder.onnx", longer)), "encoder.onnx is refused: its model has a field 6");
  const other = sealedAgain(replaced(tiny, "encoder.onnx", tiny.get("decoder.onnx")!));
  await refused(other, "encoder.onnx is refused: its aaptvae.graph is not the manifest's (files of two bundles?)");
  await refused(sealedAgain(replaced(tiny, "encoder.onnx", graph.slice(0, -5))), "encoder.onnx is refused:");
});

test("weights that the golden vectors do not confirm are refused", async () => {
  const graph = tiny.get("decoder.onnx")!.slice();
  const name = Buffer.from(graph).lastIndexOf("dec.b"); // then a tag, a length, and float32 numbers
  graph[name + 5 + 2 + 3] ^= 0x40; // the exponent of the first
  const changed = sealedAgain(replaced(tiny, "decoder.onnx", graph));
  await refused(changed, /reconstruction differs from the golden vectors by .*, 0.0001 allowed: the bundle or this machine's/);
  await load(changed, { golden: false });
});

test("arrays that Python would not write are refused", async () => {
  const prior = tiny.get("prior.npz")!;
  await refused(sealedAgain(replaced(tiny, "prior.npz", prior.slice(0, -1))), "prior.npz has a wrong central directory");
  const changed = prior.slice();
  changed[4] = 21;
  await refused(sealedAgain(replaced(tiny, "prior.npz", changed)), "prior.npz has a wrong header at byte 0");
  await refused(sealedAgain(replaced(tiny, "prior.npz", tiny.get("likelihood.npz")!)), "prior.npz holds mean.npy, scale.npy");
});

test("zips with other members or false sizes are refused", async () => {
  await refused(zipped(replaced(tiny, "../prior.npz", new Uint8Array(3))), "has a member '../prior.npz': expected plain");
  await refused(zipped(tiny, 0o120777), "expected plain, unencrypted files with plain names");
  await refused(zipped(new Map([["manifest.json", new Uint8Array(2 ** 25)]])), /unpacks to 33554432 bytes: expected \d+ at most/);
  await refused(new Uint8Array(40), "is not a readable zip");
  await refused(zipped(new Map([["prior.npz", tiny.get("prior.npz")!]])), "the zip has no manifest.json: it holds prior.npz");
});
