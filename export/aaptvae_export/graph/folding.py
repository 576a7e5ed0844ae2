"""A trained model as plain float32 layers: scaler and subspace folded into the weights.

All arithmetic is float64 and is rounded once, at the end. ONNX is written by `onnx_model.py`.
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from aaptvae_training import AAPTVAE
from aaptvae_training.model.network import FADED, direction_norms

from ..errors import ExportError

_MAX_FOLDED_SHIFT = 16.0  # deviations; beyond it (years, prices) `W x - W mean` has few correct digits in float32


_PARTS = {"scaler", "encoder", "mu", "logvar", "mu_skip", "decoder", "decoder_skip"}


class Affine(NamedTuple):
    """y = W x + b in float64: W [out, in], b [out]."""

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, layer: nn.Linear) -> Self:
        """The layer's map; a missing bias is zero."""
        weight = layer.weight.detach().double()
        return cls(weight, weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach().double())

    def after(self, matrix: Tensor, offset: Tensor) -> "Affine":
        """This map of `matrix x + offset`; a vector stands for a diagonal matrix."""
        weight = self.weight * matrix if matrix.dim() == 1 else self.weight @ matrix
        return Affine(weight, self.bias + self.weight @ offset)

    def then(self, matrix: Tensor, offset: Tensor | None = None) -> "Affine":
        """`matrix` times this map, plus `offset`; a vector stands for a diagonal matrix."""
        weight = matrix[:, None] * self.weight if matrix.dim() == 1 else matrix @ self.weight
        bias = _times(matrix, self.bias)
        return Affine(weight, bias if offset is None else bias + offset)

    def with_bias_of(self, other: "Affine") -> "tuple[Affine, Affine]":
        """This and a parallel map whose results are added, with both biases in this one: int8 then has one addition less."""
        return Affine(self.weight, self.bias + other.bias), Affine(other.weight, torch.zeros_like(other.bias))

    def layer(self) -> nn.Linear:
        """Rounded to a float32 layer; `ExportError` where float32 cannot hold it."""
        linear = nn.Linear(self.weight.shape[1], self.weight.shape[0])
        linear.load_state_dict({"weight": self.weight.float(), "bias": self.bias.float()})
        if not all(torch.isfinite(value).all() for value in linear.parameters()):
            raise ExportError(
                "the folded weights overflow float32: expected column means and deviations within float32's range: rescale "
                "the features and train again"
            )
        return linear


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    return matrix * vector if matrix.dim() == 1 else matrix @ vector


def loses_digits(forward: Tensor, mean: Tensor) -> bool:
    """True if folding the mean into the bias would subtract numbers so large that float32 has few digits of the difference."""
    sizes = (forward * mean).abs() if forward.dim() == 1 else (forward * mean).norm(dim=1)
    return bool((sizes > _MAX_FOLDED_SHIFT).any())


@dataclass(frozen=True)
class Subspace:
    """Kept latents: orthonormal rows `basis` [K, L]; dropped directions are held at their value in `centre` [L]."""

    basis: Tensor
    centre: Tensor

    @property
    def offset(self) -> Tensor:
        """Constant part of every latent vector along the dropped directions, [L]."""
        return self.centre - self.basis.T @ (self.basis @ self.centre)

    @property
    def spread(self) -> Tensor:
        """Squared basis [K, L]: maps posterior variances to those of the kept directions."""
        return self.basis.square()


class Trunk(nn.Module):
    """Hidden layers [N, D] or [N, L] -> [N, H]; with a `reach`, the last one fades to 0 beyond it.

    The first layer must then be in units of the lengths of its directions: its largest value is the row's distance.
    """

    def __init__(self, layers: list[nn.Linear], reach: float | None) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.fades = reach is not None
        self.slope: Tensor
        self.origin: Tensor
        if reach is not None:
            self.register_buffer("slope", torch.tensor([-1 / (reach * (FADED - 1))]))
            self.register_buffer("origin", torch.tensor([FADED / (FADED - 1)]))

    def forward(self, x: Tensor) -> Tensor:
        """The last hidden layer."""
        first = self.layers[0](x)
        hidden = torch.relu(first)
        for layer in list(self.layers)[1:]:
            hidden = torch.relu(layer(hidden))
        if not self.fades:
            return hidden
        distance = torch.maximum(first.amax(dim=1, keepdim=True), -first.amin(dim=1, keepdim=True))
        return hidden * (distance * self.slope + self.origin).clamp(0.0, 1.0)


class EncoderGraph(nn.Module):
    """x [N, D] -> mu [N, K], logvar [N, K], with the scaler folded in."""

    def __init__(self, trunk: Trunk, mu: nn.Linear, logvar: nn.Linear, logvar_range: tuple[float, float]) -> None:
        super().__init__()
        self.trunk, self.logvar_range = trunk, logvar_range
        self.mu, self.logvar = mu, logvar
        self.mu_skip: nn.Linear | None = None
        self.axes: nn.Linear | None = None
        self.spread: nn.Linear | None = None
        self.shift: Tensor | None
        self.register_buffer("shift", None)

    def hidden(self, x: Tensor) -> Tensor:
        """Input of the heads for raw features: [N, D] -> [N, H]."""
        hidden: Tensor = self.trunk(self._inputs(x))
        return hidden

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior parameters of raw features."""
        x = self._inputs(x)
        hidden = self.trunk(x)
        mu, logvar = self.mu(hidden), self.logvar(hidden).clamp(*self.logvar_range)
        if self.mu_skip is not None:
            mu = mu + self.mu_skip(x)
        return mu, logvar if self.spread is None else self.spread(logvar.exp()).log()

    def _inputs(self, x: Tensor) -> Tensor:
        """Raw features, with the shift and the coordinates along the axes where there are any: [N, D] or [N, K]."""
        x = x if self.shift is None else x - self.shift
        return x if self.axes is None else self.axes(x)


class DecoderGraph(nn.Module):
    """z [N, K] -> reconstruction [N, D], with the scaler folded in."""

    def __init__(
        self, trunk: Trunk, out: nn.Linear, skip: nn.Linear | None, *, sigmoid: bool, axes: nn.Linear | None = None
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.out, self.skip, self.sigmoid, self.axes = out, skip, sigmoid, axes

    def forward(self, z: Tensor) -> Tensor:
        """Mean of the observation model in raw features."""
        out: Tensor = self.out(self.trunk(z))
        if self.skip is not None:
            out = out + self.skip(z)
        if self.axes is not None:
            out = self.axes(out)
        return torch.sigmoid(out) if self.sigmoid else out


def in_directions(layers: list[nn.Linear], heads: list[Affine], bounded: bool) -> list[Affine]:
    """Hidden layers of an MLP and then `heads`.

    If bounded, each unit of the first layer is divided by its norm (`direction_norms`) and the next layer multiplies by it,
    which changes nothing as relu(a) = n relu(a / n) for n > 0: the bound then applies to directions of unit length.
    """
    first, *rest = [Affine.of(layer) for layer in layers]
    if not bounded:
        return [first, *rest, *heads]
    norms = direction_norms(layers[0]).detach().double()
    first, zero = first.then(1 / norms), torch.zeros_like(norms)
    if rest:
        return [first, rest[0].after(norms, zero), *rest[1:], *heads]
    return [first, *(head.after(norms, zero) for head in heads)]


def fold_encoder(model: AAPTVAE, subspace: Subspace | None = None) -> EncoderGraph:
    """The encoder of raw features as plain layers; `ExportError` for a layer that cannot be folded."""
    _check_parts(model)
    # The network was trained with the mean rounded to float32.
    mean, forward = model.scaler.mean.float().double(), model.scaler.matrices()[0]
    shifted = loses_digits(forward, mean)
    origin = _times(forward, mean)
    scaled = forward, torch.zeros_like(origin) if shifted else -origin
    axes = Affine(*scaled).layer() if model.scaler.others else None
    if axes is not None:  # a layer of its own, which has fewer weights than the layers that it would be folded into
        scaled = torch.ones_like(origin), torch.zeros_like(origin)
    heads = [Affine.of(model.mu), Affine.of(model.logvar)]
    first, *rest, mu, logvar = in_directions(_linear_layers("encoder", model.encoder), heads, model.bounded)
    skip = None
    if model.mu_skip is not None:
        skip = Affine.of(model.mu_skip).after(*scaled)
        mu, skip = mu.with_bias_of(skip)
    graph = EncoderGraph(
        Trunk(
            [layer.layer() for layer in (first.after(*scaled), *rest)], float(model.encoder_reach) if model.bounded else None
        ),
        (mu if subspace is None else mu.then(subspace.basis)).layer(),
        logvar.layer(),
        model.logvar_range,
    )
    if skip is not None:
        graph.mu_skip = (skip if subspace is None else skip.then(subspace.basis)).layer()
    if subspace is not None:
        graph.spread = Affine(subspace.spread, torch.zeros(len(subspace.basis)).double()).layer()
    if shifted:
        graph.shift = mean.float()
    graph.axes = axes
    return graph.eval()


def fold_decoder(model: AAPTVAE, subspace: Subspace | None = None) -> DecoderGraph:
    """The decoder to raw features as plain layers; `ExportError` for a layer that cannot be folded."""
    _check_parts(model)
    *hidden, last = _linear_layers("decoder", model.decoder)
    first, *rest, out = in_directions(hidden, [Affine.of(last)], model.bounded)
    skip = None if model.decoder_skip is None else Affine.of(model.decoder_skip)
    if subspace is not None:
        first = first.after(subspace.basis.T, subspace.offset)
        skip = skip and skip.after(subspace.basis.T, subspace.offset)
    bernoulli, axes = model.likelihood == "bernoulli", None
    if not bernoulli:
        restore = Affine(model.scaler.matrices()[1], model.scaler.mean.float().double())
        if model.scaler.others:
            axes = restore.layer()
        else:
            out = out.then(*restore)
            skip = skip and skip.then(restore.weight)
    if skip is not None:
        out, skip = out.with_bias_of(skip)
    trunk = Trunk([layer.layer() for layer in (first, *rest)], float(model.decoder_reach) if model.bounded else None)
    return DecoderGraph(trunk, out.layer(), skip and skip.layer(), sigmoid=bernoulli, axes=axes).eval()


def _check_parts(model: AAPTVAE) -> None:
    unknown = [f"{name} ({type(part).__name__})" for name, part in model.named_children() if name not in _PARTS]
    if unknown:
        raise ExportError(
            f"the model has {', '.join(unknown)}: expected {', '.join(sorted(_PARTS))}: fold it in graph/folding.py"
        )


def _linear_layers(name: str, stack: nn.Sequential) -> list[nn.Linear]:
    """The linear layers of alternating Linear and ReLU; dropout is the identity here; `ExportError` for any other layer."""
    linear: list[nn.Linear] = []
    layers = [(index, layer) for index, layer in enumerate(stack) if not isinstance(layer, nn.Dropout)]
    for place, (index, layer) in enumerate(layers):
        expected = nn.ReLU if place % 2 else nn.Linear
        if type(layer) is not expected:
            raise ExportError(
                f"{name}: layer {index} is {type(layer).__name__}; expected {expected.__name__}: fold it in graph/folding.py"
            )
        if isinstance(layer, nn.Linear):
            linear.append(layer)
    return linear
