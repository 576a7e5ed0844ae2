"""The affine map between raw features and the space in which a model thinks."""

import torch
from torch import Tensor, nn


class FeatureScaler(nn.Module):
    """Standardises features column by column and, if `rotated`, measures them along principal axes; identity until set.

    standardised = (raw - mean) / scale; scaled = standardised, or standardised @ axes / spread when rotated, with the
    orthonormal columns of `axes` [D, D]. A rotated scaler counts in units of the noise, `spread` [D], which is what errors
    are worth; `whiten` divides by the deviation of the data, `signal` [D], which is what a network likes as its input.
    All in float64, so that export folds the map into the graphs without loss.
    """

    mean: Tensor
    scale: Tensor
    axes: Tensor
    spread: Tensor
    signal: Tensor

    def __init__(self, width: int, *, rotated: bool = False, masked: bool = False) -> None:
        super().__init__()
        self.rotated = rotated
        self.constant: Tensor | None  # bool [D]: columns that never move, which are decoded to their mean exactly
        self.register_buffer("constant", torch.zeros(width, dtype=torch.bool) if masked else None)
        self.register_buffer("mean", torch.zeros(width, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(width, dtype=torch.float64))
        if rotated:
            self.register_buffer("axes", torch.eye(width, dtype=torch.float64))
            self.register_buffer("spread", torch.ones(width, dtype=torch.float64))
            self.register_buffer("signal", torch.ones(width, dtype=torch.float64))

    def standardise_by(self, mean: Tensor, scale: Tensor) -> None:
        """Use these column statistics [D]; `ValueError` unless they are finite and every scale is positive."""
        self._set_positive("scale", scale)
        if not torch.isfinite(mean).all():
            raise ValueError("scaler mean is not finite: fit it to finite features")
        self.mean.copy_(mean.float())  # as float32 rows subtract it: what trains and what is served are the same numbers

    def rotate_by(self, axes: Tensor, spread: Tensor, signal: Tensor) -> None:
        """Measure standardised features along orthonormal `axes` [D, D] with these deviations of noise and of data [D]."""
        self._set_positive("spread", spread)
        self._set_positive("signal", signal)
        self.axes.copy_(axes)

    def _set_positive(self, name: str, values: Tensor) -> None:
        if not (torch.isfinite(values).all() and (values > 0).all()):
            raise ValueError(f"scaler {name} must be finite and positive: give columns that never move the {name} 1")
        getattr(self, name).copy_(values)

    def to_scaled(self, x: Tensor) -> Tensor:
        """Raw features [N, D] to scaled ones."""
        standardised = (x - self.mean.to(x.dtype)) / self.scale.to(x.dtype)
        return (standardised @ self.axes.to(x.dtype)) / self.spread.to(x.dtype) if self.rotated else standardised

    def whiten(self, scaled: Tensor) -> Tensor:
        """Scaled features [N, D] with unit variance along every axis: the input of the encoder."""
        return scaled * (self.spread / self.signal).to(scaled.dtype) if self.rotated else scaled

    def to_raw(self, scaled: Tensor) -> Tensor:
        """Scaled features [N, D] back to raw ones."""
        standardised = self.to_standardised(scaled)
        if self.constant is not None:
            standardised = standardised.masked_fill(self.constant, 0.0)
        return standardised * self.scale.to(scaled.dtype) + self.mean.to(scaled.dtype)

    def to_standardised(self, scaled: Tensor) -> Tensor:
        """Scaled features [N, D] without the rotation."""
        return (scaled * self.spread.to(scaled.dtype)) @ self.axes.T.to(scaled.dtype) if self.rotated else scaled

    def squared_length(self, scaled: Tensor) -> Tensor:
        """Sum of squares of each scaled row in standardised units: [N, D] -> [N]."""
        return (scaled * self.spread.to(scaled.dtype) if self.rotated else scaled).square().sum(dim=1)

    def log_volume(self) -> Tensor:
        """log |d standardised / d scaled|: what a density of scaled features owes one of standardised features."""
        return self.spread.log().sum() if self.rotated else self.mean.new_zeros(())

    def matrices(self) -> tuple[Tensor, Tensor]:
        """F and B in float64: whiten(scaled) = F (raw - mean) and raw = B scaled + mean; vectors stand for diagonals.

        Rows of B are zero for constant columns.
        """
        scale = self.scale if self.constant is None else self.scale.masked_fill(self.constant, 0.0)
        if not self.rotated:
            return 1 / self.scale, scale
        return (self.axes / self.signal).T / self.scale, scale[:, None] * self.axes * self.spread
