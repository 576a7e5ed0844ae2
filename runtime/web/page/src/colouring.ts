/** Groups of rows by colour: categories of a column, or bands of a figure. */

import type { Group } from "./map.js";
import { CATEGORIES, sequence } from "./theme.js";

/** Rows in at most eight groups: by category where there are few, else in bands that hold equally many rows. */
export function grouped(values: ArrayLike<number | string>, count: number): Group[] {
  const all = Array.from({ length: count }, (_, i) => i);
  const distinct = [...new Set(Array.from({ length: count }, (_, i) => values[i]))];
  if (distinct.length <= 12) {
    distinct.sort((a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b))));
    return distinct.map((value, k) => ({
      name: typeof value === "number" ? String(Number(value.toPrecision(6))) : value,
      colour: k < CATEGORIES.length ? CATEGORIES[k] : EXTRA[k - CATEGORIES.length],
      rows: all.filter((i) => values[i] === value),
    }));
  }
  if (typeof values[0] === "string") return [{ name: "all rows", colour: CATEGORIES[0], rows: all }];
  all.sort((i, j) => (values[i] as number) - (values[j] as number));
  const bands = sequence();
  return bands.map((colour, k) => {
    const rows = all.slice(Math.round((k * count) / bands.length), Math.round(((k + 1) * count) / bands.length));
    const [first, last] = [values[rows[0]], values[rows[rows.length - 1]]].map((value) => Number(value).toPrecision(3));
    return { name: rows.length ? `${Number(first)} to ${Number(last)}` : "", colour, rows };
  }).filter((group) => group.rows.length > 0);
}

const EXTRA = ["#332288", "#882255", "#44aa99", "#ddcc77"]; // Tol's muted palette, for the ninth to the twelfth category

/** Name and colour of each group, below the map. */
export function legend(element: HTMLElement, groups: readonly Group[]): void {
  element.replaceChildren(
    ...groups.map((group) => {
      const item = document.createElement("span");
      const mark = document.createElement("i");
      mark.style.background = group.colour;
      item.append(mark, group.name);
      return item;
    }),
  );
}
