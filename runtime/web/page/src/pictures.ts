/** Rows as grey pictures, and as a heat map where they are no pictures. */

import { axis, colours, echarts, featureAxis, sequence, tooltip } from "./theme.js";
import type { Rows } from "../../src/exports.js";

export type Shape = readonly [height: number, width: number];

/** Draw a row as a grey picture: `least` is black, `most` white. */
export function paint(canvas: HTMLCanvasElement, row: ArrayLike<number>, [height, width]: Shape, [least, most]: readonly [number, number]): void {
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d")!;
  const image = context.createImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    const grey = Math.round((255 * (row[i] - least)) / (most - least || 1));
    image.data.set([grey, grey, grey, 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
}

/** A picture with a caption. */
export function picture(caption: string, size: number, [height, width]: Shape): { figure: HTMLElement; canvas: HTMLCanvasElement } {
  const figure = document.createElement("figure");
  const canvas = document.createElement("canvas");
  canvas.className = "picture";
  canvas.style.width = `${size}px`;
  canvas.style.height = `${(size * height) / width}px`;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", caption);
  const text = document.createElement("figcaption");
  text.textContent = caption;
  figure.append(canvas, text);
  return { figure, canvas };
}

/** How rows are shown: pictures of a `shape`, grey from the least to the greatest of `range`; else features in standard deviations. */
export interface Look {
  readonly names: readonly string[];
  readonly shape: Shape | null;
  readonly range: readonly [number, number];
  readonly mean: ArrayLike<number>;
  readonly scale: ArrayLike<number>;
}

const WIDE = 3; // standard deviations, beyond which a cell has the last colour

/** Show rows side by side: as pictures, else as one heat map of rows by features. */
export class Strip {
  private readonly element: HTMLElement;
  private chart: ReturnType<typeof echarts.init> | null = null;

  constructor(element: HTMLElement) {
    this.element = element;
  }

  draw(rows: Rows, captions: readonly string[], { names, shape, range, mean, scale }: Look): void {
    this.chart?.dispose();
    this.chart = null;
    this.element.replaceChildren();
    this.element.className = shape ? "pictures" : "chart";
    if (shape) {
      captions.forEach((caption, i) => {
        const { figure, canvas } = picture(caption, 64, shape);
        paint(canvas, rows.row(i), shape, range);
        this.element.append(figure);
      });
      return;
    }
    const cell = (i: number, j: number, value: number): number[] => [j, i, Math.min(WIDE, Math.max(-WIDE, (value - mean[j]) / scale[j])), value];
    const features = featureAxis(names);
    this.chart = echarts.init(this.element);
    this.chart.setOption({
      animation: false,
      grid: { left: 60, right: 10, top: 10, bottom: features.height },
      xAxis: features.axis,
      yAxis: { type: "category", data: captions, inverse: true, ...axis(), splitLine: { show: false } },
      tooltip: tooltip("item"),
      visualMap: { show: false, dimension: 2, min: -WIDE, max: WIDE, inRange: { color: [...sequence()] } },
      series: [
        {
          type: "heatmap",
          progressive: 0,
          encode: { x: 0, y: 1, value: 3, tooltip: 3 },
          data: captions.flatMap((_, i) => Array.from(rows.row(i), (value, j) => cell(i, j, value))),
        },
      ],
      textStyle: { color: colours().ink },
    });
  }
}
