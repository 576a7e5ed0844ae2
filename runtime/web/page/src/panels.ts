/** The panels beside the map: interpolation, samples, and rows that people bring. */

import { walk } from "../../src/interpolation.js";
import type { Curve } from "../../src/interpolation.js";
import { InputError, Rows } from "../../src/index.js";
import type { Scores } from "../../src/index.js";
import { byId } from "./explorer.js";
import type { Explorer } from "./explorer.js";
import { Strip } from "./pictures.js";
import { download, readCsv, readNpy, toCsv } from "./tables.js";

const STEPS = 8;
const SHOWN = 24; // samples

/** Run `work` and show its refusal in the status line. */
export async function attempt(work: () => Promise<void> | void): Promise<void> {
  const status = byId("status");
  try {
    await work();
    if (status.className === "refused") [status.textContent, status.className] = ["", ""];
  } catch (error) {
    [status.textContent, status.className] = [error instanceof Error ? error.message : String(error), "refused"];
  }
}

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
    const row = Number(byId<HTMLInputElement>(id).value);
    if (Number.isInteger(row) && row >= 0 && row < explorer.rows.length) return row;
    throw new InputError(`row is ${row}: expected a row of the map, 0 to ${explorer.rows.length - 1}`);
  };
  const path = async (steps: number): Promise<Rows> => {
    const ends = await explorer.vae.embed([explorer.rows.row(input("from")), explorer.rows.row(input("to"))]);
    return walk(ends.slice(0, 1), ends.slice(1, 2), steps, byId<HTMLSelectElement>("path").value as Curve);
  };
  const draw = async (): Promise<void> => {
    const rows = await explorer.vae.decode(await path(STEPS));
    const captions = Array.from({ length: STEPS + 1 }, (_, i) => `${i} of ${STEPS}`);
    strip.draw(rows, explorer.names, captions, explorer.shape, explorer.range);
  };
  on("interpolate", "click", draw);
  on("play", "click", async () => {
    await draw();
    const steps = matchMedia("(prefers-reduced-motion: reduce)").matches ? 4 : 60;
    for (const z of eachRow(await path(steps))) {
      explorer.moveTo(z);
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
    return explorer.vae.sample(Number(byId<HTMLInputElement>("count").value), { seed: BigInt(field.value) });
  };
  on("sample", "click", async () => {
    const rows = await drawn();
    const captions = Array.from({ length: Math.min(rows.length, SHOWN) }, (_, i) => String(i));
    strip.draw(rows, explorer.names, captions, explorer.shape, explorer.range);
  });
  on("download-samples", "click", async () => {
    const rows = await drawn();
    download(`${explorer.vae.manifest.name}-samples-seed-${field.value}.csv`, toCsv(explorer.names, eachRow(rows)));
  });
}

/** A .csv or .npy that is chosen or dropped. */
export function addTable(explorer: Explorer): void {
  let scores: Scores | null = null;
  const open = async (file: File): Promise<void> => {
    const { vae } = explorer;
    const npy = file.name.endsWith(".npy");
    const rows = npy
      ? readNpy(new Uint8Array(await file.arrayBuffer()), vae.inputDim, file.name)
      : readCsv(await file.text(), vae.inputDim, vae.columns, file.name);
    if (!rows.length) throw new InputError(`${file.name} has no rows: expected one or more`);
    scores = await explorer.replaceRows(rows);
    const far = scores.pValue.filter((value) => value <= 0.01).length;
    const words = Number.isNaN(scores.pValue[0]) ? "this bundle has no p-values" : `${far} of them below a p-value of 0.01`;
    byId("table-facts").textContent = `${rows.length} rows of ${file.name} are on the map; ${words}.`;
    byId<HTMLButtonElement>("download-scores").disabled = false;
  };
  const input = byId<HTMLInputElement>("file");
  on("file", "change", async () => {
    if (input.files?.[0]) await open(input.files[0]);
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
    if (file) void attempt(() => open(file));
  });
}
