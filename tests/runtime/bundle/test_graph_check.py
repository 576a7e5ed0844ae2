"""The check of ONNX bytes: graphs as exported pass, each hostile change is refused with its own message."""

import contextlib
from collections.abc import Callable

import numpy as np
import pytest

from aaptvae import BundleError
from aaptvae.bundle.graph_check import check_graph, cut
from aaptvae.bundle.graph_specs import decoder_spec, encoder_spec
from aaptvae.bundle.manifest import Precision
from aaptvae.engine.network import Settings, open_session

onnx = pytest.importorskip("onnx", reason="hostile graphs are made with the onnx package")
make_tiny = pytest.importorskip("make_tiny")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

METADATA = {"aaptvae.pair_id": "0" * 64, "aaptvae.graph": "encoder"}
Change = Callable[[onnx.ModelProto], object]


def encoder() -> onnx.ModelProto:
    model = make_tiny.encoder(make_tiny.weights(0))
    helper.set_model_props(model, METADATA)
    return model


def check(model: onnx.ModelProto, precision: Precision = "fp32") -> None:
    check_graph(model.SerializeToString(), "encoder.onnx", encoder_spec(5, 2), precision, METADATA)


def weight(model: onnx.ModelProto, name: str = "enc.w") -> onnx.TensorProto:
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def insert(model: onnx.ModelProto, operator: str, inputs: list[str], **attributes: object) -> None:
    model.graph.node.insert(0, helper.make_node(operator, inputs, ["extra"], **attributes))


def add(model: onnx.ModelProto, name: str, array: np.ndarray) -> None:
    model.graph.initializer.append(numpy_helper.from_array(array, name))


def branch() -> onnx.GraphProto:
    return helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "branch",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )


def external(model: onnx.ModelProto, location: str) -> None:
    tensor = weight(model)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)


def retype(model: onnx.ModelProto, kind: int) -> None:
    model.graph.input[0].type.tensor_type.elem_type = kind


def resize(model: onnx.ModelProto, *dims: int) -> None:
    del weight(model).dims[:]
    weight(model).dims.extend(dims)


def rename(model: onnx.ModelProto) -> None:
    model.graph.output[0].name, model.graph.output[1].name = "logvar", "mu"


def optional(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("enc.w", TensorProto.FLOAT, [3, 5]))


def test_the_exporters_graphs_pass() -> None:
    check(encoder())
    data = make_tiny.decoder(make_tiny.weights(0)).SerializeToString()
    check_graph(data, "decoder.onnx", decoder_spec(5, 2), "fp32", {})


HOSTILE: dict[str, tuple[Change, str]] = {
    "if": (lambda m: insert(m, "If", ["x"], then_branch=branch(), else_branch=branch()), "operator 'If'"),
    "loop": (lambda m: insert(m, "Loop", ["x"], body=branch()), "operator 'Loop'"),
    "scan": (lambda m: insert(m, "Scan", ["x"], body=branch(), num_scan_inputs=1), "operator 'Scan'"),
    "constant of shape": (lambda m: insert(m, "ConstantOfShape", ["x"]), "operator 'ConstantOfShape'"),
    "constant": (lambda m: insert(m, "Constant", [], value=numpy_helper.from_array(np.ones(1))), "operator 'Constant'"),
    "random": (lambda m: insert(m, "RandomNormal", [], shape=[4]), "operator 'RandomNormal'"),
    "expand": (lambda m: insert(m, "Expand", ["x", "enc.b"]), "operator 'Expand'"),
    "doubled rows": (lambda m: insert(m, "Concat", ["x", "x"], axis=1), "a Concat joins"),
    "more rows": (lambda m: insert(m, "Concat", ["x", "c"], axis=0), "a Concat has axis = 0"),
    "unknown conditions": (lambda m: insert(m, "Concat", ["x", "c"], axis=1), "input 1 of a Concat is 'c'"),
    "custom domain": (lambda m: insert(m, "Relu", ["x"], domain="evil"), "operator 'Relu' of domain 'evil'"),
    "contrib domain": (lambda m: insert(m, "Gelu", ["x"], domain="com.microsoft"), "operator 'Gelu' of domain"),
    "second opset": (lambda m: m.opset_import.append(helper.make_opsetid("evil", 1)), "not 10 and 20"),
    "other opset": (lambda m: m.opset_import[0].__setattr__("version", 21), "not 10 and 20"),
    "other IR": (lambda m: m.__setattr__("ir_version", 11), "not 10 and 20"),
    "function": (lambda m: m.functions.append(helper.make_function("d", "f", [], [], [], [])), "model has a field 25"),
    "training": (lambda m: m.training_info.add(), "model has a field 20"),
    "doc string": (lambda m: m.__setattr__("doc_string", "x"), "model has a field 6"),
    "sparse": (lambda m: m.graph.sparse_initializer.add(), "graph has a field 15"),
    "value info": (lambda m: m.graph.value_info.add(), "graph has a field 13"),
    "quantisation": (lambda m: m.graph.quantization_annotation.add(), "graph has a field 14"),
    "external": (lambda m: external(m, "weights.bin"), "initialiser has a field 1[34]"),
    "external up": (lambda m: external(m, "../../etc/passwd"), "initialiser has a field 1[34]"),
    "float data": (lambda m: weight(m).float_data.append(1), "initialiser has a field 4"),
    "subgraph attribute": (
        lambda m: m.graph.node[0].attribute.append(helper.make_attribute("g", branch())),
        "attribute has a field 6",
    ),
    "attribute": (
        lambda m: m.graph.node[1].attribute.append(helper.make_attribute("alpha", 1.0)),
        "Relu has alpha = 1.0",
    ),
    "transposed input": (lambda m: m.graph.node[0].attribute.append(helper.make_attribute("transA", 1)), "transA = 1"),
    "scaled": (lambda m: m.graph.node[0].attribute.append(helper.make_attribute("alpha", 2.0)), "Gemm has alpha = 2.0"),
    "swapped names": (rename, "outputs are .*'logvar'.*'mu'"),
    "float16 input": (lambda m: retype(m, TensorProto.FLOAT16), r"inputs are \[\('x', 10"),
    "untyped input": (lambda m: m.graph.input[0].ClearField("type"), "inputs are"),
    "fixed batch": (lambda m: m.graph.input[0].type.tensor_type.shape.dim[0].__setattr__("dim_value", 1), "inputs are"),
    "wrong rank": (lambda m: m.graph.input[0].type.tensor_type.shape.dim.add(dim_value=1), "inputs are"),
    "wrong width": (
        lambda m: m.graph.output[0].type.tensor_type.shape.dim[1].__setattr__("dim_value", 3),
        "outputs are",
    ),
    "input with default": (optional, "inputs are"),
    "second input": (lambda m: m.graph.input.append(m.graph.input[0]), "inputs are"),
    "missing output": (lambda m: m.graph.output.pop(), "outputs are"),
    "short weight": (lambda m: weight(m).__setattr__("raw_data", b"1234"), r"declares \[3, 5\] over 4 bytes"),
    "huge weight": (lambda m: resize(m, 1 << 40, 5), "over 60 bytes"),
    "int64 overflow": (lambda m: resize(m, 1 << 62, 4), "over 60 bytes"),
    "negative weight": (lambda m: resize(m, -3, -5), "over 60 bytes"),
    "rank 3 weight": (lambda m: resize(m, 3, 5, 1), r"shape \[3, 5, 1\]"),
    "string weight": (lambda m: weight(m).__setattr__("data_type", TensorProto.STRING), "has type 8"),
    "float64 weight": (lambda m: weight(m).__setattr__("data_type", TensorProto.DOUBLE), "has type 11"),
    "weight twice": (lambda m: m.graph.initializer.append(weight(m)), "occurs twice"),
    "weight as data": (lambda m: m.graph.node[0].input.__setitem__(0, "enc.w"), "input 0 of a Gemm is 'enc.w'"),
    "data as weight": (lambda m: m.graph.node[3].input.__setitem__(1, "x"), "input 1 of a Gemm is 'x'"),
    "outer product": (lambda m: insert(m, "Add", ["x", "enc.w"]), "input 1 of a Add is 'enc.w'"),
    "constant folding": (lambda m: insert(m, "Add", ["enc.b", "enc.b"]), "input 0 of a Add is 'enc.b'"),
    "unknown input": (lambda m: insert(m, "Relu", ["nobody"]), "input 0 of a Relu is 'nobody'"),
    "computed twice": (lambda m: m.graph.node[1].output.__setitem__(0, "h"), r"from \['h'\] to \['h'\]"),
    "output over input": (lambda m: m.graph.node[1].output.__setitem__(0, "x"), r"from \['h'\] to \['x'\]"),
    "node without end": (lambda m: m.graph.node[1].ClearField("output"), "has no input or output"),
    "many nodes": (lambda m: m.graph.node.extend([m.graph.node[0]] * 1001), "nodes, or an input"),
    "overload": (lambda m: m.graph.node[0].__setattr__("overload", "x"), "node has a field 8"),
    "other pair": (
        lambda m: m.metadata_props[0].__setattr__("value", "1" * 64),
        "aaptvae.pair_id is not the manifest's",
    ),
    "missing metadata": (lambda m: m.metadata_props.pop(), "aaptvae.graph is not the manifest's"),
    "metadata twice": (lambda m: m.metadata_props.append(m.metadata_props[0]), "not the manifest's"),
    "more metadata": (lambda m: m.metadata_props.add(key="k", value="v"), "k is not the manifest's"),
    "not UTF-8": (lambda m: m.graph.node[0].ClearField("op_type"), "operator ''"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_graph_is_refused(name: str) -> None:
    change, words = HOSTILE[name]
    model = encoder()
    change(model)
    with pytest.raises(BundleError, match=f"encoder.onnx is refused: .*{words}.*as `aaptvae export` writes it"):
        check(model)


def test_bytes_that_are_no_protobuf_are_refused() -> None:
    good = encoder().SerializeToString()
    for data in (
        b"",
        b"\x00",
        b"\xff" * 20,
        good[:-1],
        good + b"\x3a\x00",
        good + b"\x0b",
        good + b"\xfa\x01\x00",
        b"\x08" + b"\x80" * 9 + b"\x02" + good,
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f" + good,
        good * 2,
    ):
        with pytest.raises(BundleError, match=r"encoder.onnx is refused"):
            check_graph(data, "encoder.onnx", encoder_spec(5, 2), "fp32", METADATA)


def test_changed_bytes_and_truncations_are_handled() -> None:
    good, rng = encoder().SerializeToString(), np.random.default_rng(0)
    for at in range(len(good)):
        for data in (good[:at], good[:at] + bytes([int(rng.integers(256))]) + good[at + 1 :]):
            with contextlib.suppress(BundleError):
                check_graph(data, "encoder.onnx", encoder_spec(5, 2), "fp32", METADATA)


def test_int8_graphs_expand_scalars_to_batch_shapes_only() -> None:
    model = encoder()
    add(model, "z128", np.uint8(128))
    add(model, "large", np.array([1 << 40]))
    model.graph.node.insert(0, helper.make_node("Shape", ["x"], ["shape"]))
    model.graph.node.insert(1, helper.make_node("Expand", ["z128", "shape"], ["zeros"]))
    check(model, "int8")
    for inputs in (["z128", "large"], ["large", "shape"], ["x", "shape"], ["z128", "x"]):
        model.graph.node[1].input[:] = inputs
        with pytest.raises(BundleError, match="of a Expand is"):
            check(model, "int8")
    model.graph.node[1].CopyFrom(helper.make_node("Mul", ["shape", "large"], ["zeros"]))
    with pytest.raises(BundleError, match="input 0 of a Mul is 'shape'"):
        check(model, "int8")


@pytest.mark.parametrize("output", ["mu", "logvar"])
def test_a_cut_graph_computes_the_same_bits(output: str) -> None:
    data = make_tiny.encoder(make_tiny.weights(0, 33, 17, 9)).SerializeToString()
    part = cut(data, output)
    assert len(part) < len(data)
    onnx.checker.check_model(onnx.load_from_string(part), full_check=True)
    x = np.random.default_rng(0).standard_normal((70, 33)).astype(np.float32)
    whole, less = (open_session(graph, "fp32", 1, Settings()) for graph in (data, part))
    assert [value.name for value in less.get_outputs()] == [output]
    assert np.array_equal(less.run([output], {"x": x})[0], whole.run([output], {"x": x})[0])


def test_reductions_of_fp32_keep_their_axis() -> None:
    """Without it a row's figure could meet every other row's, in tensors of the batch's square."""
    model = encoder()
    add(model, "axes", np.array([1], np.int64))
    insert(model, "ReduceMax", ["x", "axes"], keepdims=1)
    check(model)
    model = encoder()
    add(model, "axes", np.array([1], np.int64))
    insert(model, "ReduceMax", ["x", "axes"], keepdims=0)
    with pytest.raises(BundleError, match="a ReduceMax has keepdims = 0"):
        check(model)
