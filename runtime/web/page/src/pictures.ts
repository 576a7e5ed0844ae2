/** Rows as grey pictures, and as a heat map where they are no pictures. */

import { axis, colours, echarts, sequence } from "./theme.js";
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

/** Show rows side by side: as pictures of `shape`, else as one heat map of rows by features. */
export class Strip {
  private readonly element: HTMLElement;
  private chart: ReturnType<typeof echarts.init> | null = null;

  constructor(element: HTMLElement) {
    this.element = element;
  }

  draw(rows: Rows, names: readonly string[], captions: readonly string[], shape: Shape | null, range: readonly [number, number]): void {
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
    const [min, max] = rows.data.reduce(([least, most], value) => [Math.min(least, value), Math.max(most, value)], range); // values outside are not drawn
    this.chart = echarts.init(this.element);
    this.chart.setOption({
      animation: false,
      grid: { left: 60, right: 10, top: 10, bottom: 60 },
      xAxis: { type: "category", data: names, ...axis("feature"), splitLine: { show: false } },
      yAxis: { type: "category", data: captions, inverse: true, ...axis(), splitLine: { show: false } },
      tooltip: { trigger: "item" },
      visualMap: { show: false, min, max, inRange: { color: [...sequence()] } },
      series: [{ type: "heatmap", data: captions.flatMap((_, i) => Array.from(rows.row(i), (value, j) => [j, i, value])) }],
      textStyle: { color: colours().ink },
    });
  }
}
