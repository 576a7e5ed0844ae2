"""What else could compute the same posterior: bare onnxruntime, torch eager, numpy, OpenVINO; each as good as it gets."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
import torch
from onnxruntime.quantization import quantize_dynamic
from subject import Rows, Subject

from aaptvae.bundle.manifest import graph_file
from aaptvae.engine.network import onnxruntime

Encode = Callable[[Rows], Any]

OUTPUTS = ["mu", "logvar"]


def bare_session(subject: Subject, threads: int, precision: Any = "fp32") -> Any:
    """The bundle's encoder as it is."""
    return session((subject.path / graph_file("encoder", precision)).read_bytes(), threads)


def session(graph: bytes, threads: int) -> Any:
    """A session as a careful user would open it."""
    options = onnxruntime().SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime().InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def bare(subject: Subject, threads: int, precision: Any = "fp32") -> Encode:
    """`InferenceSession.run`, nothing around it."""
    run = bare_session(subject, threads, precision).run
    return lambda x: run(OUTPUTS, {"x": x})


def dynamic(subject: Subject) -> Encode:
    """The same encoder as onnxruntime's own `quantize_dynamic` makes it, one scale for all rows of a call, on one thread."""
    source, target = subject.path.with_suffix(".fp32"), subject.path.with_suffix(".dynamic")
    model = onnx.load(subject.path / "encoder.onnx")
    model.graph.ClearField("value_info")  # it refuses its own
    onnx.save(model, source)
    quantize_dynamic(source, target, per_channel=True)
    run = session(target.read_bytes(), 1).run
    return lambda x: run(OUTPUTS, {"x": x})


def torch_eager(subject: Subject) -> Encode:
    """The trained model itself, numpy to numpy."""

    @torch.inference_mode()
    def encode(x: Rows) -> object:
        mu, logvar = subject.model.encode(torch.from_numpy(x))
        return mu.numpy(), logvar.numpy()

    return encode


def numpy_only(subject: Subject) -> Encode:
    """Matrix products by hand."""
    model = subject.model
    layers = (model.encoder[0], model.mu, model.logvar)
    (w, b), (w_mu, b_mu), (w_var, b_var) = ((m.weight.detach().numpy().T.copy(), m.bias.detach().numpy()) for m in layers)
    skip = None if model.mu_skip is None else model.mu_skip.weight.detach().numpy().T.copy()

    def encode(x: Rows) -> object:
        hidden = x @ w
        hidden += b
        np.maximum(hidden, 0, out=hidden)
        mu, logvar = hidden @ w_mu, hidden @ w_var
        mu += b_mu
        logvar += b_var
        if skip is not None:
            mu += x @ skip
        return mu, np.clip(logvar, -30, 20, out=logvar)

    return encode


def openvino(subject: Subject, threads: int) -> Encode | None:
    """The same graph on OpenVINO, inputs and outputs shared; None where it is not installed."""
    try:
        import openvino as ov  # noqa: PLC0415 - not everybody has it
    except ImportError:
        return None
    core = ov.Core()
    model = core.read_model(subject.path / "encoder.onnx")
    hints = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(model, "CPU", hints).create_infer_request()
    return lambda x: request.infer({0: x}, share_inputs=True, share_outputs=True)


def in_chunks(encode: Encode, x: Rows, size: int) -> Callable[[], None]:
    """`encode` of all rows, chunk by chunk, results dropped: the least that anybody has to do."""

    def run() -> None:
        for part in chunks(x, size):
            encode(part)

    return run


def kept(encode: Encode, x: Rows, size: int, width: int) -> Callable[[], None]:
    """The same with the results in two new arrays, which is what a caller of ours gets."""

    def run() -> None:
        results = [np.empty((len(x), width), np.float32) for _ in OUTPUTS]
        for start in range(0, len(x), size):
            for result, part in zip(results, encode(x[start : start + size]), strict=True):
                result[start : start + size] = part

    return run


def chunks(x: Rows, size: int) -> Iterator[Rows]:
    """Views of `size` rows."""
    return (x[start : start + size] for start in range(0, len(x), size))
