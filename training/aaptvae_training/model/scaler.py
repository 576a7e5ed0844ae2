"""The affine map between raw features and scaled features, in which the model computes."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FeatureScaler(nn.Module):
    """Scales raw features; the identity until `standardise_by` is called.

    standardised = (raw - mean) / scale, column by column. scaled = standardised, or, if `rotated`, standardised @ axes /
    spread: coordinates along the orthonormal columns of `axes` [D, D] in units of the observation noise, `spread` [D].
    With K < D `axes` [D, K], a scaled row has K + 1 numbers: the coordinates, and the length of the part of the row that
    is orthogonal to the axes, whose directions share the last `spread`; K, D - K and K + 1 are `inner`, `others`, `outer`.
    `constant` [D] marks columns that have one value in all training rows; a `masked` scaler gives them their mean exactly.
    With `conditions` = C the last C columns of raw and of scaled rows are the condition c, which is not scaled, and
    standardised features are residuals: (c - centre) @ regression [C, D], their mean given c, is subtracted.
    Buffers are float64, so that an export can fold the map into its graphs without loss.
    """

    mean: Tensor
    scale: Tensor
    constant: Tensor
    axes: Tensor
    spread: Tensor
    signal: Tensor
    regression: Tensor
    centre: Tensor

    def __init__(
        self, width: int, *, rotated: bool = False, masked: bool = False, axes: int | None = None, conditions: int = 0
    ) -> None:
        super().__init__()
        self.rotated, self.masked, self.conditions = rotated, masked, conditions
        self.inner = width if axes is None or not rotated else axes
        self.others = width - self.inner
        self.outer = min(self.inner + 1, width)
        self.register_buffer("mean", torch.zeros(width, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(width, dtype=torch.float64))
        self.register_buffer("constant", torch.zeros(width, dtype=torch.bool))
        if rotated:
            self.register_buffer("axes", torch.eye(width, self.inner, dtype=torch.float64))
            self.register_buffer("spread", torch.ones(self.outer, dtype=torch.float64))
            self.register_buffer("signal", torch.ones(self.outer, dtype=torch.float64))
        if conditions:
            self.register_buffer("regression", torch.zeros(conditions, width, dtype=torch.float64))
            self.register_buffer("centre", torch.zeros(conditions, dtype=torch.float64))

    def standardise_by(self, mean: Tensor, scale: Tensor, constant: Tensor | None = None) -> None:
        """Use these column statistics [D]; `ValueError` unless they are finite and every scale is positive.

        `constant` [D] marks constant columns; by default there are none.
        """
        self._set_positive("scale", scale)
        if not torch.isfinite(mean).all():
            raise ValueError("scaler mean is not finite: fit it to finite features")
        self.mean.copy_(mean.float())  # training and the exported graphs subtract the same float32 values
        self.constant.copy_(torch.zeros_like(self.constant) if constant is None else constant)

    def rotate_by(self, axes: Tensor, spread: Tensor, signal: Tensor) -> None:
        """Use orthonormal `axes` [D, K] with these standard deviations of the noise and of the data along them [D or K + 1]."""
        self._set_positive("spread", spread)
        self._set_positive("signal", signal)
        self.axes.copy_(axes)

    def _set_positive(self, name: str, values: Tensor) -> None:
        if not (torch.isfinite(values).all() and (values > 0).all()):
            raise ValueError(f"scaler {name} must be finite and positive: use the {name} 1 for constant columns")
        getattr(self, name).copy_(values)

    def explain_by(self, regression: Tensor, centre: Tensor) -> None:
        """Subtract the mean of standardised features given c, (c - centre [C]) @ regression [C, D]."""
        self.regression.copy_(regression)
        self.centre.copy_(centre)

    def location(self, rows: Tensor) -> Tensor:
        """Mean of the standardised features given the conditions in the last C columns of `rows`: [N, D]."""
        centred = rows[:, -self.conditions :] - self.centre.to(rows.dtype)
        return centred @ self.regression.to(rows.dtype)

    def beside(self, values: Tensor, rows: Tensor) -> Tensor:
        """The input of an MLP: `values`, and beside them the centred conditions in the last C columns of `rows`."""
        if not self.conditions:
            return values
        return torch.cat([values, rows[:, -self.conditions :] - self.centre.to(rows.dtype)], dim=1)

    def scaled_features(self, scaled: Tensor) -> Tensor:
        """Scaled rows without their conditions: [N, D + C] -> [N, D]."""
        return scaled[:, : self.outer] if self.conditions else scaled

    def to_scaled(self, x: Tensor) -> Tensor:
        """Scale raw features [N, D]; conditions [N, C] beside them stay there."""
        scaled = self._scaled(x)
        return torch.cat([scaled, x[:, -self.conditions :]], dim=1) if self.conditions else scaled

    def _scaled(self, x: Tensor) -> Tensor:
        coordinates = self.coordinates(x)
        if not self.others:
            return coordinates
        spread = self.spread.to(x.dtype)
        squares = self.standardised_residuals(x).square().sum(dim=1) - (coordinates * spread[:-1]).square().sum(dim=1)
        return torch.cat([coordinates, squares.clamp(min=0).sqrt()[:, None] / spread[-1]], dim=1)

    def standardised_residuals(self, x: Tensor) -> Tensor:
        """Raw features [N, D] in units of their columns' deviations, less their mean given conditions beside them."""
        if not self.conditions:
            return (x - self.mean.to(x.dtype)) / self.scale.to(x.dtype)
        return (x[:, : len(self.mean)] - self.mean.to(x.dtype)) / self.scale.to(x.dtype) - self.location(x)

    standardise = standardised_residuals  # its name in version 0.1.0

    def coordinates(self, x: Tensor) -> Tensor:
        """Scaled features without the length orthogonal to the axes: [N, D] -> [N, K]."""
        standardised = self.standardised_residuals(x)
        if not self.rotated:
            return standardised
        return (standardised @ self.axes.to(x.dtype)) / self.spread[: self.inner].to(x.dtype)

    def extend(self, coordinates: Tensor) -> Tensor:
        """Scaled features of a row with these coordinates [N, K] and nothing orthogonal to the axes."""
        return F.pad(coordinates, (0, 1)) if self.others else coordinates

    def whiten(self, scaled: Tensor) -> Tensor:
        """The input of the encoder: coordinates [N, K] in units of the data's deviation instead of the noise."""
        if not self.rotated:
            return self.scaled_features(scaled)
        return scaled[:, : self.inner] * (self.spread / self.signal)[: self.inner].to(scaled.dtype)

    def to_raw(self, scaled: Tensor) -> Tensor:
        """Raw features of scaled ones [N, D] with their conditions beside them."""
        standardised = self.to_standardised(scaled)
        if self.conditions:
            standardised = standardised + self.location(scaled)
        if self.masked:
            standardised = standardised.masked_fill(self.constant, 0.0)
        return standardised * self.scale.to(scaled.dtype) + self.mean.to(scaled.dtype)

    def to_standardised(self, scaled: Tensor) -> Tensor:
        """Standardised features of scaled ones [N, D], conditions left out."""
        if not self.rotated:
            return self.scaled_features(scaled)
        along = scaled[:, : self.inner] * self.spread[: self.inner].to(scaled.dtype)
        return along @ self.axes.T.to(scaled.dtype)

    def squared_length(self, scaled: Tensor) -> Tensor:
        """Sum of the squared standardised features of each scaled row: [N, D] -> [N]."""
        scaled = self.scaled_features(scaled)
        return (scaled * self.spread.to(scaled.dtype) if self.rotated else scaled).square().sum(dim=1)

    def log_volume(self) -> Tensor:
        """log |d standardised / d scaled|: log density of scaled features minus log density of standardised features."""
        if not self.rotated:
            return self.mean.new_zeros(())
        volume = self.spread.log().sum()
        return volume + (self.others - 1) * self.spread[-1].log() if self.others else volume

    def matrices(self) -> tuple[Tensor, Tensor]:
        """F [K, D] and B [D, K] in float64: whiten(scaled) = F (raw - mean) and raw = B scaled + mean; vectors are diagonals.

        Rows of B are zero for constant columns of a `masked` scaler.
        """
        scale = self.scale.masked_fill(self.constant, 0.0) if self.masked else self.scale
        if not self.rotated:
            return 1 / self.scale, scale
        signal, spread = self.signal[: self.inner], self.spread[: self.inner]
        return (self.axes / signal).T / self.scale, scale[:, None] * self.axes * spread
