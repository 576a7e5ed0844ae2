/** The map: rows on two directions, the prior's ellipses behind them, and the point that is decoded. */

import { colourOf, Points } from "./points.js";
import { axis, colours, echarts } from "./theme.js";
import { moved, onGestures, pixelOf, placeOf, viewOf, zoomed } from "./view.js";
import type { Plot, Point, View } from "./view.js";

/** Rows of one colour. */
export interface Group {
  readonly name: string;
  readonly colour: string;
  readonly rows: readonly number[] | Uint32Array;
}

interface Calls {
  /** A pointer drags over a place. */
  readonly move: (place: Point) => void;
  /** A row was clicked. */
  readonly pick: (row: number) => void;
  /** A pointer is near a row, or -1. */
  readonly hover: (row: number) => void;
  /** Another part is shown; null: everything. */
  readonly shown: (view: View | null) => void;
}

const NEAR = 14; // pixels
const GRID = { left: 60, right: 12, top: 12, bottom: 44 }; // pixels around the plot

export class LatentMap {
  private readonly chart;
  private readonly element: HTMLElement;
  private readonly calls: Calls;
  private readonly cross = document.createElement("div");
  private readonly points = new Points();
  private across: Float64Array = new Float64Array();
  private up: Float64Array = new Float64Array();
  private names: readonly [string, string] = ["", ""];
  private whole: View = viewOf([], []);
  private view: View = this.whole;
  private marked: Point = [0, 0];
  private hovered = -1;
  private waiting = false;

  constructor(element: HTMLElement, calls: Calls) {
    [this.element, this.calls] = [element, calls];
    this.chart = echarts.init(element);
    this.cross.className = "cross";
    Object.assign(this.points.canvas.style, { left: `${GRID.left}px`, top: `${GRID.top}px` });
    element.append(this.points.canvas, this.cross);
    new ResizeObserver(() => {
      this.chart.resize();
      this.refresh();
    }).observe(element);
    onGestures(element, {
      hover: (at) => this.hover(this.nearest(at)),
      drag: (at) => calls.move(this.place(at)),
      click: (at) => {
        const row = this.nearest(at);
        if (row >= 0) calls.pick(row);
        else calls.move(this.place(at));
      },
      pan: ([x, y]) => this.show(moved(this.view, -x / this.plot.width, y / this.plot.height)),
      zoom: (at, factor) => this.show(zoomed(this.view, this.place(at), factor)),
    });
  }

  private hover(row: number): void {
    if (row !== this.hovered) this.calls.hover(row);
    this.hovered = row;
  }

  private get plot(): Plot {
    const { clientWidth, clientHeight } = this.element;
    const [width, height] = [clientWidth - GRID.left - GRID.right, clientHeight - GRID.top - GRID.bottom];
    return { left: GRID.left, top: GRID.top, width: Math.max(1, width), height: Math.max(1, height) };
  }

  /** Draw the rows at these places, in groups, with `ellipses` behind them. Other places or directions are shown whole. */
  draw(across: Float64Array, up: Float64Array, names: readonly [string, string], groups: readonly Group[], ellipses: Point[][]): void {
    const [ends, all] = [ellipses.flat(), this.view === this.whole];
    this.whole = viewOf([...across, ...ends.map(([x]) => x)], [...up, ...ends.map(([, y]) => y)]);
    if (all || across.length !== this.across.length || names.some((name, k) => name !== this.names[k])) this.showAll();
    [this.across, this.up, this.names] = [across, up, names];
    const size = across.length > 20_000 ? 2 : across.length > 2_000 ? 3.5 : 7;
    const shades = new Uint32Array(across.length);
    for (const { colour, rows } of groups) for (const row of rows) shades[row] = colourOf(colour);
    this.points.set(across, up, shades, size);
    this.drawAxes(ellipses);
    this.refresh();
  }

  private drawAxes(ellipses: Point[][]): void {
    const lineStyle = { color: colours().quiet, opacity: 0.55, width: 1 };
    const line = { type: "line", silent: true, animation: false, showSymbol: false, clip: true, lineStyle, z: 1 };
    const ends = { showMinLabel: false, showMaxLabel: false }; // the view ends at no round number
    const [x, y] = this.names.map((name) => axis(name));
    this.chart.setOption(
      {
        animation: false,
        grid: { ...GRID, outerBoundsMode: "none" }, // long labels do not move the plot away from the points
        xAxis: { type: "value", ...x, axisLabel: { ...(x["axisLabel"] as object), ...ends } },
        yAxis: { type: "value", ...y, nameGap: 44, axisLabel: { ...(y["axisLabel"] as object), ...ends } },
        series: [{ ...line, data: ellipses.flatMap((points) => [...points, [NaN, NaN]]) }], // one series: 32 cost twice as much
      },
      { notMerge: true, lazyUpdate: true },
    );
  }

  /** Show another part of the plane. */
  show(view: View): void {
    this.view = view;
    this.calls.shown(view === this.whole ? null : view);
    this.refresh();
  }

  /** Show everything. */
  showAll(): void {
    this.show(this.whole);
  }

  /** Make the shown part larger by a factor, around the point that is decoded if that is shown. */
  zoom(factor: number): void {
    const { left, top, width, height } = this.plot;
    this.show(zoomed(this.view, this.cross.hidden ? this.place([left + width / 2, top + height / 2]) : this.marked, factor));
  }

  /** Draw axes, points and the mark where they are now, once in the next frame. */
  private refresh(): void {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      const { across, up } = this.view;
      this.chart.setOption({ xAxis: { min: across[0], max: across[1] }, yAxis: { min: up[0], max: up[1] } });
      this.chart.getZr().flush();
      this.points.paint(this.view, this.plot.width, this.plot.height);
      this.mark();
    });
  }

  /** Show the point that is decoded, above the chart: 100,000 points are not drawn again for it. */
  mark(place: Point = this.marked): void {
    this.marked = place;
    const [x, y] = this.pixels(place);
    this.cross.hidden = !(x >= 0 && y >= 0 && x <= this.element.clientWidth && y <= this.element.clientHeight);
    this.cross.style.transform = `translate(${x}px, ${y}px)`;
  }

  /** Where a row is, in pixels from the corner of the map. */
  pixelOf(row: number): Point {
    return this.pixels([this.across[row], this.up[row]]);
  }

  /** Width and height of the shown part, in the units of the directions. */
  span(): Point {
    return [this.view.across[1] - this.view.across[0], this.view.up[1] - this.view.up[0]];
  }

  /** Show half of the width, from a share of it in percent, for measurements. */
  pan(share: number): void {
    const [low, high] = this.whole.across;
    const at = (percent: number): number => low + ((high - low) * percent) / 100;
    this.show({ across: [at(20 + share), at(70 + share)], up: this.view.up });
  }

  private pixels(place: Point): Point {
    return pixelOf(this.view, this.plot, place);
  }

  private place(pixel: Point): Point {
    return placeOf(this.view, this.plot, pixel);
  }

  /** The row nearest to a pixel, -1 if none is near. */
  private nearest(pixel: Point): number {
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
