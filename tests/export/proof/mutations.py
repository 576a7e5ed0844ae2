"""Wrong exports: mutations of traced graphs and of folded layers."""

import copy

import numpy as np
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn import functional as F


class Wrapped(nn.Module):
    """A folded graph with something done to what it returns."""

    def __init__(self, inner, change):
        super().__init__()
        self.inner, self.change = inner, change

    def forward(self, x):
        return self.change(self.inner(x))

    def state_dict(self, **options):
        return self.inner.state_dict(**options)


def swap_outputs(model):
    for node in model.graph.node:
        names = {"mu": "logvar", "logvar": "mu"}
        node.output[:] = [names.get(name, name) for name in node.output]
    order = {name: node for node in model.graph.node for name in node.output}
    assert {"mu", "logvar"} <= order.keys()


def transpose_square_weight(model):
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.ndim == 2 and values.shape[0] == values.shape[1]:
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values.T), tensor.name))
            return
    raise AssertionError("the model has no square weight")


def round_to_float16(model):
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16).astype(np.float32), tensor.name))


def fix_batch(model):
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 3


def drop_relu(model):
    relu = next(node for node in model.graph.node if node.op_type == "Relu")
    relu.op_type = "Identity"


def other_activation(model):
    next(node for node in model.graph.node if node.op_type == "Relu").op_type = "Sigmoid"


def widen_clip(model):
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.shape == () and values == 20:
            tensor.CopyFrom(numpy_helper.from_array(np.float32(25), tensor.name))


def perturb_weight(model):
    tensor = model.graph.initializer[0]
    values = numpy_helper.to_array(tensor).copy()
    values.flat[0] = np.nextafter(values.flat[0], np.float32(np.inf))
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


GRAPH_MUTATIONS = {
    "swapped outputs": ("encoder", swap_outputs),
    "missing ReLU": ("decoder", drop_relu),
    "another activation": ("encoder", other_activation),
    "transposed weight": ("encoder", transpose_square_weight),
    "float16-rounded weights": ("decoder", round_to_float16),
    "fixed batch": ("encoder", fix_batch),
    "another logvar range": ("encoder", widen_clip),
    "one weight one rounding away": ("decoder", perturb_weight),
}


def without_scaler(fold):
    def folded(model, subspace=None):
        bare = copy.deepcopy(model)
        bare.scaler.standardise_by(torch.zeros(model.input_dim), torch.ones(model.input_dim))
        return fold(bare, subspace)

    return folded


def scaler_twice(fold):
    def folded(model, subspace=None):
        twice = copy.deepcopy(model)
        mean, scale = twice.scaler.mean.clone(), twice.scaler.scale.clone()
        twice.scaler.standardise_by(mean + scale * mean, scale * scale)
        return fold(twice, subspace)

    return folded


def stale_weights(fold):
    return lambda model, subspace=None: fold(_like(model), subspace)


def _like(model):
    other = copy.deepcopy(model)
    torch.manual_seed(99)
    for layer in other.modules():
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()
    return other


def without_skip(fold):
    def folded(model, subspace=None):
        other = copy.deepcopy(model)
        other.mu_skip.weight.data.neg_()
        return fold(other, subspace)

    return folded


def random_node(fold):
    return lambda model, subspace=None: Wrapped(fold(model, subspace), lambda out: out + 1e-12 * torch.randn_like(out))


def training_dropout(fold):
    return lambda model, subspace=None: Wrapped(fold(model, subspace), lambda out: F.dropout(out, 0.5, training=True))


FOLD_MUTATIONS = {
    "unfolded scaler": ("encoder", without_scaler),
    "unfolded scaler in the decoder": ("decoder", without_scaler),
    "doubly folded scaler": ("encoder", scaler_twice),
    "stale weights": ("decoder", stale_weights),
    "wrong skip": ("encoder", without_skip),
    "random node": ("decoder", random_node),
    "training-mode dropout": ("decoder", training_dropout),
}
