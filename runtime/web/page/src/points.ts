/** Points painted into pixels: 100,000 of them within a frame, with or without a GPU. */

import type { View } from "./view.js";

/** A point as pixels: offsets from its centre, and how much of each pixel it covers. */
interface Stamp {
  readonly across: number[];
  readonly down: number[];
  readonly cover: number[];
}

const MOST = 32; // pixels that a point reaches beyond its centre, at most

export class Points {
  readonly canvas = document.createElement("canvas");
  private across: Float64Array = new Float64Array();
  private up: Float64Array = new Float64Array();
  private colours = new Uint32Array();
  private size = 1;
  private image: ImageData | null = null;

  constructor() {
    this.canvas.className = "points";
    this.canvas.setAttribute("aria-hidden", "true");
  }

  /** Points at these places, of `size` CSS pixels, each with a colour as `colourOf` gives it; 0 leaves a point out. */
  set(across: Float64Array, up: Float64Array, colours: Uint32Array<ArrayBuffer>, size: number): void {
    [this.across, this.up, this.colours, this.size] = [across, up, colours, size];
  }

  /** Paint the points of a view into a canvas of this size in CSS pixels; in the order of rows, so that no colour is on top. */
  paint(view: View, width: number, height: number): void {
    const scale = devicePixelRatio;
    const [wide, high] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
    const stamp = stampOf(Math.min(MOST, Math.max(1, Math.round(this.size * scale))));
    if (this.canvas.width !== wide || this.canvas.height !== high) {
      [this.canvas.width, this.canvas.height] = [wide, high];
      Object.assign(this.canvas.style, { width: `${width}px`, height: `${height}px` });
      this.image = null;
    }
    this.image ??= new ImageData(wide + 2 * MOST, high + 2 * MOST); // wider by a margin: a stamp needs no check of bounds
    this.fill(this.image, stamp, view, [wide, high]);
    this.canvas.getContext("2d")!.putImageData(this.image, -MOST, -MOST);
  }

  private fill(image: ImageData, stamp: Stamp, view: View, [wide, high]: readonly [number, number]): void {
    const pixels = new Uint32Array(image.data.buffer);
    pixels.fill(0);
    const { across, up, colours } = this;
    const [left, top] = [view.across[0], view.up[1]];
    const [x, y] = [wide / (view.across[1] - left), high / (top - view.up[0])];
    const offsets = stamp.across.map((column, k) => (stamp.down[k] + MOST) * image.width + column + MOST);
    for (let i = 0; i < across.length; i++) {
      const column = Math.floor((across[i] - left) * x);
      const line = Math.floor((top - up[i]) * y);
      if (!(column >= 0 && column < wide && line >= 0 && line < high) || colours[i] === 0) continue;
      const centre = line * image.width + column;
      for (let k = 0; k < offsets.length; k++) {
        const at = centre + offsets[k];
        pixels[at] = stamp.cover[k] === 1 ? colours[i] : mixed(pixels[at], colours[i], stamp.cover[k]);
      }
    }
  }
}

/** #rrggbb as the 32 bits of an opaque pixel. */
export function colourOf(text: string): number {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/** A disc of this diameter with soft edges; a square up to 3 pixels. */
function stampOf(diameter: number): Stamp {
  const stamp: Stamp = { across: [], down: [], cover: [] };
  for (let at = 0; at < diameter * diameter; at++) {
    const [column, line] = [at % diameter, Math.floor(at / diameter)];
    const distance = Math.hypot(column + 0.5 - diameter / 2, line + 0.5 - diameter / 2);
    const cover = diameter <= 3 ? 1 : Math.min(1, diameter / 2 + 0.5 - distance);
    if (cover <= 0) continue;
    stamp.across.push(column - (diameter >> 1));
    stamp.down.push(line - (diameter >> 1));
    stamp.cover.push(cover);
  }
  return stamp;
}

/** A pixel with a share of another colour over it. */
function mixed(under: number, over: number, share: number): number {
  const alpha = under >>> 24;
  if (alpha === 0) return ((over & 0xffffff) | (Math.round(255 * share) << 24)) >>> 0;
  const channel = (shift: number): number => {
    const [a, b] = [(under >>> shift) & 255, (over >>> shift) & 255];
    return Math.round(a + (b - a) * share) << shift;
  };
  return (channel(0) | channel(8) | channel(16) | (Math.round(alpha + (255 - alpha) * share) << 24)) >>> 0;
}
