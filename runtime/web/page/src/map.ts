/** The map: a scatter of rows on two directions, the prior's ellipses behind it, and the point that is decoded. */

import { axis, colours, echarts } from "./theme.js";

export type Point = readonly [number, number];

/** Rows of one colour. */
export interface Group {
  readonly name: string;
  readonly colour: string;
  readonly rows: readonly number[] | Uint32Array;
}

const NEAR = 14; // pixels

export class LatentMap {
  private readonly chart;
  private readonly element: HTMLElement;
  private across: Float64Array = new Float64Array();
  private up: Float64Array = new Float64Array();
  private held = false;

  /** `move` is called with places while a pointer drags, `pick` with a row that was clicked, `hover` with a row or -1. */
  constructor(
    element: HTMLElement,
    calls: { move: (place: Point) => void; pick: (row: number) => void; hover: (row: number) => void },
  ) {
    this.element = element;
    this.chart = echarts.init(element);
    new ResizeObserver(() => this.chart.resize()).observe(element);
    let moved = 0;
    element.addEventListener("pointerdown", (event) => {
      if (event.shiftKey || event.button !== 0) return;
      [this.held, moved] = [true, 0];
      element.setPointerCapture(event.pointerId);
    });
    element.addEventListener("pointermove", (event) => {
      const at = this.pixel(event);
      if (!this.held) return calls.hover(this.nearest(at));
      moved += Math.abs(event.movementX) + Math.abs(event.movementY);
      if (moved > 3) calls.move(this.place(at));
    });
    element.addEventListener("pointerup", (event) => {
      if (!this.held) return;
      this.held = false;
      const row = moved > 3 ? -1 : this.nearest(this.pixel(event));
      if (row >= 0) calls.pick(row);
      else calls.move(this.place(this.pixel(event)));
    });
  }

  /** Draw the rows at these places, in groups, with `ellipses` behind them. */
  draw(across: Float64Array, up: Float64Array, names: readonly [string, string], groups: readonly Group[], ellipses: Point[][]): void {
    [this.across, this.up] = [across, up];
    const { mark, panel, quiet } = colours();
    const size = across.length > 20_000 ? 2 : across.length > 2_000 ? 3.5 : 7;
    const points = groups.map((group) => ({
      type: "scatter",
      large: true,
      largeThreshold: 0,
      progressive: 0,
      silent: true,
      animation: false,
      symbolSize: size,
      itemStyle: { color: group.colour, opacity: across.length > 20_000 ? 0.6 : 0.85 },
      dimensions: ["x", "y"],
      data: Float32Array.from({ length: 2 * group.rows.length }, (_, k) => (k & 1 ? up : across)[group.rows[k >> 1]]),
    }));
    const behind = ellipses.map((line) => ({
      type: "line",
      silent: true,
      animation: false,
      showSymbol: false,
      lineStyle: { color: quiet, opacity: 0.55, width: 1 },
      data: line,
      z: 1,
    }));
    const cross = {
      id: "point",
      type: "scatter",
      silent: true,
      animation: false,
      symbol: "path://M-1.5,-9H1.5V-1.5H9V1.5H1.5V9H-1.5V1.5H-9V-1.5H-1.5Z",
      symbolSize: 26,
      itemStyle: { color: mark, borderColor: panel, borderWidth: 1.5 },
      data: [] as Point[],
      z: 10,
    };
    const zoom = { type: "inside", moveOnMouseMove: "shift", zoomOnMouseWheel: true, filterMode: "none" };
    this.chart.setOption(
      {
        animation: false,
        grid: { left: 48, right: 12, top: 12, bottom: 44 },
        xAxis: { type: "value", scale: true, ...axis(names[0]) },
        yAxis: { type: "value", scale: true, ...axis(names[1]), nameGap: 32 },
        dataZoom: [{ ...zoom, xAxisIndex: 0 }, { ...zoom, yAxisIndex: 0 }],
        series: [...behind, ...points, cross],
      },
      { notMerge: true },
    );
  }

  /** Show the point that is decoded. */
  mark(place: Point): void {
    this.chart.setOption({ series: [{ id: "point", data: [place] }] });
  }

  /** Width and height of the shown part, in the units of the directions. */
  span(): Point {
    const [a, b] = [this.place([0, 0]), this.place([this.element.clientWidth, this.element.clientHeight])];
    return [Math.abs(b[0] - a[0]), Math.abs(b[1] - a[1])];
  }

  /** Move the shown part by a share of it, for measurements. */
  pan(share: number): void {
    this.chart.dispatchAction({ type: "dataZoom", dataZoomIndex: 0, start: 20 + share, end: 70 + share });
  }

  private pixel(event: PointerEvent): Point {
    const box = this.element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  private place(pixel: Point): Point {
    const [x, y] = this.chart.convertFromPixel({ gridIndex: 0 }, [...pixel]) as [number, number];
    return [x, y];
  }

  /** The row nearest to a pixel, -1 if none is near. */
  private nearest(pixel: Point): number {
    if (!this.across.length) return -1;
    const [x, y] = this.place(pixel);
    const [right, low] = this.place([pixel[0] + NEAR, pixel[1] + NEAR]);
    const [wide, high] = [Math.abs(right - x), Math.abs(low - y)];
    let [best, found] = [1, -1];
    for (let i = 0; i < this.across.length; i++) {
      const distance = ((this.across[i] - x) / wide) ** 2 + ((this.up[i] - y) / high) ** 2;
      if (distance < best) [best, found] = [distance, i];
    }
    return found;
  }
}
