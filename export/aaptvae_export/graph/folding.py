"""A trained model as plain float32 layers: scaler and subspace folded into the weights.

All arithmetic is float64 and is rounded once, at the end. ONNX is written by `onnx_model.py`.
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from aaptvae_training import AAPTVAE
from aaptvae_training.model.layers import direction_norms
from aaptvae_training.model.network import last_layer

from ..errors import ExportError
from .modules import Activation, DecoderGraph, EncoderGraph, Trunk

_MAX_FOLDED_SHIFT = 16.0  # deviations; beyond it (years, prices) `W x - W mean` has few correct digits in float32

# Layers without weights between linear ones, and the functions that the graph calls for them.
ACTIVATIONS: dict[type[nn.Module], Activation] = {nn.ReLU: torch.relu}
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


def in_directions(
    layers: list[nn.Linear], heads: list[Affine], activation: Activation, bounded: bool
) -> tuple[list[Affine], Tensor | None]:
    """Hidden layers of an MLP and then `heads`; norms [H] by which the trunk multiplies the first layer's output, if any.

    If bounded, each unit of the first layer is divided by its norm (`direction_norms`): the bound then applies to directions
    of unit length. The next layer multiplies by the norms, as relu(a) = n relu(a / n) for n > 0; before another `activation`
    the trunk does.
    """
    first, *rest = [Affine.of(layer) for layer in layers]
    if not bounded:
        return [first, *rest, *heads], None
    norms = direction_norms(layers[0]).detach().double()
    first, zero = first.then(1 / norms), torch.zeros_like(norms)
    if activation is not torch.relu:
        return [first, *rest, *heads], norms.float()
    if rest:
        return [first, rest[0].after(norms, zero), *rest[1:], *heads], None
    return [first, *(head.after(norms, zero) for head in heads)], None


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
    hidden, activations = _layers("encoder", model.encoder)
    (first, *rest, mu, logvar), norms = in_directions(hidden, heads, activations[0], model.bounded)
    skip = None
    if model.mu_skip is not None:
        skip = _after_scaling(Affine.of(model.mu_skip), model, scaled)
        mu, skip = mu.with_bias_of(skip)
    layers = [layer.layer() for layer in (_after_scaling(first, model, scaled), *rest)]
    graph = EncoderGraph(
        Trunk(layers, activations, float(model.encoder_reach) if model.bounded else None, norms),
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
    graph.axes, graph.condition_dim = axes, model.condition_dim
    return graph.eval()


def _after_scaling(layer: Affine, model: AAPTVAE, scaled: tuple[Tensor, Tensor]) -> Affine:
    """A map of the scaled features as one of the graph's own input, of which they are `scaled` = (matrix, offset).

    With conditions the input is joined with c, and the map is of [scaled - G (c - centre), c - centre], where G is the mean
    given c along the axes; a map without weights for c has zeros there.
    """
    if not model.condition_dim:
        return layer.after(*scaled)
    inner, forward = model.scaler.inner, model.scaler.matrices()[0]
    own = Affine(layer.weight[:, :inner], layer.bias)
    location = _location(model, model.scaler.scale)
    effect = -own.weight @ (forward[:, None] * location if forward.dim() == 1 else forward @ location)
    if layer.weight.shape[1] > inner:
        effect = effect + layer.weight[:, inner:]
    part = own.after(*scaled)
    return Affine(torch.cat([part.weight, effect], dim=1), part.bias - effect @ model.scaler.centre)


def _location(model: AAPTVAE, scale: Tensor) -> Tensor:
    """The mean of raw features given c as a matrix [D, C], with columns in units of `scale` [D]."""
    return scale[:, None] * model.scaler.regression.T


def fold_decoder(model: AAPTVAE, subspace: Subspace | None = None) -> DecoderGraph:
    """The decoder to raw features as plain layers; `ExportError` for a layer that cannot be folded."""
    _check_parts(model)
    (*hidden, last), activations = _layers("decoder", model.decoder)
    (first, *rest, out), norms = in_directions(hidden, [Affine.of(last)], activations[0], model.bounded)
    skip = None if model.decoder_skip is None else Affine.of(model.decoder_skip)
    if model.condition_dim:
        first, skip = _with_conditions(first, skip, model)
    if subspace is not None:
        kept = _beside_conditions(subspace, model.condition_dim)
        first = first.after(*kept)
        skip = skip and skip.after(*kept)
    bernoulli, axes, location = model.likelihood == "bernoulli", None, None
    if not bernoulli:
        restore = Affine(model.scaler.matrices()[1], model.scaler.mean.float().double())
        if model.scaler.others:
            axes = restore.layer()
        else:
            out = out.then(*restore)
            skip = skip and skip.then(restore.weight)
        if model.condition_dim:
            location = _restored_location(model)
            if axes is None and skip is not None:
                skip, location = _added(skip, location), None
    if skip is not None:
        out, skip = out.with_bias_of(skip)
    reach = float(model.decoder_reach) if model.bounded else None
    trunk = Trunk([layer.layer() for layer in (first, *rest)], activations, reach, norms)
    graph = DecoderGraph(trunk, out.layer(), skip and skip.layer(), sigmoid=bernoulli, axes=axes)
    graph.location = location and location.layer()
    return graph.eval()


def _with_conditions(first: Affine, skip: Affine | None, model: AAPTVAE) -> tuple[Affine, Affine]:
    """First layer and skip of a decoder as maps of [z, c] instead of [z, c - centre] and z."""
    first = Affine(first.weight, first.bias - first.weight[:, model.latent_dim :] @ model.scaler.centre)
    outputs = last_layer(model.decoder).out_features
    skip = skip or Affine(first.weight.new_zeros(outputs, model.latent_dim), first.bias.new_zeros(outputs))
    return first, Affine(torch.cat([skip.weight, skip.weight.new_zeros(outputs, model.condition_dim)], dim=1), skip.bias)


def _beside_conditions(subspace: Subspace, conditions: int) -> tuple[Tensor, Tensor]:
    """Matrix and offset from the kept latents, and c beside them, to all latents and c."""
    offset = torch.cat([subspace.offset, subspace.offset.new_zeros(conditions)])
    latents, kept = subspace.basis.T.shape
    matrix = torch.eye(latents + conditions, kept + conditions, dtype=offset.dtype)
    matrix[:latents, :kept], matrix[:latents, kept:], matrix[latents:, :kept] = subspace.basis.T, 0, 0
    matrix[latents:, kept:] = torch.eye(conditions, dtype=offset.dtype)
    return matrix, offset


def _restored_location(model: AAPTVAE) -> Affine:
    """The mean of raw features given c, less the features' own mean; 0 for columns that are constant."""
    scaler = model.scaler
    weight = _location(model, scaler.scale.masked_fill(scaler.constant, 0.0) if scaler.masked else scaler.scale)
    return Affine(weight, -weight @ scaler.centre)


def _added(skip: Affine, location: Affine) -> Affine:
    """A map of [z, c] with one of c added."""
    latents = skip.weight.shape[1] - location.weight.shape[1]
    weight = torch.cat([skip.weight[:, :latents], skip.weight[:, latents:] + location.weight], dim=1)
    return Affine(weight, skip.bias + location.bias)


def _check_parts(model: AAPTVAE) -> None:
    unknown = [f"{name} ({type(part).__name__})" for name, part in model.named_children() if name not in _PARTS]
    if unknown:
        raise ExportError(
            f"the model has {', '.join(unknown)}: expected {', '.join(sorted(_PARTS))}: fold it in graph/folding.py"
        )


def _layers(name: str, stack: nn.Sequential) -> tuple[list[nn.Linear], list[Activation]]:
    """The linear layers of a chain and the activations between them; `ExportError` for a layer that cannot be folded.

    Dropout is the identity here.
    """
    linear: list[nn.Linear] = []
    activations: list[Activation] = []
    layers = [(index, layer) for index, layer in enumerate(stack) if not isinstance(layer, nn.Dropout)]
    for place, (index, layer) in enumerate(layers):
        if place % 2 and type(layer) in ACTIVATIONS:
            activations.append(ACTIVATIONS[type(layer)])
        elif not place % 2 and type(layer) is nn.Linear:
            linear.append(layer)
        else:
            expected = " or ".join(each.__name__ for each in ACTIVATIONS) if place % 2 else "Linear"
            raise ExportError(
                f"{name}: layer {index} is {type(layer).__name__}; expected {expected}: fold it in graph/folding.py"
            )
    return linear, activations
