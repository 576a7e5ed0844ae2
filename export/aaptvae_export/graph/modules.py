"""Encoder and decoder as plain float32 layers, which `folding.py` makes and `onnx_model.py` traces."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from aaptvae_training.model.layers import FADED

Activation = Callable[[Tensor], Tensor]


class Trunk(nn.Module):
    """Hidden layers [N, D] or [N, L] -> [N, H], each with its activation; with a `reach`, the last one fades to 0 beyond it.

    The units of the first layer must then have weights and bias of length 1 together: the largest of their outputs is the
    distance of the row. Where there are `norms` [H], the first activation takes these outputs times the norms.
    """

    def __init__(
        self, layers: list[nn.Linear], activations: list[Activation], reach: float | None, norms: Tensor | None = None
    ) -> None:
        super().__init__()
        self.norms: Tensor | None
        self.register_buffer("norms", norms)
        self.layers, self.activations = nn.ModuleList(layers), activations
        self.fades = reach is not None
        self.slope: Tensor
        self.origin: Tensor
        if reach is not None:
            self.register_buffer("slope", torch.tensor([-1 / (reach * (FADED - 1))]))
            self.register_buffer("origin", torch.tensor([FADED / (FADED - 1)]))

    def forward(self, x: Tensor) -> Tensor:
        """The last hidden layer."""
        first = self.layers[0](x)
        hidden = self.activations[0](first if self.norms is None else first * self.norms)
        for layer, activation in list(zip(self.layers, self.activations, strict=True))[1:]:
            hidden = activation(layer(hidden))
        if not self.fades:
            return hidden
        distance = torch.maximum(first.amax(dim=1, keepdim=True), -first.amin(dim=1, keepdim=True))
        return hidden * (distance * self.slope + self.origin).clamp(0.0, 1.0)


class EncoderGraph(nn.Module):
    """x [N, D], and c [N, C] where there are conditions -> mu [N, K], logvar [N, K], with the scaler folded in."""

    def __init__(self, trunk: Trunk, mu: nn.Linear, logvar: nn.Linear, logvar_range: tuple[float, float]) -> None:
        super().__init__()
        self.trunk, self.logvar_range = trunk, logvar_range
        self.condition_dim = 0
        self.mu, self.logvar = mu, logvar
        self.mu_skip: nn.Linear | None = None
        self.axes: nn.Linear | None = None
        self.spread: nn.Linear | None = None
        self.shift: Tensor | None
        self.register_buffer("shift", None)

    def apart(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Features [N, D] and conditions of rows [N, D + C], the inputs of `forward`."""
        width = rows.shape[1] - self.condition_dim
        return (rows[:, :width], rows[:, width:]) if self.condition_dim else (rows, None)

    def hidden(self, rows: Tensor) -> Tensor:
        """Input of the heads for raw rows: [N, D + C] -> [N, H]."""
        hidden: Tensor = self.trunk(self._inputs(*self.apart(rows)))
        return hidden

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Posterior parameters of raw features."""
        x = self._inputs(x, c)
        hidden = self.trunk(x)
        mu, logvar = self.mu(hidden), self.logvar(hidden).clamp(*self.logvar_range)
        if self.mu_skip is not None:
            mu = mu + self.mu_skip(x)
        return mu, logvar if self.spread is None else self.spread(logvar.exp()).log()

    def _inputs(self, x: Tensor, c: Tensor | None) -> Tensor:
        """Raw features, with the shift and the coordinates along the axes where there are any: [N, D] or [N, K].

        Conditions stand in the last C columns.
        """
        x = x if self.shift is None else x - self.shift
        x = x if self.axes is None else self.axes(x)
        return x if c is None else torch.cat([x, c], dim=1)


class DecoderGraph(nn.Module):
    """z [N, K], and c [N, C] where there are conditions -> reconstruction [N, D], with the scaler folded in."""

    def __init__(
        self, trunk: Trunk, out: nn.Linear, skip: nn.Linear | None, *, sigmoid: bool, axes: nn.Linear | None = None
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.location: nn.Linear | None = None  # of the mean given c, where the axes are a layer of their own
        self.out, self.skip, self.sigmoid, self.axes = out, skip, sigmoid, axes

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Mean of the observation model in raw features."""
        z = z if c is None else torch.cat([z, c], dim=1)
        out: Tensor = self.out(self.trunk(z))
        if self.skip is not None:
            out = out + self.skip(z)
        if self.axes is not None:
            out = self.axes(out)
        if self.location is not None and c is not None:
            out = out + self.location(c)
        return torch.sigmoid(out) if self.sigmoid else out
