/** onnxruntime sessions of checked graphs, run over rows in chunks. */

import type { InferenceSession, InferenceSessionFactory, TensorConstructor } from "onnxruntime-common";

import { CONDITION } from "../bundle/manifest.js";
import type { GraphSpec } from "../bundle/manifest.js";
import { BundleError } from "../errors.js";
import { asRows, refuseOverflow, Rows } from "../rows.js";
import type { Names, Table } from "../rows.js";

const LONGEST = 50; // ms between two pauses in which a browser draws and answers
const CHUNK = 1024; // rows a call: bounds the memory that onnxruntime keeps

/** The parts of onnxruntime that are used: the same in onnxruntime-web and onnxruntime-node. */
export interface Runtime {
  readonly InferenceSession: InferenceSessionFactory;
  readonly Tensor: TensorConstructor;
}

/** Where graphs run: onnxruntime and the name of its execution provider. */
export class Backend {
  readonly runtime: Runtime;
  readonly provider: "wasm" | "webgpu" | "cpu";
  /** The last call, for which the next one waits: onnxruntime-web runs one at a time. */
  last: Promise<unknown> = Promise.resolve();

  constructor(runtime: Runtime, provider: Backend["provider"]) {
    [this.runtime, this.provider] = [runtime, provider];
  }
}

/** The session of one graph. */
export class Network {
  private readonly backend: Backend;
  private readonly session: InferenceSession;
  private readonly input: string;
  private readonly width: number;
  private readonly widths: ReadonlyMap<string, number>;
  /** Names of the input's columns, for errors. */
  columns: Names;

  private constructor(backend: Backend, session: InferenceSession, spec: GraphSpec) {
    this.backend = backend;
    this.session = session;
    [this.input, this.width] = [spec.inputs[0].name, spec.inputs[0].shape[1]];
    this.widths = new Map(spec.outputs.map((tensor) => [tensor.name, tensor.shape[1]]));
  }

  /** A session of `graph`, which was checked; `BundleError` if onnxruntime refuses it. */
  static async open(backend: Backend, graph: Uint8Array, spec: GraphSpec): Promise<Network> {
    const options = { executionProviders: [backend.provider], intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 4 } as const;
    try {
      return new Network(backend, await backend.runtime.InferenceSession.create(graph, options), spec);
    } catch (error) {
      throw new BundleError(`onnxruntime refuses a graph of this bundle (${String(error)}): export the bundle again`);
    }
  }

  /** The named outputs of rows `x`; `c` are the conditions [N, C] of a graph that takes them. */
  async run(x: Table, outputs: readonly string[], c?: Rows): Promise<Rows[]> {
    const rows = asRows(x, this.width, this.input, this.columns);
    const results = outputs.map((name) => Rows.empty(rows.length, this.widths.get(name)!));
    let begun = performance.now();
    for (let start = 0; start < rows.length; start += CHUNK) {
      if (performance.now() - begun > LONGEST) {
        await new Promise((resolve) => setTimeout(resolve, 0));
        begun = performance.now();
      }
      const chunk = rows.slice(start, start + CHUNK);
      const parts = await this.runChunk(chunk, outputs, c?.slice(start, start + CHUNK));
      refuseOverflow(this.input, chunk, start, parts, this.columns);
      parts.forEach((part, i) => results[i].data.set(part.data, start * part.width));
    }
    return results;
  }

  private async runChunk(chunk: Rows, outputs: readonly string[], c?: Rows): Promise<Rows[]> {
    const tensor = (rows: Rows) => new this.backend.runtime.Tensor("float32", rows.data, [rows.length, rows.width]);
    const feeds = { [this.input]: tensor(chunk), ...(c && { [CONDITION]: tensor(c) }) };
    const running = this.backend.last.then(() => this.session.run(feeds, outputs));
    this.backend.last = running.catch(() => undefined);
    let found: Awaited<typeof running>;
    try {
      found = await running;
    } catch (error) {
      throw failed(String(error).replaceAll(/\s+/g, " ").trim());
    }
    return outputs.map((name) => {
      const [dims, width] = [found[name].dims, this.widths.get(name)!];
      if (dims.length !== 2 || dims[0] !== chunk.length || dims[1] !== width) {
        throw failed(`${name} has shape (${dims.join(", ")}), not (${chunk.length}, ${width})`);
      }
      return new Rows(found[name].data as Float32Array, width);
    });
  }

  /** Free the session's memory. */
  async release(): Promise<void> {
    await this.session.release();
  }
}

function failed(why: string): BundleError {
  return new BundleError(`onnxruntime cannot compute a graph of this bundle (${why}): export the bundle again`);
}
