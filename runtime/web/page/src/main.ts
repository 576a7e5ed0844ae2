/** The latent explorer: loads the bundle beside this page and connects the controls. */

import "./style.css";
import type { Form } from "./decoded.js";
import { attempt, byId, numberIn, refuse } from "./elements.js";
import { Explorer } from "./explorer.js";
import { addInterpolation, addSamples, addTable } from "./panels.js";
import { loadSite } from "./site.js";
import type { Loaded } from "./site.js";
import { onTheme } from "./theme.js";

function describe({ site, vae, rows }: Loaded): void {
  document.title = `${vae.manifest.name}: latent explorer`;
  byId("name").textContent = vae.manifest.name;
  const shown = site.rows === null ? "rows that the bundle carries" : "given rows";
  const count = (number: number, name: string): string => `${number} ${name}${number === 1 ? "" : "s"}`;
  byId("facts").textContent =
    `${count(vae.inputDim, "feature")}, ${count(vae.latentDim, "latent")}, trained on ${count(vae.manifest.training.rows, "row")}; ` +
    `the map shows ${rows.length} ${shown}. SHA-256 of the manifest: ${vae.digest}`;
  const worst = Math.max(...vae.replays.map((replay) => replay.difference));
  byId("status").textContent = `Golden vectors: computed here as at export, largest difference ${worst.toExponential(1)}.`;
  const { host } = new URL(site.wasm.url, location.href);
  const origin = host === location.host ? "comes from this folder" : `comes from ${host}`;
  byId("origin").textContent =
    `onnxruntime-web ${site.wasm.version} ${origin} and is checked by its SHA-256. Rows stay on this machine: nothing is sent.`;
}

function connect(explorer: Explorer): void {
  const select = (id: string, change: (value: string) => Promise<void> | void): void => {
    byId(id).addEventListener("change", (event) => void attempt(() => change((event.target as HTMLSelectElement).value)));
  };
  select("across", (value) => {
    explorer.state.across = Number(value);
    explorer.redraw();
  });
  select("up", (value) => {
    explorer.state.up = Number(value);
    explorer.redraw();
  });
  select("colour", (value) => explorer.recolour(value));
  select("form", (value) => explorer.become(value as Form));
  select("prior", () => explorer.redraw());
  select("row", () => {
    const row = numberIn("row");
    if (Number.isNaN(row)) explorer.unpick();
    else pickRow(explorer, row);
  });
  const keys: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  byId("map").addEventListener("keydown", (event) => {
    const step = keys[event.key];
    const share = event.shiftKey ? 0.1 : 0.02;
    if (step) explorer.nudge(share * step[0], share * step[1]);
    else if (event.key === "+" || event.key === "=") explorer.map.zoom(0.8);
    else if (event.key === "-") explorer.map.zoom(1.25);
    else if (event.key === "0") explorer.map.showAll();
    else if (event.key === "n") pickRow(explorer, (explorer.state.row ?? -1) + 1);
    else if (event.key === "p") pickRow(explorer, (explorer.state.row ?? 1) - 1);
    else return;
    event.preventDefault();
  });
}

function pickRow(explorer: Explorer, row: number): void {
  const last = explorer.rows.length - 1;
  if (Number.isInteger(row)) void explorer.pick(Math.min(last, Math.max(0, row)));
}

async function start(): Promise<void> {
  const loaded = await loadSite();
  describe(loaded);
  byId("main").hidden = false;
  const explorer = await Explorer.of(loaded);
  connect(explorer);
  addInterpolation(explorer);
  addSamples(explorer);
  addTable(explorer);
  onTheme(() => {
    explorer.redraw();
    explorer.become(explorer.state.form as Form);
  });
  document.body.dataset["ready"] = "true";
  Object.assign(globalThis, { explorer }); // for the console
}

start().catch(refuse); // a refusal of the address stays
