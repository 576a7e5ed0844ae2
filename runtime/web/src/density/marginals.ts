/** Monotone maps, one for each column, from the distribution of the model's samples to that of the training rows. */

import type { Arrays } from "../bundle/npz.js";
import { BundleError } from "../errors.js";
import type { Rows } from "../rows.js";

export const MARGINAL_ARRAYS = { counts: 1, rules: 1, quantiles: 1, values: 1 };
/** A rule: observed values alone; 0 stands for lines between knots, m > 0 for lines rounded to multiples of 1 / m. */
export const STEPS = -1;
const MOST_PER_UNIT = 1e6;

/** The knots of one column: both arrays ascend. */
interface Knots {
  readonly rule: number;
  readonly quantiles: Float64Array;
  readonly values: Float64Array;
}

export class Marginals {
  private readonly columns: readonly Knots[];

  /** The maps of the arrays of `marginals.npz`; `BundleError` for invalid ones. */
  constructor(arrays: Arrays) {
    const [counts, rules, given, values] = Object.keys(MARGINAL_ARRAYS).map((name) => Float64Array.from(arrays.get(name)!.data));
    const quantiles = given.length > 0 ? given : values;
    const whole = counts.length > 0 && counts.every((count) => count >= 1 && Number.isInteger(count));
    const total = counts.reduce((sum, count) => sum + count, 0);
    if (!whole || total !== quantiles.length || values.length !== total || rules.length !== counts.length) {
      throw new BundleError(
        `marginals has counts (${counts.length}), rules (${rules.length}), quantiles (${quantiles.length}), values ` +
          `(${values.length}): expected [D], [D], and twice as many knots as the counts add up to: export the bundle again`,
      );
    }
    if (!rules.every((rule) => rule === STEPS || (rule >= 0 && rule <= MOST_PER_UNIT))) {
      throw new BundleError("marginals has a rule that is not -1 or 0 to 1e+06: export the bundle again");
    }
    let end = 0;
    this.columns = Array.from(counts, (count, column) => {
      end += count;
      const knots = [quantiles, values].map((numbers) => numbers.subarray(end - count, end));
      return { rule: rules[column], quantiles: knots[0], values: knots[1] };
    });
    if (!this.columns.every((column) => ascends(column.quantiles) && ascends(column.values))) {
      throw new BundleError("marginals has knots that do not ascend within a column: export the bundle again");
    }
  }

  get width(): number {
    return this.columns.length;
  }

  /** Map samples of the model, with observation noise, in place; each number by itself. */
  apply(rows: Rows): void {
    rows.data.forEach((value, at) => (rows.data[at] = mapped(value, this.columns[at % rows.width])));
  }
}

function mapped(x: number, { rule, quantiles, values }: Knots): number {
  let [low, high] = [0, quantiles.length]; // the first knot above x
  while (low < high) {
    const middle = (low + high) >> 1;
    if (quantiles[middle] <= x) low = middle + 1;
    else high = middle;
  }
  const below = Math.max(0, low - 1);
  if (rule === STEPS) return values[below];
  const above = Math.min(low, values.length - 1);
  const width = quantiles[above] - quantiles[below];
  const share = width > 0 ? Math.min(1, Math.max(0, (x - quantiles[below]) / width)) : 0;
  const found = Math.min(values[below] + share * (values[above] - values[below]), values[above]);
  if (rule === 0) return found;
  return Math.min(values[values.length - 1], Math.max(values[0], Math.floor(found * rule + 0.5) / rule));
}

function ascends(numbers: Float64Array): boolean {
  return numbers.every((value, i) => i === 0 || numbers[i - 1] <= value);
}
