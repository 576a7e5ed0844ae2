/** The shown part of a plane, and the gestures that move it. */

export type Point = readonly [number, number];

/** The shown part: smallest and largest place on both directions. */
export interface View {
  readonly across: Point;
  readonly up: Point;
}

/** A part of the element in pixels, from its left and top. */
export interface Plot {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

const MARGIN = 0.04; // of the width or height, on either side
const MOVED = 3; // pixels from a click to a drag
const WHEEL = 1.0015; // zoom for each unit of a wheel

const span = ([low, high]: Point): number => high - low;

/** A view that shows all values of both directions, with a margin. */
export function viewOf(across: Iterable<number>, up: Iterable<number>): View {
  const wide = (values: Iterable<number>): Point => {
    let [least, most] = [Infinity, -Infinity];
    for (const value of values) [least, most] = [Math.min(least, value), Math.max(most, value)];
    if (!(least < most)) return Number.isFinite(least) ? [least - 1, least + 1] : [-1, 1];
    return [least - MARGIN * (most - least), most + MARGIN * (most - least)];
  };
  return { across: wide(across), up: wide(up) };
}

/** The view moved by shares of its width and height. */
export function moved({ across, up }: View, right: number, above: number): View {
  const by = (range: Point, share: number): Point => [range[0] + share * span(range), range[1] + share * span(range)];
  return { across: by(across, right), up: by(up, above) };
}

/** The view made larger by a factor, with a place that stays where it is. */
export function zoomed({ across, up }: View, [x, y]: Point, factor: number): View {
  const about = ([low, high]: Point, at: number): Point => [at + (low - at) * factor, at + (high - at) * factor];
  const next = { across: about(across, x), up: about(up, y) };
  return isShowable(next) ? next : { across, up };
}

/** Whether numbers can tell the places of a view apart. */
export function isShowable({ across, up }: View): boolean {
  return [across, up].every((range) => span(range) > 1e-9 * Math.max(...range.map(Math.abs)) && span(range) < 1e9);
}

/** The place that a pixel of the plot shows. */
export function placeOf({ across, up }: View, plot: Plot, [x, y]: Point): Point {
  return [across[0] + ((x - plot.left) / plot.width) * span(across), up[1] - ((y - plot.top) / plot.height) * span(up)];
}

/** The pixel at which a place is shown. */
export function pixelOf({ across, up }: View, plot: Plot, [x, y]: Point): Point {
  return [plot.left + ((x - across[0]) / span(across)) * plot.width, plot.top + ((up[1] - y) / span(up)) * plot.height];
}

export interface Calls {
  /** A pointer is over a pixel and not pressed; NaN where it has left. */
  hover(at: Point): void;
  /** A pressed pointer moves. */
  drag(at: Point): void;
  /** A pointer was pressed and released without a move. */
  click(at: Point): void;
  /** The view moves by pixels: Shift or the middle button with a drag, two fingers. */
  pan(by: Point): void;
  /** The view becomes larger by a factor around a pixel: the wheel, two fingers. */
  zoom(at: Point, factor: number): void;
}

type Mode = "drag" | "pan" | "pinch" | "over";

/** Calls for the pointers, the fingers and the wheel on an element. */
export function onGestures(element: HTMLElement, calls: Calls): void {
  const pointers = new Map<number, Point>();
  let [mode, distance]: [Mode, number] = ["over", 0];
  const at = (event: MouseEvent): Point => {
    const box = element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const left: Point = [NaN, NaN];
  element.addEventListener("pointerleave", () => calls.hover(left));
  element.addEventListener("pointerdown", (event) => {
    if (event.button > 1) return;
    calls.hover(left);
    element.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, at(event));
    if (event.button === 1) event.preventDefault(); // the browser's own scrolling
    mode = pointers.size > 1 ? "pinch" : event.shiftKey || event.button === 1 ? "pan" : "drag";
    distance = 0;
  });
  element.addEventListener("pointermove", (event) => {
    const [before, here] = [pointers.get(event.pointerId), at(event)];
    if (!before) return calls.hover(here);
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    pointers.set(event.pointerId, here);
    const by: Point = [here[0] - before[0], here[1] - before[1]];
    distance += Math.hypot(...by);
    if (mode === "pan") calls.pan(by);
    else if (mode === "drag" && distance > MOVED) calls.drag(here);
    else if (mode === "pinch" && other) {
      calls.pan([by[0] / 2, by[1] / 2]);
      const gap = ([x, y]: Point): number => Math.max(1, Math.hypot(x - other[0], y - other[1]));
      calls.zoom([(here[0] + other[0]) / 2, (here[1] + other[1]) / 2], gap(before) / gap(here));
    }
  });
  const end = (event: PointerEvent): void => {
    if (!pointers.delete(event.pointerId)) return;
    if (mode === "drag" && event.type === "pointerup") (distance > MOVED ? calls.drag : calls.click)(at(event));
    mode = "over"; // a finger that is left of two does nothing
  };
  element.addEventListener("pointerup", end);
  element.addEventListener("pointercancel", end);
  const wheel = (event: WheelEvent): void => {
    event.preventDefault();
    calls.zoom(at(event), WHEEL ** (event.deltaY * (event.deltaMode === 1 ? 30 : 1)));
  };
  element.addEventListener("wheel", wheel, { passive: false });
}
