/** What is shown, in the fragment of the address, so that a view can be sent. */

import type { Values } from "./condition.js";
import { isShowable } from "./view.js";
import type { View } from "./view.js";

export interface State {
  across: number;
  up: number;
  colour: string;
  form: string;
  row: number | null;
  z: number[] | null;
  seed: string;
  /** Values of the conditions by name, null for a model without. */
  condition: Values | null;
  view: View | null;
}

const NONE: State = { across: 0, up: 1, colour: "", form: "", row: null, z: null, seed: "0", condition: null, view: null };

/** The state that the address names; what it lacks, or what is no number, has its default. */
export function readState(latents: number, directions: number): State {
  const fields = new URLSearchParams(location.hash.slice(1));
  const whole = (name: string, otherwise: number): number => {
    const value = Number(fields.get(name) ?? NaN);
    return Number.isInteger(value) && value >= 0 && value < directions ? value : otherwise;
  };
  const z = (fields.get("z") ?? "none").split(",").map(Number);
  const ends = (fields.get("view") ?? "").split(",").map(Number);
  const view: View = { across: [ends[0], ends[1]], up: [ends[2], ends[3]] };
  const row = Number(fields.get("row") ?? NaN);
  return {
    across: whole("across", NONE.across),
    up: whole("up", Math.min(NONE.up, directions - 1)),
    colour: fields.get("colour") ?? NONE.colour,
    form: fields.get("form") ?? NONE.form,
    row: Number.isInteger(row) && row >= 0 ? row : null,
    z: z.length === latents && z.every((value) => Number.isFinite(Math.fround(value))) ? z : null,
    seed: /^\d{1,20}$/.test(fields.get("seed") ?? "") ? fields.get("seed")! : NONE.seed,
    condition: valuesIn(fields.get("condition")),
    view: ends.length === 4 && isShowable(view) ? view : null,
  };
}

/** An object of text and numbers; null for anything else. */
function valuesIn(text: string | null): Values | null {
  try {
    const found = JSON.parse(text ?? "null") as unknown;
    const plain = typeof found === "object" && found !== null && !Array.isArray(found);
    return plain && Object.values(found).every((value) => ["string", "number"].includes(typeof value)) ? (found as Values) : null;
  } catch {
    return null;
  }
}

let waiting = 0;

/** Write the state into the address, a moment after the last change. */
export function writeState(state: State): void {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    const fields = new URLSearchParams({ across: String(state.across), up: String(state.up), seed: state.seed });
    if (state.colour) fields.set("colour", state.colour);
    if (state.form) fields.set("form", state.form);
    if (state.row !== null) fields.set("row", String(state.row));
    else if (state.z !== null) fields.set("z", state.z.map((value) => String(Number(value.toFixed(3)))).join(","));
    if (state.condition) fields.set("condition", JSON.stringify(state.condition));
    if (state.view) fields.set("view", [...state.view.across, ...state.view.up].map((end) => String(Number(end.toPrecision(5)))).join(","));
    history.replaceState(null, "", `#${fields}`);
  }, 200) as unknown as number;
}
