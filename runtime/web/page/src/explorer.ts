/** The explorer's state and what is drawn from it: one latent point, two directions, a colour, and rows on the map. */

import { Rows } from "../../src/exports.js";
import type { Scores, VAE } from "../../src/exports.js";
import { ConditionControls } from "./condition.js";
import type { Values } from "./condition.js";
import { grouped, legend } from "./colouring.js";
import { Decoded } from "./decoded.js";
import type { Form } from "./decoded.js";
import { accept, attempt, byId, refuse } from "./elements.js";
import { Hint } from "./hint.js";
import { Latents } from "./latents.js";
import type { Direction } from "./latents.js";
import { LatentMap } from "./map.js";
import type { Point } from "./view.js";
import type { Loaded, Site } from "./site.js";
import type { Look } from "./pictures.js";
import { readState, writeState } from "./state.js";
import type { State } from "./state.js";
import { featureNames } from "./tables.js";

const SLIDERS = 8;
const SHOWN = 4; // conditions of a row, in words
const FEW = 20_000; // rows that are scored when the page opens; more only when a colour asks for it

export class Explorer {
  readonly vae: VAE;
  readonly look: Look;
  rows: Rows;
  /** Conditions of the rows, and of the point [1, C]; undefined for a model without. */
  c: Rows | undefined;
  given: Rows | undefined;
  readonly controls: ConditionControls;
  state: State;
  private readonly site: Site;
  private ids: NonNullable<Site["ids"]>;
  private labels: Site["labels"];
  private readonly latents: Latents;
  readonly map: LatentMap;
  private readonly decoded: Decoded;
  private readonly hint: Hint;
  private readonly z: Float32Array;
  private mu: Rows;
  private scores: Scores | null = null;
  private decoding = false;
  private waiting = false;
  private refused = false;
  /** How many times a row was decoded and drawn, and how long the last took, in ms. */
  frames = { count: 0, last: 0 };

  static async of({ site, vae, rows, c }: Loaded): Promise<Explorer> {
    const explorer = new Explorer(site, vae, rows, c, await vae.embed(rows, { condition: c }));
    if (rows.length <= FEW) await explorer.score();
    explorer.fill();
    const { view } = explorer.state;
    explorer.redraw();
    if (view) explorer.map.show(view);
    await explorer.start();
    return explorer;
  }

  private constructor(site: Site, vae: VAE, rows: Rows, c: Rows | undefined, mu: Rows) {
    [this.site, this.vae, this.rows, this.c, this.mu] = [site, vae, rows, c, mu];
    [this.ids, this.labels] = [site.ids ?? [], site.labels];
    const names = featureNames(vae.inputDim, vae.columns);
    this.look = { names, shape: site.image_shape, range: rangeOf(rows), mean: vae.observation.mean, scale: vae.observation.scale };
    this.latents = new Latents(vae.prior, mu, vae.views.matrix);
    this.state = readState(vae.latentDim, this.latents.directions.length);
    this.controls = new ConditionControls(byId("conditions"), vae.conditions, (values) => void attempt(() => this.giveValues(values)));
    byId("given").hidden = !vae.conditions.width;
    this.z = Float32Array.from(this.state.z ?? this.latents.centre);
    this.decoded = new Decoded(byId("decoded"), this.look);
    this.map = new LatentMap(byId("map"), {
      move: (place) => this.move(place),
      pick: (row) => void this.pick(row),
      hover: (row) => {
        if (row < 0) this.hint.hide();
        else this.hint.show(this.map.pixelOf(row), this.words(row), this.rows.row(row));
      },
      shown: (view) => {
        this.state.view = view;
        writeState(this.state);
      },
    });
    this.hint = new Hint(byId("map"), this.look); // the chart has emptied the element
  }

  /** Options of the controls. */
  private fill(): void {
    const options = (id: string, names: readonly (readonly [string, string])[], chosen: string): void => {
      byId(id).replaceChildren(...names.map(([value, text]) => new Option(text, value, false, value === chosen)));
    };
    const directions = this.latents.directions.map((direction, i) => [String(i), direction.name] as const);
    options("across", directions, String(this.state.across));
    options("up", directions, String(this.state.up));
    const { labels } = this;
    const colours = [...(labels ? [["label", labels.name] as const] : []), ["none", "none"] as const];
    const figures = [["elbo", "ELBO"], ["p", "p-value"], ["error", "reconstruction error"]] as const;
    const features = this.look.names.map((name, j) => [`x${j}`, name] as const);
    const given = this.vae.conditions.names.map((name, k) => [`c${k}`, name] as const);
    const all = [...colours, ...given, ...figures, ...features];
    if (!all.some(([value]) => value === this.state.colour)) this.state.colour = labels ? "label" : "elbo";
    options("colour", all, this.state.colour);
    const forms: Form[] = [...(this.look.shape ? ["picture" as const] : []), "bars", "curve"];
    if (!forms.includes(this.state.form as Form)) this.state.form = this.look.shape ? "picture" : this.site.curve ? "curve" : "bars";
    options("form", forms.map((form) => [form, form]), this.state.form);
    this.addSliders();
  }

  private addSliders(): void {
    const sliders = this.latents.busiest.slice(0, SLIDERS).map((latent) => {
      const label = document.createElement("label");
      const input = Object.assign(document.createElement("input"), { type: "range", step: "any" });
      input.dataset["latent"] = String(latent);
      input.addEventListener("input", () => {
        this.z[latent] = Number(input.value);
        this.changed();
      });
      label.append(`latent ${latent}`, input, document.createElement("output"));
      return label;
    });
    byId("sliders").replaceChildren(...sliders);
    this.limitSliders();
  }

  /** Sliders go three deviations of the prior to either side of its mean. */
  private limitSliders(): void {
    for (const input of byId("sliders").querySelectorAll("input")) {
      const { mean, deviation } = this.latents.range(Number(input.dataset["latent"]));
      [input.min, input.max] = [String(mean - 3 * deviation), String(mean + 3 * deviation)];
    }
  }

  private async start(): Promise<void> {
    const { row, condition } = this.state;
    this.decoded.become(this.state.form as Form);
    if (row !== null && row < this.rows.length) await this.pick(row);
    else this.state.row = null;
    if (this.given === undefined) this.give(this.vae.conditions.width ? this.vae.conditions.ofRows(this.controls.usual, 1) : undefined);
    if (this.vae.conditions.width && condition !== null) {
      await attempt(() => this.giveValues({ ...this.controls.usual, ...condition }));
    }
    this.redraw();
    this.changed();
  }

  /** Decode and sample under the condition of these values; `InputError` for one that the model does not know. */
  giveValues(values: Values): void {
    this.give(this.vae.conditions.ofRows(values, 1));
    this.redraw();
    this.changed();
  }

  /** The point, the prior and samples are under these conditions [1, C]. */
  private give(c: Rows | undefined): void {
    if (c === undefined) return;
    this.given = c;
    const values = Object.entries(this.vae.conditions.valuesOf(c.row(0)));
    this.state.condition = Object.fromEntries(values.map(([name, value]) => [name, typeof value === "number" ? Number(value.toPrecision(6)) : value]));
    this.controls.show(this.state.condition);
    this.latents.prior = this.vae.prior.under(c);
    this.limitSliders();
  }

  get pair(): readonly [Direction, Direction] {
    return [this.latents.directions[this.state.across], this.latents.directions[this.state.up]];
  }

  /** Draw the map again. */
  redraw(): void {
    const [first, second] = this.pair;
    const places = [first, second].map((direction) =>
      Float64Array.from({ length: this.mu.length }, (_, i) => this.latents.place(this.mu.row(i), direction)),
    );
    const groups = grouped(this.values(), this.rows.length);
    const ellipses = byId<HTMLInputElement>("prior").checked ? this.latents.ellipses([first, second]) : [];
    this.map.draw(places[0], places[1], [first.name, second.name], groups, ellipses);
    legend(byId("legend"), groups);
    this.mark();
  }

  /** Values by which rows are coloured. */
  private values(): ArrayLike<number | string> {
    const { colour } = this.state;
    if (colour === "label" && this.labels) return this.labels.values;
    if (this.c && /^c\d/.test(colour)) {
      const name = this.vae.conditions.names[Number(colour.slice(1))];
      return Array.from({ length: this.rows.length }, (_, i) => this.vae.conditions.valuesOf(this.c!.row(i))[name]);
    }
    if (colour.startsWith("x")) return Array.from({ length: this.rows.length }, (_, i) => this.rows.row(i)[Number(colour.slice(1))]);
    const scores = this.scores;
    const found = scores && { elbo: scores.elbo, p: scores.pValue, error: scores.reconstructionError }[colour];
    return found && !Number.isNaN(found[0]) ? found : new Array<string>(this.rows.length).fill("all rows");
  }

  async recolour(colour: string): Promise<void> {
    this.state.colour = colour;
    if (["elbo", "p", "error"].includes(colour)) await this.score();
    this.redraw();
    writeState(this.state);
  }

  /** Scores of the rows on the map. */
  async score(): Promise<Scores> {
    if (this.scores !== null) return this.scores;
    const rows = this.rows;
    const scores = await this.vae.score(rows, { condition: this.c });
    if (rows === this.rows) this.scores = scores; // a table may have been dropped since
    return scores;
  }

  /** Show other rows, under conditions c [N, C], on the map. */
  async replaceRows(rows: Rows, c: Rows | undefined): Promise<Scores> {
    const mu = await this.vae.embed(rows, { condition: c });
    [this.rows, this.c, this.mu, this.scores, this.state.row] = [rows, c, mu, null, null];
    [this.ids, this.labels] = [[], null];
    const scores = await this.score();
    this.state.colour = Number.isNaN(scores.pValue[0]) ? "elbo" : "p";
    byId<HTMLSelectElement>("colour").value = this.state.colour;
    this.redraw();
    return scores;
  }

  /** Decode at a place on the map. */
  move(place: Point): void {
    this.latents.move(this.z, this.pair, place);
    this.changed();
  }

  /** Move by shares of the shown part of the map. */
  nudge(across: number, up: number): void {
    const [wide, high] = this.map.span();
    const [x, y] = this.pair.map((direction) => this.latents.place(this.z, direction));
    this.move([x + across * wide, y + up * high]);
  }

  /** Decode these latents, under conditions [1, C]. */
  moveTo(z: ArrayLike<number>, c: Rows | undefined): void {
    this.z.set(z);
    this.give(c);
    this.changed();
  }

  /** No row is picked; the point stays. */
  unpick(): void {
    this.state.row = null;
    this.changed();
  }

  /** Pick a row: its posterior mean is decoded beside it, under its own conditions. */
  async pick(row: number): Promise<void> {
    this.state.row = row;
    this.z.set(this.mu.row(row));
    if (this.c) {
      this.give(this.c.slice(row, row + 1));
      this.redraw();
    }
    this.changed();
  }

  become(form: Form): void {
    this.state.form = form;
    this.decoded.become(form);
    this.changed();
  }

  private mark(): void {
    const [x, y] = this.pair.map((direction) => this.latents.place(this.z, direction));
    this.map.mark([x, y]);
  }

  /** Show the point, its row and its decoded features; one decoding at a time. */
  private changed(): void {
    const { row } = this.state;
    this.state.z = [...this.z];
    if (row !== null && this.mu.row(row).some((value, j) => value !== this.z[j])) this.state.row = null;
    byId<HTMLInputElement>("row").value = this.state.row === null ? "" : String(this.state.row);
    byId("row-facts").textContent = this.state.row === null ? "" : this.words(this.state.row);
    for (const label of byId("sliders").children) {
      const input = label.querySelector("input")!;
      const value = this.z[Number(input.dataset["latent"])];
      input.value = String(value);
      label.querySelector("output")!.textContent = value.toFixed(2);
    }
    writeState(this.state);
    if (this.decoding) this.waiting = true;
    else void this.decode();
  }

  private async decode(): Promise<void> {
    this.decoding = true;
    do {
      this.waiting = false;
      const begun = performance.now();
      await this.decodeOnce().then(
        () => {
          if (this.refused) accept();
          this.refused = false;
        },
        (error: unknown) => {
          refuse(error);
          this.refused = true;
        },
      );
      this.frames = { count: this.frames.count + 1, last: performance.now() - begun };
      await new Promise(requestAnimationFrame);
    } while (this.waiting);
    this.decoding = false;
  }

  private async decodeOnce(): Promise<void> {
    const row = this.state.row;
    this.mark();
    const features = await this.vae.decode(new Rows(this.z.slice(), this.z.length), { condition: this.given });
    this.decoded.show(features.data, row === null ? null : this.rows.row(row));
  }

  private words(row: number): string {
    const { labels } = this;
    const given = this.c ? Object.entries(this.vae.conditions.valuesOf(this.c.row(row))).slice(0, SHOWN) : [];
    const own = labels ? [[labels.name, labels.values[row]] as const] : [];
    const ids = this.ids.map(({ name, values }) => [name, values[row]] as const);
    const facts = new Map([...ids, ...given, ...own]); // a label may be a condition or an id
    const label = [...facts].map(([name, value]) => `, ${name} ${typeof value === "number" ? Number(value.toPrecision(4)) : value}`).join("");
    if (this.scores === null) return `row ${row}${label}`;
    const { elbo, pValue, reconstructionError } = this.scores;
    const p = Number.isNaN(pValue[row]) ? "" : `, p-value ${pValue[row].toPrecision(2)}`;
    return `row ${row}${label}: ELBO ${elbo[row].toFixed(2)} nats, error ${reconstructionError[row].toFixed(3)}${p}`;
  }
}

/** Least and greatest value of rows, so that pictures and heat maps share one scale. */
function rangeOf(rows: Rows): readonly [number, number] {
  let [least, most] = [Infinity, -Infinity];
  for (const value of rows.data) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  return [least, most];
}
