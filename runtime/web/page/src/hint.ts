/** What is shown beside the row under the pointer: its words, and its picture. */

import { paint, picture } from "./pictures.js";
import type { Look, Shape } from "./pictures.js";
import type { Point } from "./view.js";

const SIZE = 72; // of the picture, in pixels

export class Hint {
  private readonly element = document.createElement("div");
  private readonly words = document.createElement("p");
  private readonly map: HTMLElement;
  private readonly shape: Shape | null;
  private readonly range: readonly [number, number];
  private readonly canvas: HTMLCanvasElement | null;

  constructor(map: HTMLElement, { shape, range }: Look) {
    [this.map, this.shape, this.range] = [map, shape, range];
    this.element.className = "hint-row";
    this.element.hidden = true;
    this.element.append(this.words);
    const made = shape && picture("", SIZE, shape);
    if (made) this.element.append(made.figure);
    this.canvas = made && made.canvas;
    map.append(this.element);
  }

  /** Show a row at a pixel of the map, on the side where there is room. */
  show([x, y]: Point, words: string, row: ArrayLike<number>): void {
    this.words.textContent = words;
    if (this.canvas) paint(this.canvas, row, this.shape!, this.range);
    const [left, top] = [x > this.map.clientWidth / 2, y > this.map.clientHeight / 2];
    this.element.style.transform = `translate(${x + (left ? -14 : 14)}px, ${y}px) translate(${left ? "-100%" : "0"}, ${top ? "-100%" : "0"})`;
    this.element.hidden = false;
  }

  hide(): void {
    this.element.hidden = true;
  }
}
