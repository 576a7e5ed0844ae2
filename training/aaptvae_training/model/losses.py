"""Densities and the KL divergence as functions of tensors, in nats, summed over features or latents."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from aaptvae.density.observation import LOG_2PI


def gaussian_nll(error: Tensor, log_sigma: Tensor, others: int = 1) -> Tensor:
    """-log N(error; 0, sigma^2) per row: error [N, D], log_sigma [1] or [D] -> [N].

    sum_d error_d^2 / (2 sigma_d^2) + sum_d log sigma_d + (D/2) log(2 pi). The last error may be the length of a vector of
    `others` errors that share a scale.
    """
    width, log_det = _volume(error.shape[1], log_sigma, others)
    return 0.5 * (error * torch.exp(-log_sigma)).square().sum(dim=1) + log_det + 0.5 * width * LOG_2PI


def student_nll(error: Tensor, log_scale: Tensor, freedom: Tensor, others: int = 1) -> Tensor:
    """-log t(error; 0, scale^2, freedom) per row, a multivariate t (Lange et al. 1989): [N, D], [1] or [D], [] -> [N].

    The last error may stand for `others` errors, as in `gaussian_nll`.
    """
    width, log_det = _volume(error.shape[1], log_scale, others)
    distance = (error * torch.exp(-log_scale)).square().sum(dim=1)
    volume = log_det + 0.5 * width * torch.log(math.pi * freedom)
    norm = torch.lgamma(0.5 * freedom) - torch.lgamma(0.5 * (freedom + width))
    return norm + volume + 0.5 * (freedom + width) * torch.log1p(distance / freedom)


def _volume(columns: int, log_sigma: Tensor, others: int) -> tuple[int, Tensor]:
    """How many numbers these columns stand for, and the sum of their log scales."""
    log_det = log_sigma.expand(columns).sum()
    return columns + others - 1, log_det if others == 1 else log_det + (others - 1) * log_sigma[-1]


def bernoulli_nll(probability: Tensor, x: Tensor) -> Tensor:
    """-log p(x) of independent Bernoulli features per row: [N, D], [N, D] -> [N]."""
    return F.binary_cross_entropy(probability, x, reduction="none").sum(dim=1)


def kl_divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) || N(0, I)) of every latent: [N, L] -> [N, L] (Kingma and Welling 2014, appendix B)."""
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar)


def free_bits(kl: Tensor, nats: float) -> Tensor:
    """KL per row with every latent's batch mean held at `nats` or more (Kingma et al. 2016): [N, L] -> [N]."""
    if nats == 0:
        return kl.sum(dim=1)
    mean = kl.mean(dim=0)
    # A latent whose mean is below `nats` adds a constant, so that no gradient pushes it further down.
    return torch.where(mean < nats, nats - mean.detach() + kl.detach(), kl).sum(dim=1)
