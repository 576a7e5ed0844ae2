/** The decoded row: as bars by feature name, as a curve, or as a picture, beside the row that was picked. */

import { paint, picture } from "./pictures.js";
import type { Look, Shape } from "./pictures.js";
import { axis, CATEGORIES, colours, echarts, featureAxis, tooltip } from "./theme.js";

export type Form = "bars" | "curve" | "picture";

export class Decoded {
  private readonly element: HTMLElement;
  private readonly names: readonly string[];
  private readonly shape: Shape | null;
  private readonly range: readonly [number, number];
  private chart: ReturnType<typeof echarts.init> | null = null;
  private canvases: HTMLCanvasElement[] = [];
  private form: Form | null = null;

  constructor(element: HTMLElement, { names, shape, range }: Look) {
    [this.element, this.names, this.shape, this.range] = [element, names, shape, range];
    new ResizeObserver(() => this.chart?.resize()).observe(element);
  }

  /** Show as another form. */
  become(form: Form): void {
    this.form = form;
    this.chart?.dispose();
    [this.chart, this.canvases] = [null, []];
    this.element.replaceChildren();
    this.element.className = form === "picture" ? "pictures" : "chart";
    if (form === "picture") this.hang();
    else this.plot(form);
  }

  private hang(): void {
    for (const caption of ["decoded", "picked row", "difference"]) {
      const { figure, canvas } = picture(caption, caption === "decoded" ? 200 : 96, this.shape!);
      this.element.append(figure);
      this.canvases.push(canvas);
    }
  }

  private plot(form: Form): void {
    const { ink } = colours();
    const type = form === "bars" ? "bar" : "line";
    const { axis: features, height } = featureAxis(this.names);
    const zoom = this.names.length > 40 ? [{ type: "slider", height: 18, bottom: 6 }, { type: "inside" }] : [];
    this.chart = echarts.init(this.element);
    this.chart.setOption({
      animation: false,
      color: CATEGORIES,
      grid: { left: 50, right: 10, top: 34, bottom: height + (zoom.length ? 22 : 0) },
      legend: { textStyle: { color: ink }, top: 0, selected: { difference: false } },
      tooltip: tooltip("axis"),
      xAxis: features,
      yAxis: { type: "value", scale: form === "curve", ...axis() },
      dataZoom: zoom,
      series: ["decoded", "picked row", "difference"].map((name) => ({ id: name, name, type, showSymbol: false, data: [] })),
    });
  }

  /** Show a decoded row, and beside it the picked one if there is one. */
  show(decoded: Float32Array, picked: Float32Array | null): void {
    const difference = picked && decoded.map((value, j) => picked[j] - value);
    if (this.form === "picture") {
      const wide = (this.range[1] - this.range[0]) / 2;
      paint(this.canvases[0], decoded, this.shape!, this.range);
      this.canvases.slice(1).forEach((canvas) => (canvas.parentElement!.hidden = picked === null));
      if (picked === null || difference === null) return;
      paint(this.canvases[1], picked, this.shape!, this.range);
      paint(this.canvases[2], difference, this.shape!, [-wide, wide]);
      return;
    }
    const data = [decoded, picked ?? [], difference ?? []];
    const ids = ["decoded", "picked row", "difference"];
    this.chart!.setOption({ series: ids.map((id, i) => ({ id, data: Array.from(data[i]) })) });
  }
}
