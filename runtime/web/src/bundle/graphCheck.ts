/** Check a raw ONNX graph: only operators and fields that the exporter writes are accepted; field numbers of onnx.proto. */

import { BundleError } from "../errors.js";
import { CONDITION, IR_VERSION, OPSET } from "./manifest.js";
import type { GraphSpec, Precision, TensorSpec } from "./manifest.js";
import { BLOB, FIXED, INT, Message, RefusedError } from "./protobuf.js";
import type { Fields } from "./protobuf.js";

// Max to ReduceMin: distance of a row from the training rows, and what is multiplied by a function of it.
const FP32 = [
  ...["Gemm", "Relu", "Add", "Sub", "Clip", "Exp", "Log", "Sigmoid", "Identity"],
  ...["Max", "Mul", "Neg", "ReduceMax", "ReduceMin"],
  "Concat", // of rows with their conditions
];
const OPERATORS: Readonly<Record<Precision, ReadonlySet<string>>> = {
  fp32: new Set(FP32),
  fp16: new Set([...FP32, "Cast"]),
  // No operator adds an axis: broadcasting rows against rows would need memory quadratic in the batch.
  int8: new Set([...FP32, "DequantizeLinear", "Expand", "MatMulInteger", "QuantizeLinear", "Shape"]),
};
/** Bytes of an element by TensorProto.DataType. */
const TYPE_BYTES: Readonly<Record<Precision, Readonly<Record<number, number>>>> = {
  fp32: { 1: 4, 7: 8 },
  fp16: { 1: 4, 7: 8, 10: 2 },
  int8: { 1: 4, 2: 1, 3: 1, 7: 8 },
};
const FLOAT = 1;
const ATTRIBUTES: Readonly<Record<string, Readonly<Record<string, readonly number[]>>>> = {
  Concat: { axis: [1] },
  Gemm: { alpha: [1], beta: [1], transA: [0], transB: [0, 1] },
  Cast: { to: [1, 10] },
  QuantizeLinear: { axis: [0, 1], saturate: [1] },
  DequantizeLinear: { axis: [0, 1] },
  ReduceMax: { keepdims: [0, 1], noop_with_empty_axes: [0] },
  ReduceMin: { keepdims: [0, 1], noop_with_empty_axes: [0] },
};
const PRODUCTS = ["Gemm", "MatMulInteger"];
const NODES = 1000;

// All other fields are refused: functions, subgraphs, sparse and external data, training info, doc strings, value info.
const MODEL: Fields = {
  1: ["ir_version", INT],
  2: ["producer_name"],
  3: ["producer_version"],
  4: ["domain"],
  5: ["model_version", INT],
  7: ["graph"],
  8: ["opset", BLOB, true],
  14: ["metadata", BLOB, true],
};
const OPSET_FIELDS: Fields = { 1: ["domain"], 2: ["version", INT] };
const ENTRY: Fields = { 1: ["key"], 2: ["value"] };
const GRAPH: Fields = {
  1: ["node", BLOB, true],
  2: ["name"],
  5: ["initializer", BLOB, true],
  11: ["input", BLOB, true],
  12: ["output", BLOB, true],
};
const NODE: Fields = {
  1: ["input", BLOB, true],
  2: ["output", BLOB, true],
  3: ["name"],
  4: ["op_type"],
  5: ["attribute", BLOB, true],
  7: ["domain"],
};
const ATTRIBUTE: Fields = { 1: ["name"], 2: ["f", FIXED], 3: ["i", INT], 20: ["type", INT] };
const TENSOR: Fields = { 1: ["dims", INT, true], 2: ["data_type", INT], 8: ["name"], 9: ["raw_data"] };
const VALUE: Fields = { 1: ["name"], 2: ["type"] };
const TYPE: Fields = { 1: ["tensor"] };
const TENSOR_TYPE: Fields = { 1: ["elem_type", INT], 2: ["shape"] };
const SHAPE: Fields = { 1: ["dim", BLOB, true] };
const DIM: Fields = { 1: ["value", INT], 2: ["param"] };

/** Throw `BundleError` unless `data` is a graph of this spec and metadata, made of accepted operators and fields. */
export function checkGraph(
  data: Uint8Array,
  name: string,
  spec: GraphSpec,
  precision: Precision,
  metadata: ReadonlyMap<string, string>,
): void {
  try {
    const model = new Message(data, MODEL, "model");
    checkModel(model, metadata);
    const graph = new Message(model.bytes("graph"), GRAPH, "graph");
    const ranks = initialisers(graph.blobs("initializer"), TYPE_BYTES[precision]);
    checkValues(graph.blobs("input"), spec.inputs, "input");
    checkValues(graph.blobs("output"), spec.outputs, "output");
    checkNodes(graph.blobs("node"), ranks, new Set(spec.inputs.map((tensor) => tensor.name)), OPERATORS[precision]);
  } catch (reason) {
    if (!(reason instanceof RefusedError)) throw reason;
    throw new BundleError(
      `${name} is refused: ${reason.message}: expected a graph as \`aaptvae export\` writes it: export the ` +
        "bundle again, or do not trust it",
    );
  }
}

function checkModel(model: Message, metadata: ReadonlyMap<string, string>): void {
  const opsets = model.blobs("opset").map((item) => new Message(item, OPSET_FIELDS, "opset"));
  const versions = opsets.map((opset) => `('${opset.text("domain")}', ${opset.int("version") ?? "None"})`);
  const known = [`('', ${OPSET})`, `('ai.onnx', ${OPSET})`].includes(versions.join(", "));
  if (model.int("ir_version") !== IR_VERSION || !known) {
    throw new RefusedError(
      `it has IR ${model.int("ir_version") ?? "None"} and opsets [${versions.join(", ")}], not ${IR_VERSION} and ${OPSET}`,
    );
  }
  const entries = model.blobs("metadata").map((item) => new Message(item, ENTRY, "metadata entry"));
  const found = entries.map((entry) => [entry.text("key"), entry.text("value")] as const);
  const wrong = found.filter(([key, value]) => metadata.get(key) !== value).map(([key]) => key);
  const missing = [...metadata.keys()].filter((key) => !found.some(([other]) => other === key));
  if (wrong.length || missing.length || found.length !== metadata.size) {
    const keys = [...new Set([...wrong, ...missing])];
    const listed = (keys.length ? keys : found.map(([key]) => key)).sort();
    throw new RefusedError(`its ${listed.join(", ")} is not the manifest's (files of two bundles?)`);
  }
}

/** Rank of each weight by name; the shape must account for every byte. */
function initialisers(tensors: readonly Uint8Array[], typeBytes: Readonly<Record<number, number>>): Map<string, number> {
  const ranks = new Map<string, number>();
  for (const item of tensors) {
    const tensor = new Message(item, TENSOR, "initialiser");
    const [name, shape, kind] = [tensor.text("name"), tensor.ints("dims"), tensor.int("data_type") ?? 0];
    if (!Object.hasOwn(typeBytes, kind) || shape.length > 2 || ranks.has(name)) {
      throw new RefusedError(`initialiser '${name}' has type ${kind} and shape [${shape.join(", ")}], or occurs twice`);
    }
    const bytes = tensor.bytes("raw_data").length;
    if (typeBytes[kind] * shape.reduce((product, axis) => product * axis, 1) !== bytes) {
      throw new RefusedError(`initialiser '${name}' declares [${shape.join(", ")}] over ${bytes} bytes`);
    }
    ranks.set(name, shape.length);
  }
  return ranks;
}

function checkValues(values: readonly Uint8Array[], expected: readonly TensorSpec[], kind: string): void {
  const found = values.map(valueOf);
  const wanted = expected.map((tensor) => `('${tensor.name}', ${FLOAT}, (${tensor.shape.join(", ")}))`);
  if (found.join(", ") !== wanted.join(", ")) {
    throw new RefusedError(`its ${kind}s are [${found.join(", ")}], not float32 [${wanted.join(", ")}]`);
  }
}

/** Name, element type and shape; -1 for a symbolic axis. */
function valueOf(data: Uint8Array): string {
  const value = new Message(data, VALUE, "value");
  const tensor = new Message(new Message(value.bytes("type"), TYPE, "type").bytes("tensor"), TENSOR_TYPE, "tensor type");
  const axes = new Message(tensor.bytes("shape"), SHAPE, "shape").blobs("dim").map((axis) => new Message(axis, DIM, "axis"));
  const shape = axes.map((axis) => axis.int("value") ?? -1);
  return `('${value.text("name")}', ${tensor.int("elem_type") ?? 0}, (${shape.join(", ")}))`;
}

/** Names known so far: weights with their ranks, activations, and computed shapes. */
interface Known {
  readonly ranks: Map<string, number>;
  readonly computed: Set<string>;
  readonly shapes: Set<string>;
}

/** Check nodes in order. Every operator takes an activation, so constant folding cannot build a large tensor. */
function checkNodes(
  nodes: readonly Uint8Array[],
  ranks: Map<string, number>,
  computed: Set<string>,
  operators: ReadonlySet<string>,
): void {
  if (nodes.length > NODES || [...computed].some((name) => ranks.has(name))) {
    throw new RefusedError(`it has ${nodes.length} nodes, or an input with a default value`);
  }
  const known = { ranks, computed, shapes: new Set<string>() };
  for (const item of nodes) checkNode(new Message(item, NODE, "node"), known, operators);
}

function checkNode(node: Message, known: Known, operators: ReadonlySet<string>): void {
  const [operator, inputs, outputs] = [node.text("op_type"), node.texts("input"), node.texts("output")];
  if (!operators.has(operator) || node.bytes("domain").length) {
    throw new RefusedError(
      `it has an operator '${operator}' of domain '${node.text("domain")}', not one of ${[...operators].sort().join(", ")}`,
    );
  }
  const { ranks, computed, shapes } = known;
  const taken = outputs.some((name) => computed.has(name) || ranks.has(name) || shapes.has(name));
  if (!inputs.length || !outputs.length || new Set(outputs).size < outputs.length || taken) {
    throw new RefusedError(`a ${operator} from [${inputs.join(", ")}] to [${outputs.join(", ")}] has no input or output, or one computed before`);
  }
  const int8 = operators.has("MatMulInteger");
  checkAttributes(node.blobs("attribute"), operator, int8);
  if (operator === "Cast" && ranks.get(inputs[0]) === 2 && !int8) {
    // A float16 weight cast for the product that uses it; the stored one may not be used again.
    ranks.delete(inputs[0]);
    for (const name of outputs) ranks.set(name, 2);
    return;
  }
  if (operator === "Concat" && (inputs.length !== 2 || inputs[1] !== CONDITION)) {
    // So that widths cannot multiply.
    throw new RefusedError(`a Concat joins [${inputs.join(", ")}]: expected rows and the input '${CONDITION}'`);
  }
  inputs.forEach((name, place) => {
    if (!fits(operator, place, name, known)) {
      throw new RefusedError(`input ${place} of a ${operator} is '${name}', which is not allowed there`);
    }
  });
  for (const name of outputs) (operator === "Shape" ? shapes : computed).add(name);
}

/** True if an input at this place may be a weight of this rank, an activation or a computed shape. */
function fits(operator: string, place: number, name: string, known: Known): boolean {
  const rank = known.ranks.get(name);
  if (operator === "Expand") return place === 0 ? rank === 0 : known.shapes.has(name); // a scalar, to an activation's shape
  if (PRODUCTS.includes(operator) && place === 1) return rank === 2;
  return known.computed.has(name) || (place > 0 && (rank === 0 || rank === 1) && operator !== "Concat");
}

/** Check that attributes have known names and values; reductions keep their axis (keepdims), except in int8 graphs. */
function checkAttributes(attributes: readonly Uint8Array[], operator: string, int8: boolean): void {
  const allowed = ATTRIBUTES[operator] ?? {};
  for (const item of attributes) {
    const attribute = new Message(item, ATTRIBUTE, "attribute");
    const name = attribute.text("name");
    const float = attribute.bytes("f");
    const value = attribute.has("f") ? new DataView(float.buffer, float.byteOffset).getFloat32(0, true) : (attribute.int("i") ?? 0);
    const known = Object.hasOwn(allowed, name) && allowed[name].includes(value);
    if (!known || (name === "keepdims" && value === 0 && !int8)) throw new RefusedError(`a ${operator} has ${name} = ${value}`);
  }
}

/** A weight of an fp32 graph; `BundleError` unless it has this shape. */
export function weightOf(data: Uint8Array, name: string, shape: readonly [number, number]): Float32Array {
  try {
    for (const item of new Message(new Message(data, MODEL, "model").bytes("graph"), GRAPH, "graph").blobs("initializer")) {
      const tensor = new Message(item, TENSOR, "initialiser");
      const raw = tensor.bytes("raw_data");
      const fits = tensor.ints("dims").join() === shape.join() && raw.length === 4 * shape[0] * shape[1];
      if (tensor.text("name") === name && fits && tensor.int("data_type") === FLOAT) return new Float32Array(raw.slice().buffer);
    }
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    throw new BundleError(`${name} cannot be read: ${error.message}: export the bundle again`);
  }
  throw new BundleError(`the graph has no float32 weight ${name} of shape (${shape.join(", ")}): export the bundle again`);
}
