/**
 * Seeded noise equal to the Python runtime's: row i depends on (seed, stream, i, width) alone.
 *
 * The integers are those of Philox4x64-10 (Salmon et al. 2011) with numpy's counters; normals use the ziggurat method of
 * Marsaglia and Tsang (2000) in float32, with 256 layers, as numpy does.
 */

import { InputError } from "../errors.js";
import { BLOCK, Rows } from "../rows.js";
import { shown } from "../text.js";

/** Use of the noise; streams of one seed are independent. */
export const Stream = { LATENT: 0, OBSERVATION: 1, COMPONENT: 2, IMPORTANCE: 3, TAIL: 4, BREADTH: 5 } as const;

export type Seed = number | bigint | null | undefined;

/** `seed`, or a fresh one for null; `InputError` for anything but an integer in [0, 2**64). */
export function resolveSeed(seed: Seed): bigint {
  if (seed === null || seed === undefined) return crypto.getRandomValues(new BigUint64Array(1))[0];
  const whole = typeof seed === "bigint" || (typeof seed === "number" && Number.isSafeInteger(seed));
  if (!whole || BigInt(seed) < 0n || BigInt(seed) >= 1n << 64n) {
    throw new InputError(`seed is ${shown(seed)}: expected an integer from 0 to 2**64 - 1, or null for fresh noise`);
  }
  return BigInt(seed);
}

/** Standard normal rows start..stop of the sequence (seed, stream). */
export function normalRows(seed: bigint, start: number, stop: number, width: number, stream: number): Rows {
  const rows = Rows.empty(Math.max(0, stop - start), width);
  eachBlock(start, stop, (block, skip, from, count) => {
    const generator = new Philox(seed, block, stream);
    for (let i = 0; i < skip * width; i++) generator.normal();
    for (let i = 0; i < count * width; i++) rows.data[from * width + i] = generator.normal();
  });
  return rows;
}

/** Uniform numbers in [0, 1), rows start..stop, one after another. */
export function uniformRows(seed: bigint, start: number, stop: number, width: number, stream: number): Float64Array {
  const values = new Float64Array(Math.max(0, stop - start) * width);
  eachBlock(start, stop, (block, skip, from, count) => {
    const generator = new Philox(seed, block, stream);
    for (let i = 0; i < skip * width; i++) generator.uniform();
    for (let i = 0; i < count * width; i++) values[from * width + i] = generator.uniform();
  });
  return values;
}

/** Chi-square numbers with `freedom` degrees of freedom, rows start..stop of width 1. */
export function chiSquareColumn(seed: bigint, start: number, stop: number, freedom: number, stream: number): Float64Array {
  const values = new Float64Array(Math.max(0, stop - start));
  eachBlock(start, stop, (block, skip, from, count) => {
    const generator = new Philox(seed, block, stream);
    for (let i = 0; i < skip; i++) generator.chiSquare(freedom);
    for (let i = 0; i < count; i++) values[from + i] = generator.chiSquare(freedom);
  });
  return values;
}

/** Each block that overlaps start..stop: its number, rows of it to skip, the first row it fills, and how many. */
function eachBlock(start: number, stop: number, fill: (block: number, skip: number, from: number, count: number) => void): void {
  for (let row = start; row < stop; ) {
    const block = Math.floor(row / BLOCK);
    const end = Math.min(stop, (block + 1) * BLOCK);
    fill(block, row - block * BLOCK, row - start, end - row);
    row = end;
  }
}

// The multipliers and key increments of Philox4x64, as high and low halves.
const M0 = [0xd2e7470e, 0xe14c6c93] as const;
const M1 = [0xca5a8263, 0x95121157] as const;
const W0 = [0x9e3779b9, 0x7f4a7c15] as const;
const W1 = [0xbb67ae85, 0x84caa73b] as const;

/** numpy's `Philox(key=seed, counter=[0, 0, block, stream])`; 64-bit words are held as pairs of 32-bit halves. */
export class Philox {
  private readonly key: readonly [number, number];
  private readonly block: number;
  private readonly stream: number;
  private counter = 0;
  private readonly words = new Uint32Array(8); // four words, low half first
  private at = 8;
  private half: number | null = null;
  private readonly full = new Uint32Array(4); // a product of 128 bits, low half first

  constructor(seed: bigint, block: number, stream: number) {
    this.key = [Number(seed >> 32n), Number(seed & 0xffffffffn)];
    this.block = block;
    this.stream = stream;
  }

  /** A uniform number in [0, 1) of 53 bits. */
  uniform(): number {
    const at = this.advance();
    return (this.words[at + 1] * 2097152 + (this.words[at] >>> 11)) / 9007199254740992;
  }

  /** 32 random bits: the low half of a word, then its high half. */
  uint32(): number {
    if (this.half !== null) {
      const value = this.half;
      this.half = null;
      return value;
    }
    const at = this.advance();
    this.half = this.words[at + 1];
    return this.words[at];
  }

  /** A standard normal number in float32. */
  normal(): number {
    for (;;) {
      const bits = this.uint32();
      const layer = bits & 0xff;
      const size = (bits >>> 9) & 0x7fffff;
      const magnitude = Math.fround(size * ZIGGURAT.step[layer]);
      const x = (bits >>> 8) & 1 ? -magnitude : magnitude;
      if (size < ZIGGURAT.inside[layer]) return x;
      if (layer === 0) return this.tail((size >>> 8) & 1);
      const edge = ZIGGURAT.height[layer];
      const drop = Math.fround(ZIGGURAT.height[layer - 1] - edge);
      if (Math.fround(Math.fround(drop * this.float()) + edge) < Math.exp(-0.5 * x * x)) return x;
    }
  }

  /** A number beyond the lowest layer (Marsaglia 1964). */
  private tail(negative: number): number {
    for (;;) {
      const x = Math.fround(-Math.fround(1 / EDGE) * Math.fround(Math.log1p(-this.float())));
      const y = -Math.fround(Math.log1p(-this.float()));
      if (Math.fround(y + y) > Math.fround(x * x)) {
        const value = Math.fround(Math.fround(EDGE) + x);
        return negative ? -value : value;
      }
    }
  }

  /** 2 Gamma(freedom / 2), for more than 2 degrees of freedom (Marsaglia and Tsang 2000, as numpy does). */
  chiSquare(freedom: number): number {
    const b = freedom / 2 - 1 / 3;
    const c = 1 / Math.sqrt(9 * b);
    for (;;) {
      const x = this.normal64();
      const root = 1 + c * x;
      if (root <= 0) continue;
      const v = root * root * root;
      const u = this.uniform();
      if (u < 1 - 0.0331 * x * x * x * x || Math.log(u) < 0.5 * x * x + b * (1 - v + Math.log(v))) return 2 * b * v;
    }
  }

  /** A standard normal number in float64: the same ziggurat on 52 bits. */
  private normal64(): number {
    for (;;) {
      const at = this.advance();
      const [low, high] = [this.words[at], this.words[at + 1]];
      const layer = low & 0xff;
      const size = (high & 0x1fffffff) * 2 ** 23 + (low >>> 9);
      const share = size / 2 ** 52;
      const x = ((low >>> 8) & 1 ? -share : share) * EDGES[layer];
      if (share < inner(layer) / EDGES[layer]) return x;
      if (layer === 0) return this.tail64(Math.floor(size / 256) & 1);
      const edge = density(EDGES[layer]);
      if ((density(inner(layer)) - edge) * this.uniform() + edge < density(x)) return x;
    }
  }

  private tail64(negative: number): number {
    for (;;) {
      const x = -Math.log1p(-this.uniform()) / EDGE;
      const y = -Math.log1p(-this.uniform());
      if (y + y > x * x) return negative ? -(EDGE + x) : EDGE + x;
    }
  }

  private float(): number {
    return (this.uint32() >>> 8) / 16777216;
  }

  /** The place of the next word in `words`. */
  private advance(): number {
    if (this.at >= 8) {
      this.counter += 1;
      this.refill();
      this.at = 0;
    }
    const at = this.at;
    this.at += 2;
    return at;
  }

  private refill(): void {
    const w = this.words;
    w.set([this.counter >>> 0, Math.floor(this.counter / 4294967296), 0, 0]);
    w.set([this.block >>> 0, Math.floor(this.block / 4294967296), this.stream, 0], 4);
    let [high, low] = this.key;
    let [otherHigh, otherLow] = [0, 0];
    for (let round = 0; round < 10; round++) {
      multiply(M0, w[1], w[0], this.full);
      const [a0, a1, a2, a3] = this.full;
      multiply(M1, w[5], w[4], this.full);
      const [b0, b1, b2, b3] = this.full;
      const [low1, high1, low3, high3] = [w[2], w[3], w[6], w[7]];
      w[0] = b2 ^ low1 ^ low;
      w[1] = b3 ^ high1 ^ high;
      w[2] = b0;
      w[3] = b1;
      w[4] = a2 ^ low3 ^ otherLow;
      w[5] = a3 ^ high3 ^ otherHigh;
      w[6] = a0;
      w[7] = a1;
      [high, low] = plus(high, low, W0);
      [otherHigh, otherLow] = plus(otherHigh, otherLow, W1);
    }
  }
}

function plus(high: number, low: number, by: readonly [number, number]): [number, number] {
  const sum = low + by[1];
  return [(high + by[0] + (sum > 0xffffffff ? 1 : 0)) >>> 0, sum >>> 0];
}

/** The product of two words as 128 bits in `full`, low half first. */
function multiply(by: readonly [number, number], high: number, low: number, full: Uint32Array): void {
  // Digits of 16 bits: each sum stays below 2**53.
  const a = [by[1] & 0xffff, by[1] >>> 16, by[0] & 0xffff, by[0] >>> 16];
  const b = [low & 0xffff, low >>> 16, high & 0xffff, high >>> 16];
  let carry = 0;
  for (let place = 0; place < 8; place++) {
    let sum = carry;
    for (let i = Math.max(0, place - 3); i <= Math.min(3, place); i++) sum += a[i] * b[place - i];
    const digit = sum % 65536;
    carry = (sum - digit) / 65536;
    full[place >> 1] = place & 1 ? full[place >> 1] | (digit << 16) : digit;
  }
}

const EDGE = 3.654152885361009; // where the tail begins
const AREA = 0.004928673233974658; // of each layer

const EDGES = edges(); // the widths of the layers, the lowest first

function edges(): Float64Array {
  const found = new Float64Array(256);
  found[0] = AREA / density(EDGE);
  found[255] = EDGE;
  for (let i = 254; i >= 1; i--) found[i] = Math.sqrt(-2 * Math.log(AREA / found[i + 1] + density(found[i + 1])));
  return found;
}

function density(x: number): number {
  return Math.exp(-0.5 * x * x);
}

/** Up to where a layer lies below the density. */
function inner(layer: number): number {
  return layer === 0 ? EDGE : layer === 1 ? 0 : EDGES[layer - 1];
}

/** The layers: `inside` bounds the integers that need no test, `step` is the width of one integer, `height` the density. */
export const ZIGGURAT = layers();

function layers(): { inside: Uint32Array; step: Float32Array; height: Float32Array } {
  const integers = 2 ** 23;
  const inside = Uint32Array.from(EDGES, (edge, i) => Math.round((inner(i) / edge) * integers));
  const step = Float32Array.from(EDGES, (edge) => edge / integers);
  return { inside, step, height: Float32Array.from(EDGES, (edge, i) => (i === 0 ? 1 : density(edge))) };
}
