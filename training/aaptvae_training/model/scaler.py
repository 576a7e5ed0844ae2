"""The affine map between raw features and scaled features, in which the model computes."""

import torch
from torch import Tensor, nn


class FeatureScaler(nn.Module):
    """Scales raw features; the identity until `standardise_by` is called.

    standardised = (raw - mean) / scale, column by column. scaled = standardised, or, if `rotated`, standardised @ axes /
    spread: coordinates along the orthonormal columns of `axes` [D, D] in units of the observation noise, `spread` [D].
    `constant` [D] marks columns that have one value in all training rows; a `masked` scaler gives them their mean exactly.
    Buffers are float64, so that an export can fold the map into its graphs without loss.
    """

    mean: Tensor
    scale: Tensor
    constant: Tensor
    axes: Tensor
    spread: Tensor
    signal: Tensor

    def __init__(self, width: int, *, rotated: bool = False, masked: bool = False) -> None:
        super().__init__()
        self.rotated, self.masked = rotated, masked
        self.register_buffer("mean", torch.zeros(width, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(width, dtype=torch.float64))
        self.register_buffer("constant", torch.zeros(width, dtype=torch.bool))
        if rotated:
            self.register_buffer("axes", torch.eye(width, dtype=torch.float64))
            self.register_buffer("spread", torch.ones(width, dtype=torch.float64))
            self.register_buffer("signal", torch.ones(width, dtype=torch.float64))

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
        """Use orthonormal `axes` [D, D] with these standard deviations of the noise and of the data along them [D]."""
        self._set_positive("spread", spread)
        self._set_positive("signal", signal)
        self.axes.copy_(axes)

    def _set_positive(self, name: str, values: Tensor) -> None:
        if not (torch.isfinite(values).all() and (values > 0).all()):
            raise ValueError(f"scaler {name} must be finite and positive: use the {name} 1 for constant columns")
        getattr(self, name).copy_(values)

    def to_scaled(self, x: Tensor) -> Tensor:
        """Scale raw features [N, D]."""
        standardised = (x - self.mean.to(x.dtype)) / self.scale.to(x.dtype)
        return (standardised @ self.axes.to(x.dtype)) / self.spread.to(x.dtype) if self.rotated else standardised

    def whiten(self, scaled: Tensor) -> Tensor:
        """The input of the encoder: scaled features [N, D] in units of the data's deviation instead of the noise."""
        return scaled * (self.spread / self.signal).to(scaled.dtype) if self.rotated else scaled

    def to_raw(self, scaled: Tensor) -> Tensor:
        """Raw features of scaled ones [N, D]."""
        standardised = self.to_standardised(scaled)
        if self.masked:
            standardised = standardised.masked_fill(self.constant, 0.0)
        return standardised * self.scale.to(scaled.dtype) + self.mean.to(scaled.dtype)

    def to_standardised(self, scaled: Tensor) -> Tensor:
        """Standardised features of scaled ones [N, D]."""
        return (scaled * self.spread.to(scaled.dtype)) @ self.axes.T.to(scaled.dtype) if self.rotated else scaled

    def squared_length(self, scaled: Tensor) -> Tensor:
        """Sum of the squared standardised features of each scaled row: [N, D] -> [N]."""
        return (scaled * self.spread.to(scaled.dtype) if self.rotated else scaled).square().sum(dim=1)

    def log_volume(self) -> Tensor:
        """log |d standardised / d scaled|: log density of scaled features minus log density of standardised features."""
        return self.spread.log().sum() if self.rotated else self.mean.new_zeros(())

    def matrices(self) -> tuple[Tensor, Tensor]:
        """F and B in float64: whiten(scaled) = F (raw - mean) and raw = B scaled + mean; a vector is a diagonal matrix.

        Rows of B are zero for constant columns of a `masked` scaler.
        """
        scale = self.scale.masked_fill(self.constant, 0.0) if self.masked else self.scale
        if not self.rotated:
            return 1 / self.scale, scale
        return (self.axes / self.signal).T / self.scale, scale[:, None] * self.axes * self.spread
