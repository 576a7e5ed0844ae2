"""Layers become operators of ONNX, one for each torch function; other functions are refused."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from aaptvae.bundle.manifest import GraphSpec, TensorSpec
from aaptvae_export.errors import ExportError
from aaptvae_export.graph.tracing import trace

X = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
LOOSE = torch.ones(4)


def spec(width: int) -> GraphSpec:
    return GraphSpec(
        inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, 4)),),
        outputs=(TensorSpec(name="y", datatype="FP32", shape=(-1, width)),),
    )


class Every(nn.Module):
    """Each function that has an operator."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.unused = nn.Linear(4, 3), nn.Linear(4, 4)
        self.register_buffer("shift", torch.full((4,), 0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """All of them, and one whose result is not used."""
        self.unused(x)
        hidden = torch.relu(self.layer(x - self.shift))
        far = torch.maximum(hidden.amax(dim=1, keepdim=True), -hidden.amin(dim=1, keepdim=True))
        joined = torch.cat([hidden * torch.sigmoid(far), far.clamp(-1.0, 0.7)], dim=1)
        return (joined.exp() + joined).log()


def test_graphs_compute_what_the_layers_compute() -> None:
    torch.manual_seed(1)
    module = Every()
    model = trace(module, spec(4), "decoder")
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = module(X).numpy()
    for rows in (1, 50):
        assert np.allclose(session.run(None, {"x": X[:rows].numpy()})[0], expected[:rows], rtol=1e-6, atol=1e-6)
    assert {tensor.name for tensor in model.graph.initializer} == {
        "layer.weight",
        "layer.bias",
        "shift",
        "constant_0",
        "constant_1",
        "constant_2",
    }


@pytest.mark.parametrize(
    ("forward", "words"),
    [
        (lambda x: x.tanh(), "decoder.onnx: the layers call tanh, which has no operator here"),
        (lambda x: x * 2.0, "the layers call mul, which has no operator"),
        (lambda x: x.amax(dim=0, keepdim=True) + x, "the layers call amax"),
        (lambda x: x + LOOSE, r"use a tensor \(4,\) that is no weight"),
        (lambda x: x[:, :2], "the layers call getitem"),
    ],
)
def test_a_function_without_operator_is_refused(forward, words) -> None:  # type: ignore[no-untyped-def]
    module = nn.Identity()
    module.forward = forward
    with pytest.raises(ExportError, match=words):
        trace(module, spec(4), "decoder")
