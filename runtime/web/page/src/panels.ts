/** The panels beside the map: interpolation, samples, and rows that people bring. */

import { walk } from "../../src/interpolation.js";
import type { Curve } from "../../src/interpolation.js";
import { InputError, Rows } from "../../src/exports.js";
import type { Scores } from "../../src/exports.js";
import { readCsv } from "./csv.js";
import { attempt, byId, numberIn } from "./elements.js";
import type { Explorer } from "./explorer.js";
import { isNpy, readNpy } from "./npy.js";
import { Strip } from "./pictures.js";
import { plain } from "../../src/text.js";
import { download, toCsv } from "./tables.js";

const STEPS = 8;
const SHOWN = 24; // samples
const MOST = 10_000; // samples at a time

function on(id: string, event: string, work: () => Promise<void> | void): void {
  byId(id).addEventListener(event, () => void attempt(work));
}

function* eachRow(rows: Rows): Iterable<Float32Array> {
  for (let i = 0; i < rows.length; i++) yield rows.row(i);
}

/** From one row to another: a strip, and an animation of the decoded row. */
export function addInterpolation(explorer: Explorer): void {
  const strip = new Strip(byId("between"));
  const input = (id: string): number => {
    const row = numberIn(id);
    if (Number.isInteger(row) && row >= 0 && row < explorer.rows.length) return row;
    throw new InputError(`row is ${plain(row)}: expected a row of the map, 0 to ${explorer.rows.length - 1}`);
  };
  /** Latents on the path, and their conditions, which go straight from those of one row to those of the other. */
  const path = async (steps: number): Promise<readonly [Rows, Rows | undefined]> => {
    const { rows, c, vae } = explorer;
    const taken = [input("from"), input("to")];
    const [a, b] = taken.map((row) => c?.slice(row, row + 1));
    const ends = await Promise.all(taken.map((row, k) => vae.embed(rows.slice(row, row + 1), { condition: [a, b][k] })));
    const points = walk(ends[0], ends[1], steps, byId<HTMLSelectElement>("path").value as Curve);
    return [points, a && b && walk(a, b, steps)];
  };
  const draw = async (): Promise<void> => {
    const [z, condition] = await path(STEPS);
    const rows = await explorer.vae.decode(z, { condition });
    const captions = Array.from({ length: STEPS + 1 }, (_, i) => `${i} of ${STEPS}`);
    strip.draw(rows, captions, explorer.look);
  };
  on("interpolate", "click", draw);
  on("play", "click", async () => {
    await draw();
    const steps = matchMedia("(prefers-reduced-motion: reduce)").matches ? 4 : 60;
    const [points, c] = await path(steps);
    for (let i = 0; i < points.length; i++) {
      explorer.moveTo(points.row(i), c?.slice(i, i + 1));
      await new Promise((resolve) => setTimeout(resolve, 2000 / steps));
    }
  });
  for (const [button, field] of [["start", "from"], ["end", "to"]] as const) {
    on(button, "click", () => {
      if (explorer.state.row === null) throw new InputError("no row is picked: expected a picked row: click a point of the map");
      byId<HTMLInputElement>(field).value = String(explorer.state.row);
    });
  }
}

/** Rows drawn from the prior. */
export function addSamples(explorer: Explorer): void {
  const strip = new Strip(byId("samples"));
  const field = byId<HTMLInputElement>("seed");
  field.value = explorer.state.seed;
  const drawn = async (): Promise<Rows> => {
    if (!/^\d{1,20}$/.test(field.value)) throw new InputError(`seed is '${field.value}': expected an integer from 0 to 2**64 - 1`);
    explorer.state.seed = field.value;
    const count = numberIn("count");
    if (!Number.isInteger(count) || count < 1 || count > MOST) {
      throw new InputError(`${plain(count)} rows are asked for: expected 1 to ${MOST.toLocaleString("en")}: take more in Python, in parts`);
    }
    return explorer.vae.sample(count, { seed: BigInt(field.value), condition: explorer.given });
  };
  on("sample", "click", async () => {
    const rows = await drawn();
    const captions = Array.from({ length: Math.min(rows.length, SHOWN) }, (_, i) => String(i));
    strip.draw(rows, captions, explorer.look);
  });
  on("download-samples", "click", async () => {
    const rows = await drawn();
    download(`${explorer.vae.manifest.name}-samples-seed-${field.value}.csv`, toCsv(explorer.look.names, eachRow(rows)));
  });
}

/** A .csv or .npy that is chosen or dropped. */
export function addTable(explorer: Explorer): void {
  let scores: Scores | null = null;
  const open = async (file: File): Promise<void> => {
    const { vae } = explorer;
    const facts = byId("table-facts");
    facts.textContent = `Reading ${file.name} …`;
    const data = new Uint8Array(await file.arrayBuffer());
    const { rows, held, notes } =
      file.name.endsWith(".npy") || isNpy(data)
        ? { rows: readNpy(data, vae.inputDim, file.name), held: {}, notes: [] }
        : readCsv(data, { width: vae.inputDim, columns: vae.columns, beside: vae.conditions.names }, file.name);
    if (!rows.length) throw new InputError(`${file.name} has no rows: expected one or more`);
    facts.textContent = `Computing ${rows.length} rows of ${file.name} …`;
    const c = vae.conditions.width ? vae.conditions.ofRows({ ...explorer.controls.values, ...held }, rows.length) : undefined;
    scores = await explorer.replaceRows(rows, c);
    const far = scores.pValue.filter((value) => value <= 0.01).length;
    const words = Number.isNaN(scores.pValue[0]) ? "this bundle has no p-values" : `${far} of them below a p-value of 0.01`;
    const fixed = vae.conditions.names.filter((name) => !(name in held));
    const under = fixed.length ? ` All rows are under the chosen ${fixed.join(", ")}.` : "";
    facts.textContent = [`${rows.length} rows of ${file.name} are on the map; ${words}.${under}`, ...notes].join(" ");
    byId<HTMLButtonElement>("download-scores").disabled = false;
  };
  let last: Promise<void> = Promise.resolve();
  /** One file after the other; what was there before a refusal stays. */
  const inTurn = async (file: File): Promise<void> => {
    const [facts, before] = [byId("table-facts"), last];
    last = before.catch(() => undefined).then(async () => {
      const said = facts.textContent;
      await open(file).catch((error: unknown) => {
        facts.textContent = said;
        throw error;
      });
    });
    await last;
  };
  const input = byId<HTMLInputElement>("file");
  on("file", "click", () => {
    input.value = ""; // the same name may be chosen again, after a correction
  });
  on("file", "change", async () => {
    if (input.files?.[0]) await inTurn(input.files[0]);
  });
  on("download-scores", "click", () => {
    const columns = Object.values(scores!) as Float64Array[];
    const names = ["reconstruction_error", "kl_divergence", "elbo", "p_value"];
    const lines = Array.from(columns[0], (_, i) => columns.map((column) => column[i]));
    download(`${explorer.vae.manifest.name}-scores.csv`, toCsv(names, lines));
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    const file = event.dataTransfer?.files[0];
    if (file) void attempt(() => inTurn(file));
  });
}
