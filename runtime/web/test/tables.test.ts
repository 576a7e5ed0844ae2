/** Files that people drop on the explorer's page. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { readCsv } from "../page/src/csv.js";
import type { Wanted } from "../page/src/csv.js";
import { readNpy } from "../page/src/npy.js";

const PLAIN: Wanted = { width: 3, columns: null, beside: [] };
const NAMED: Wanted = { width: 3, columns: ["a", "b, c", 'd "e"'], beside: ["kind"] };
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const read = (text: string, wanted = PLAIN): unknown[] => [...readCsv(bytes(text), wanted, "f.csv").rows.data];

test("csv files are read by the rules of Python", () => {
  const cases: [string, unknown[], Wanted?][] = [
    ["1,2,3\n4,5,6\n", [1, 2, 3, 4, 5, 6]],
    ["\ufeff1,2,3\r\n\r\n 4 , 5,6", [1, 2, 3, 4, 5, 6]],
    ["1,2,3", [1, 2, 3]],
    ["1;2;3\n4;5;6", [1, 2, 3, 4, 5, 6]],
    ["1,5;2;3\n4;5,25;6", [1.5, 2, 3, 4, 5.25, 6]],
    ["1\t2\t3\n4\t5\t6", [1, 2, 3, 4, 5, 6]],
    ["1|2|3\n4|5|6", [1, 2, 3, 4, 5, 6]],
    ["sep=;\n1,5;2;3\n4;5,25;6", [1.5, 2, 3, 4, 5.25, 6]], // as Excel writes it
    ['"SEP=\t"\r\n1,5\t2\t3\r\n', [1.5, 2, 3]],
    ["sep=\t\n1\t2\t3", [1, 2, 3]],
    ["# made by a program\n1,2,3", [1, 2, 3]],
    ["0,1,2\n1.5,2.5,3.5", [1.5, 2.5, 3.5]], // names of pandas
    ["x2,x0,x1\n1,2,3", [2, 3, 1]],
    ['7.5,"2",3\n-.5,+4.,1e-3', [7.5, 2, 3, -0.5, 4, Math.fround(1e-3)]],
    ["1,,NA\n4,null,6", [1, NaN, NaN, 4, NaN, 6]],
    ["1,inf,-Infinity\n4,5,6", [1, Infinity, -Infinity, 4, 5, 6]],
    ['kind,"d ""e""",a,"b, c"\nx,1,2,3', [2, 3, 1], NAMED],
    ['id,"d ""e""",a,"b, c"\nx,1,2,3', [2, 3, 1], NAMED],
  ];
  for (const [text, wanted, how] of cases) assert.deepEqual(read(text, how), wanted, text);
});

test("columns beside the features and marks are reported", () => {
  const { held, notes } = readCsv(bytes('kind;id;a;b, c;d "e"\nx;7;1,5;2;3\ny;8;1;2;3'), NAMED, "f.csv");
  assert.deepEqual(held, { kind: ["x", "y"] });
  assert.deepEqual(notes, ["It is read with semicolons between values and a decimal comma.", "Left out, as the model does not know them: id."]);
});

test("csv files that are none are refused in words", () => {
  const cases: [string | Uint8Array, string, Wanted?][] = [
    ["", "f.csv has no rows: expected one or more"],
    ["\n \n", "f.csv has no rows"],
    ["a,b,c\n", "f.csv has no rows"],
    ["1,2\n3,4", "f.csv has 2 columns: this bundle takes 3: pass the features of its model"],
    ["1,2,3\n4,5", "f.csv line 2 has 2 values: expected 3"],
    ["1,2,3\n4,5,6,7", "f.csv line 2 has 4 values: expected 3"],
    ["1,2,3\n4,0x10,6", "f.csv line 2 has '0x10' in column 1: expected a number, or nothing for a missing value"],
    ["x0,x1,x2\n4,1_0,6", "f.csv line 2 has '1_0' in column x1: expected a number"],
    ['1,2,3\n"4,5",5,6', "f.csv line 2 has '4,5' in column 0: expected a number"],
    ["1,000;2;3\n4;5;6", "f.csv may have decimal commas or commas between thousands: '1,000'"],
    ["1000,1010,1020\n0.5,0.1,0.7", "f.csv line 1 may be a header of numbers or a row: '1000,1010,1020'"],
    ["250,900,5000\n1,2,3\n" + "4,5,6\n7,2,9\n".repeat(3), "f.csv line 1 may be a header of numbers or a row: '250,900,5000'"],
    ["sep=;\n", "f.csv has no rows: expected one or more"],
    [",0,1,2\n0,1.5,2,3\n1,4,5,6", "f.csv has a first column without a name, as an index of pandas or R"],
    ["a,a,b\n1,2,3", "f.csv has columns of equal name (a): expected each once: rename or drop them"],
    ["a,b,z\n1,2,3", "f.csv lacks 2 columns: b, c, d \"e\" (and has others: b, z): expected a, b, c, d \"e\": pass the columns", NAMED],
    [Uint8Array.of(0xff, 0xfe, 0x31, 0), "f.csv is UTF-16: expected UTF-8: save it as UTF-8 text"],
    [Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10), "f.csv holds bytes that are not text in UTF-8: expected a .csv or a .npy"],
    ["1,2\0,3", "f.csv holds bytes that are not text in UTF-8"],
  ];
  for (const [text, words, how] of cases) {
    const data = typeof text === "string" ? bytes(text) : text;
    assert.throws(() => readCsv(data, how ?? PLAIN, "f.csv"), (error: Error) => error.name === "InputError" && error.message.startsWith(words) || assert.fail(error.message));
  }
  const many = bytes("1,2,3\n".repeat(200_001));
  assert.throws(() => readCsv(many, PLAIN, "f.csv"), /f.csv has over 200,000 rows: the explorer shows as many at most: take a part/);
});

/** A .npy of this header and these bytes. */
function npy(descr: string, shape: string, body: ArrayBufferView, fortran = "False", version = 1): Uint8Array<ArrayBuffer> {
  const text = `{'descr': '${descr}', 'fortran_order': ${fortran}, 'shape': ${shape}, }`.padEnd(117) + "\n";
  const length = version === 1 ? [text.length, 0] : [text.length, 0, 0, 0];
  const data = new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
  return Uint8Array.from([0x93, ...bytes("NUMPY"), version, 0, ...length, ...bytes(text), ...data]);
}

test("npy files of every kind of number are read", () => {
  const values = [1, 2, 3, 4, 5, 6];
  const swapped = new Uint8Array(Float32Array.from(values).buffer).map((_, at, all) => all[4 * (at >> 2) + 3 - (at & 3)]);
  const cases: [string, ArrayBufferView][] = [
    ["<f4", Float32Array.from(values)],
    ["<f8", Float64Array.from(values)],
    [">f4", swapped],
    ["|i1", Int8Array.from(values)],
    ["|u1", Uint8Array.from(values)],
    ["<i2", Int16Array.from(values)],
    ["<u2", Uint16Array.from(values)],
    ["<i4", Int32Array.from(values)],
    ["<u4", Uint32Array.from(values)],
    ["<i8", BigInt64Array.from(values, BigInt)],
    ["<u8", BigUint64Array.from(values, BigInt)],
  ];
  for (const [descr, body] of cases) assert.deepEqual([...readNpy(npy(descr, "(2, 3)", body), 3, "f.npy").data], values, descr);
  assert.deepEqual([...readNpy(npy("<f4", "(2, 3)", cases[0][1], "True"), 3, "f.npy").data], [1, 3, 5, 2, 4, 6]);
  assert.deepEqual([...readNpy(npy("<f4", "(2, 3)", cases[0][1], "False", 2), 3, "f.npy").data], values);
  assert.equal(readNpy(npy("<f4", "(0, 3)", new Uint8Array()), 3, "f.npy").length, 0);
});

test("npy files that are none are refused in words", () => {
  const body = Float32Array.of(1, 2, 3);
  const cases: [Uint8Array<ArrayBuffer>, string][] = [
    [npy("|O", "(1, 3)", body), "f.npy is no .npy of integers or of float32 or float64 numbers [N, 3]: save it as float32"],
    [npy("|b1", "(1, 3)", body), "f.npy is no .npy of integers"],
    [npy("<f2", "(1, 3)", body), "f.npy is no .npy of integers"],
    [npy("<f4", "(3,)", body), "f.npy has shape (3,): expected two dimensions [N, 3]: save rows of features"],
    [npy("<f4", "(1, 1, 3)", body), "f.npy has shape (1, 1, 3): expected two dimensions"],
    [npy("<f4", "()", body), "f.npy has shape (): expected two dimensions"],
    [npy("<f4", "(1, 4)", body), "f.npy has 4 columns: this bundle takes 3"],
    [npy("<f4", "(2, 3)", body), "f.npy has 12 bytes of numbers: its header declares 24: save it again"],
    [npy("<f4", "(99999999999, 3)", body), "f.npy has over 200,000 rows"],
    [new Uint8Array(), "f.npy is no .npy of integers"],
    [npy("<f4", "(1, 3)", body).slice(0, 30), "f.npy is no .npy of integers"],
  ];
  for (const [data, words] of cases) {
    assert.throws(() => readNpy(data, 3, "f.npy"), (error: Error) => error.name === "InputError" && error.message.startsWith(words) || assert.fail(error.message));
  }
});
