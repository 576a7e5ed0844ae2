"""Where training starts: the linear model of maximum likelihood, written into the skips before the first step.

With scalar noise that is probabilistic PCA (Tipping and Bishop 1999). With spectral noise the discarded directions keep
their own variances, so the start is one Gaussian with the full covariance, at any number of latents.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aaptvae.rows import Matrix

from ..features import Prepared
from ..features.moments import Statistics
from ..model.network import AAPTVAE, last_layer
from .axes import Axes
from .ppca import PPCA, mean_of, principal_axes
from .tail import Tail, hides_rows, is_null, kept_axes, tail_variance

LEAST_CHANCE = 1e-4  # of a feature that was never 1
LARGEST_SHRINKAGE = 0.1  # of a latent that carries an axis; the others have no weights to correct
HEAD = 0.01  # factor on the initial weights of the MLPs' last layers beside a linear start
KEPT_NOISE = (
    0.25  # noise of a direction with a latent, as a share of the mean discarded variance; noise shrinks reconstructions
)
MOST_NOISE = 0.03  # its upper limit, as a share of the direction's variance: R2 loses the square of this share


@dataclass(frozen=True)
class Start:
    """Noise scale [D] along the principal axes of `ppca`, degrees of freedom (infinite for a Gaussian), axes with a latent.

    Along K < D axes, [K + 1]: the last scale is that of all other axes.
    """

    ppca: PPCA
    noise: Matrix
    freedom: float
    kept: int
    null: float = 0.0  # variance along axes that have a latent and no variance among training rows

    @property
    def variance(self) -> Matrix:
        """Variance [D] along the axes: that of the data where a latent carries it, the noise's own elsewhere."""
        kept = self.kept
        data = np.maximum(carried_variance(self.ppca, kept, self.null), 1.001 * self.noise[:kept] ** 2)
        return np.concatenate([data, self.noise[kept:] ** 2])


def scalar_start(ppca: PPCA) -> Start:
    """pPCA itself: the same noise along every axis."""
    return Start(ppca, np.full(len(ppca.eigenvalues), np.sqrt(ppca.variance)), np.inf, ppca.latents)


def start_with(ppca: PPCA, tail: Tail, prepared: Prepared | None = None) -> Start:
    """The start whose discarded directions have this noise, of the training rows of `prepared`.

    Latents that are left over carry directions without variance among training rows in two cases: held-out rows have a part
    along them (training rows are fewer than columns), or most training rows differ along them and one extreme row makes that
    variance look like a rounding error. With as many latents as columns, every row is then reconstructed.
    """
    scale, null, kept = tail_variance(ppca, tail), max(tail.null, ppca.variance), kept_axes(ppca)
    if tail.null or (prepared is not None and hides_rows(ppca, prepared)):
        scale, kept = scale[ppca.components - kept :], ppca.components
    noise = kept_noise(ppca, carried_variance(ppca, kept, null), scale)
    return Start(ppca, np.sqrt(np.concatenate([noise, scale])), tail.freedom, kept, null)


def carried_variance(ppca: PPCA, kept: int, null: float) -> Matrix:
    """Variance [K] of the first K = `kept` directions, `null` where training rows have none."""
    return np.where(is_null(ppca)[:kept], null, ppca.eigenvalues[:kept])


def kept_noise(ppca: PPCA, variance: Matrix, scale: Matrix) -> Matrix:
    """Noise variance [K] of directions whose `variance` a latent carries, beside squared scales [D - K] of the others."""
    discarded = min(ppca.variance, mean_of(scale, ppca.others)) if len(scale) else ppca.variance
    return np.maximum(np.minimum(KEPT_NOISE * discarded, MOST_NOISE * variance), 1e-9)


@torch.no_grad()
def begin_at(model: AAPTVAE, start: Start) -> None:
    """Write the start into a model whose scaler standardises: skips, posterior variances, noise; MLP outputs near 0."""
    latents = start.kept
    axes, noise, variance = start.ppca.eigenvectors, start.noise, start.variance
    gain = np.sqrt(variance - noise**2)[:latents]
    if model.scaler.rotated:
        model.scaler.rotate_by(_tensor(axes), _tensor(noise), _tensor(np.sqrt(variance)))
        # Noise is not trained along axes with a latent, where growing noise shrinks reconstructions, nor along axes without
        # variance, where shrinking noise raises the likelihood without limit, nor along the axes that share one noise:
        # unseen rows reach further into them than training rows do.
        carried, last = np.arange(len(noise)) < latents, np.arange(len(noise)) >= model.scaler.inner
        model.hold_noise(torch.from_numpy(carried | is_null(start.ppca) | last))
        if model.has_broad_noise:
            broad = np.where(carried, noise, np.maximum(noise, np.sqrt(start.ppca.variance)))
            model.broad_log_sigma.copy_(_tensor(np.log(broad / noise)))
        inner = model.scaler.inner
        axes, into, outof = np.eye(inner), np.sqrt(variance)[:inner], noise[:inner]
    else:
        into = outof = np.ones(model.input_dim)
        if model.sigma in ("learned", "optimal", "per_feature"):
            model.set_sigma(torch.full_like(model.log_sigma, float(noise[-1])))  # the start is scalar
    for head in (model.mu, model.logvar, last_layer(model.decoder)):
        head.weight.mul_(HEAD)
        head.bias.zero_()
    model.logvar.bias[:latents] = _tensor(np.log(noise**2 / variance)[:latents])
    if model.mu_skip is not None and model.decoder_skip is not None:
        model.mu_skip.weight.zero_()[:latents] = _tensor((axes[:, :latents] * (gain / variance[:latents])).T * into)
        model.decoder_skip.weight.zero_()[:, :latents] = _tensor(axes[:, :latents] * gain / outof[:, None])
    if model.likelihood == "student" and math.isfinite(start.freedom):  # else the model's own, which are many
        model.set_degrees_of_freedom(start.freedom)


@torch.no_grad()
def reconstruct_as_pca(model: AAPTVAE) -> None:
    """Undo the shrinkage of reconstructions of a linear model at its start: they are PCA's then, in any units.

    A posterior variance r below the prior's means that the decoder returns 1 - r of a row along that latent. The densities
    change by r^2 nats per latent or so, and r is at most 0.03.
    """
    if model.decoder_skip is None or model.likelihood == "bernoulli":
        return
    variance = model.logvar.bias.exp()
    model.decoder_skip.weight.div_(torch.where(variance < LARGEST_SHRINKAGE, 1 - variance, 1.0))


@torch.no_grad()
def begin_bernoulli(model: AAPTVAE, statistics: Statistics, found: Axes | None = None) -> None:
    """Write the linear start of a Bernoulli model: the features' means, and pPCA in units of the noise that they imply.

    Around the means m, x ~ Bernoulli(sigmoid(logit(m) + A z)) is to first order x = m + V A z + noise of variance V =
    diag(m (1 - m)). Divided by V^(1/2) that is pPCA with unit noise, and W = V^(1/2) A its loadings. `found` are the axes
    in these units, where the statistics hold no covariance.
    """
    chance, noise = bernoulli_noise(statistics)
    eigenvalues, axes, *_ = found or Axes(*principal_axes(statistics.standardised_covariance(noise)))
    variance = np.maximum(eigenvalues[: min(model.latent_dim, axes.shape[1])], 1)
    latents, gain = len(variance), np.sqrt(variance - 1)
    output = last_layer(model.decoder)
    output.weight.mul_(HEAD)
    output.bias.copy_(_tensor(np.log(chance / (1 - chance))))
    if model.mu_skip is None or model.decoder_skip is None:
        return
    for head in (model.mu, model.logvar):
        head.weight.mul_(HEAD)
        head.bias.zero_()
    model.logvar.bias[:latents] = _tensor(-np.log(variance))
    into = model.scaler.scale.numpy() / noise
    model.mu_skip.weight.zero_()[:latents] = _tensor((axes[:, :latents] * (gain / variance)).T * into)
    model.decoder_skip.weight.zero_()[:, :latents] = _tensor(axes[:, :latents] * gain / noise[:, None])


def bernoulli_noise(statistics: Statistics) -> tuple[Matrix, Matrix]:
    """Probability of each column [D], and the standard deviation of its Bernoulli noise."""
    chance = np.clip(statistics.mean, LEAST_CHANCE, 1 - LEAST_CHANCE)
    return chance, np.sqrt(chance * (1 - chance))


def _tensor(values: Matrix) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))
