"""The network: encoder, decoder, observation noise and loss. `loop/trainer.py` trains it.

Shapes: N rows, D features, L latents, H hidden.
"""

import copy
import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aaptvae.bundle.manifest import Condition
from aaptvae.density.observation import LOG_2PI
from aaptvae.density.observation import Kind as Likelihood
from aaptvae.errors import InputError

from . import losses
from .layers import direction_norms, fade, first_layer, mlp
from .scaler import FeatureScaler

Sigma = float | Literal["learned", "optimal", "per_feature", "spectral"]

SIGMAS: tuple[str, ...] = get_args(get_args(Sigma)[1])
LIKELIHOODS: tuple[str, ...] = get_args(Likelihood)
SEED_SIGMA = math.sqrt(0.5)  # the one fixed deviation under which SSE + KL is a negative ELBO
LOGVAR_RANGE = (-30.0, 20.0)  # keeps exp(logvar) finite on rows far from the training data
BOUNDED_LOGVAR = (-30.0, 0.0)  # the posterior of a linear Gaussian model is never wider than the prior
REACHED = 0.95  # least share of the training rows for which the MLPs of a bounded network are not faded
EDGE_ROWS = 8  # training rows beyond the reach in large tables, where 1 - `REACHED` would be more
MOST_REACHED = 0.999
SETTLING = 0.05  # weight of a batch in the running estimate of the reach
FIRST_REACH = 4.0  # deviations; until batches have been seen
LEAST_FREEDOM = 4.0  # below this a Student-t has no finite fourth moment, and samples contain extreme values
BROAD_SHARE = 0.15  # weight of a second, broad noise (pPCA's); so no row's density is below 0.15 times that of the broad noise
BROAD_FREEDOM = 5.0
LOG_SIGMA_FLOOR = -6.0  # without a floor, noise that shrinks raises the likelihood without limit (Rybkin et al. 2021)


def last_layer(layers: nn.Sequential) -> nn.Linear:
    """The layer that the output of a chain comes from; `TypeError` if that is no linear map."""
    layer = layers[-1]
    if not isinstance(layer, nn.Linear):
        raise TypeError(f"the chain ends in {type(layer).__name__}, not in a linear layer")
    return layer


def share_within_reach(rows: int) -> float:
    """Share of `rows` training rows within the reach of a bounded network: all but `EDGE_ROWS`, within limits."""
    return min(max(REACHED, 1 - EDGE_ROWS / max(rows, 1)), MOST_REACHED)


class AAPTVAE(nn.Module):
    """Variational autoencoder of feature vectors: ReLU MLPs around a Gaussian latent space.

    `encode` takes and `decode` returns raw features; the objective is measured in the space of `scaler`. `linear_skip` adds a
    linear path to the posterior mean and to the decoder, which can start at probabilistic PCA. `sigma` is the scale of
    the observation noise: a fixed number, "learned" (one for all features), "optimal" (the batch's own), "per_feature",
    or "spectral" (one for every principal axis, along which the scaler then measures). `likelihood` is "gaussian",
    "student" (multivariate t: the same with a learned weight of the tails) or "bernoulli" (features in [0, 1]).
    `bounded` multiplies the last hidden layer of each MLP by a factor that falls to 0 away from the training rows, where
    the linear path alone is left, and caps posterior variances at the prior's. With spectral noise the network may compute
    in K coordinates along `axes` = K principal axes only, where columns are many; 0 means none: noise by column.
    With `condition_dim` = C each row has a condition c [N, C], which stands in the last C columns of the rows x and of the
    latents z, or is given apart. The mean of the features is then affine in c (the scaler subtracts it), and both MLPs read c:
    the model is p(x | c), with a prior of z that does not depend on c.
    A width below 1 or a sigma that is not positive is a `ValueError`.
    """

    columns: tuple[str, ...] | None = None  # names of the features, which `for_data` knows
    conditions: tuple[Condition, ...] = ()  # names and categories of c

    noise_is_free: Tensor
    broad_log_sigma: Tensor
    encoder_reach: Tensor
    decoder_reach: Tensor

    def __init__(  # noqa: PLR0913 - the model's own configuration
        self,
        input_dim: int = 512,
        latent_dim: int = 256,
        hidden_dim: int | Sequence[int] = 400,
        *,
        beta: float = 1.0,
        linear_skip: bool = False,
        sigma: Sigma = SEED_SIGMA,
        likelihood: Likelihood = "gaussian",
        dropout: float = 0.0,
        bounded: bool = False,
        axes: int | None = None,
        condition_dim: int = 0,
    ) -> None:
        super().__init__()
        self.input_dim, self.latent_dim, self.condition_dim = input_dim, latent_dim, condition_dim
        self.hidden_dims = tuple(hidden_dim) if isinstance(hidden_dim, Sequence) else (int(hidden_dim),)
        if min(input_dim, latent_dim, *self.hidden_dims, 1) < 1 or not self.hidden_dims:
            raise ValueError(
                f"got input_dim={input_dim}, latent_dim={latent_dim}, hidden_dim={hidden_dim}: every width must be at least 1"
            )
        self.beta, self.linear_skip, self.likelihood, self.sigma = beta, linear_skip, likelihood, sigma
        self.reached, self.bounded, self.logvar_range = REACHED, bounded, BOUNDED_LOGVAR if bounded else LOGVAR_RANGE
        self.axes, rotated, masked = axes, sigma == "spectral" and axes != 0, bounded and likelihood != "bernoulli"
        self.scaler = FeatureScaler(input_dim, rotated=rotated, masked=masked, axes=axes, conditions=condition_dim)
        inner = self.scaler.inner  # K, or D where all axes are used

        self.encoder = mlp((inner + condition_dim, *self.hidden_dims), dropout)  # [N, K + C] -> [N, H]
        self.mu = nn.Linear(self.hidden_dims[-1], latent_dim)  # [N, H] -> [N, L]
        self.logvar = nn.Linear(self.hidden_dims[-1], latent_dim)
        self.mu_skip = nn.Linear(inner, latent_dim, bias=False) if linear_skip else None

        self.decoder = mlp((latent_dim + condition_dim, *reversed(self.hidden_dims)), dropout)  # [N, L + C] -> [N, H]
        self.decoder.append(nn.Linear(self.hidden_dims[0], inner))  # [N, H] -> [N, K]
        self.decoder_skip = nn.Linear(latent_dim, inner, bias=False) if linear_skip else None
        if bounded:
            self.register_buffer("encoder_reach", torch.tensor(FIRST_REACH))
            self.register_buffer("decoder_reach", torch.tensor(FIRST_REACH))
        self._make_noise()

    @classmethod
    def for_data(cls, x: Any, **options: Any) -> "AAPTVAE":
        """A model for a training loop of one's own on `x` [N, D], as `aaptvae_training.train` would begin with.

        The scaler, the observation noise and the linear paths are fitted to the rows, so that training starts at
        probabilistic PCA. `options` are those of `train`; the ones about epochs, batches and rates have no effect. With
        `condition=["kind"]` these columns of the table `x` are the model's `conditions`: `rows_of` makes rows with them.
        Raises `InputError` for rows or options that cannot be used.
        """
        from ..own_loop import model_for  # noqa: PLC0415 - a constructor that needs the rooms above

        return model_for(x, options)

    def rows_of(self, x: Any) -> Tensor:
        """Rows of a table as `forward` takes them, conditions by name included: [N, D + C]; `InputError` for unknown ones."""
        from ..own_loop import rows_for  # noqa: PLC0415 - reads tables

        return torch.from_numpy(rows_for(self, x, "x"))

    def _make_noise(self) -> None:
        number = isinstance(self.sigma, int | float)
        if self.sigma not in SIGMAS and not (number and 0 < self.sigma < math.inf):  # type: ignore[operator]
            raise ValueError(f"sigma is {self.sigma!r}: expected {', '.join(SIGMAS)}, or a deviation, positive and finite")
        if self.likelihood not in LIKELIHOODS:
            raise ValueError(f"likelihood is {self.likelihood!r}: expected gaussian, student or bernoulli")
        width = self.scaler.outer if self.sigma in ("per_feature", "spectral") else 1
        log_sigma = torch.zeros(width)
        # Bernoulli noise has no scale: a parameter without a gradient would stop a training of several processes.
        if number or self.sigma == "optimal" or self.likelihood == "bernoulli":
            self.register_buffer("log_sigma", log_sigma)
        else:
            self.log_sigma: Tensor = nn.Parameter(log_sigma)
        self.set_sigma(torch.full((width,), float(self.sigma) if isinstance(self.sigma, int | float) else 1.0))
        if self.sigma == "spectral":
            self.register_buffer("noise_is_free", torch.ones(width, dtype=torch.bool))
        if self.likelihood == "student":
            self.log_tail = nn.Parameter(torch.tensor(math.log(100.0)))
        if self.has_broad_noise:
            self.register_buffer("broad_log_sigma", torch.zeros(width))

    @property
    def has_broad_noise(self) -> bool:
        """Whether a share of the noise follows broader tails than the rest."""
        return self.bounded and self.sigma == "spectral" and self.likelihood == "student"

    def encode(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Posterior parameters of raw features: [N, D] and c [N, C], or [N, D + C] -> mu [N, L], logvar [N, L]."""
        x = x if c is None else torch.cat([x, c], dim=1)
        if self.condition_dim and x.shape[1] != self.input_dim + self.condition_dim:
            raise InputError(
                f"rows have {x.shape[1]} columns: expected {self.input_dim} features and {self.condition_dim} numbers of their "
                "conditions: model.rows_of(table) makes them"
            )
        return self.posterior(self.given(self.scaler.coordinates(x), x))

    def given(self, values: Tensor, rows: Tensor) -> Tensor:
        """`values` with the conditions in the last C columns of `rows` beside them; themselves where there are none."""
        return torch.cat([values, rows[:, -self.condition_dim :]], dim=1) if self.condition_dim else values

    def posterior(self, scaled: Tensor) -> tuple[Tensor, Tensor]:
        """`encode` for features that are scaled already, [N, D + C]."""
        white = self.scaler.whiten(scaled)
        inputs = self.scaler.beside(white, scaled)
        hidden = self._hidden(self.encoder, inputs, self.encoder_reach if self.bounded else None)
        mu, logvar = self.mu(hidden), self.logvar(hidden).clamp(*self.logvar_range)
        return (mu if self.mu_skip is None else mu + self.mu_skip(white)), logvar

    def _hidden(self, layers: nn.Sequential, x: Tensor, reach: Tensor | None) -> Tensor:
        """Last hidden layer of an MLP, faded out beyond `reach`: [N, D] or [N, L] -> [N, H]."""
        if reach is None:
            hidden: Tensor = layers(x)
            return hidden
        first = layers[0](x)
        distance = (first / direction_norms(first_layer(layers))).abs().amax(dim=1, keepdim=True)
        if self.training:
            with torch.no_grad():
                reach.lerp_(torch.quantile(distance.detach().float(), self.reached), SETTLING)
        hidden = layers[1:](first) * fade(distance, reach)
        return hidden

    def reparameterize(self, mu: Tensor, logvar: Tensor) -> Tensor:
        """A draw from the posterior, mu + sigma * eps: [N, L], [N, L] -> [N, L]."""
        return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)

    def decode(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Mean of the observation model in raw features: [N, L] and c [N, C], or [N, L + C] -> [N, D]."""
        z = z if c is None else torch.cat([z, c], dim=1)
        mean = self.observation_mean(z)
        return mean if self.likelihood == "bernoulli" else self.scaler.to_raw(self.given(mean, z))

    def observation_mean(self, z: Tensor) -> Tensor:
        """`decode` in scaled features, before the scaler is undone; for a Bernoulli model these are the probabilities."""
        trunk = nn.Sequential(*list(self.decoder)[:-1])
        latents = z[:, : self.latent_dim]
        hidden = self._hidden(trunk, self.scaler.beside(latents, z), self.decoder_reach if self.bounded else None)
        mean: Tensor = last_layer(self.decoder)(hidden)
        if self.decoder_skip is not None:
            mean = mean + self.decoder_skip(latents)
        return torch.sigmoid(mean) if self.likelihood == "bernoulli" else self.scaler.extend(mean)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction of one posterior draw, with its parameters: [N, D + C] -> [N, D], mu [N, L], logvar [N, L]."""
        mu, logvar = self.encode(x)
        return self.decode(self.given(self.reparameterize(mu, logvar), x)), mu, logvar

    def negative_log_likelihood(self, error: Tensor) -> Tensor:
        """-log p(x | z) from errors in the scaler's space, in nats of standardised features: [N, D] -> [N]."""
        if self.sigma == "optimal" and self.training:
            # The maximum-likelihood deviation of this batch (Rybkin et al. 2021).
            self.set_sigma(error.detach().square().mean().sqrt().reshape(1))
        log_sigma, others = self.noise_log_sigma, max(self.scaler.others, 1)
        volume = self.scaler.log_volume().to(error.dtype)
        if self.likelihood == "student":
            nll = losses.student_nll(error, log_sigma, self.degrees_of_freedom, others)
            if self.has_broad_noise:
                freedom = self.degrees_of_freedom.new_tensor(BROAD_FREEDOM)
                broad = losses.student_nll(error, self.broad_log_sigma, freedom, others)
                nll = -torch.logaddexp(math.log1p(-BROAD_SHARE) - nll, math.log(BROAD_SHARE) - broad)
            return nll + volume
        return losses.gaussian_nll(error, log_sigma, others) + volume

    @property
    def noise_log_sigma(self) -> Tensor:
        """Log scale of the noise, [1] or [D], in the scaler's space; if learned, above a soft floor (Rybkin et al. 2021)."""
        log_sigma = self.log_sigma
        if isinstance(self.sigma, int | float):
            return log_sigma
        if self.sigma == "spectral":
            log_sigma = torch.where(self.noise_is_free, log_sigma, log_sigma.detach())
        return LOG_SIGMA_FLOOR + F.softplus(log_sigma - LOG_SIGMA_FLOOR)

    def set_sigma(self, sigma: Tensor) -> None:
        """Give the observation noise these scales, [1] or [D], in the scaler's space."""
        above = (sigma.log() - LOG_SIGMA_FLOOR).clamp(min=1e-3)
        floored = LOG_SIGMA_FLOOR + above + torch.log(-torch.expm1(-above))
        with torch.no_grad():
            self.log_sigma.copy_(sigma.log() if isinstance(self.sigma, int | float) else floored)

    def hold_noise(self, held: Tensor) -> None:
        """Keep spectral noise as it is along these axes: bool [D]."""
        self.noise_is_free.copy_(~held)

    @property
    def degrees_of_freedom(self) -> Tensor:
        """Of a student likelihood: above 4, so that samples have finite moments."""
        return LEAST_FREEDOM + self.log_tail.exp()

    def set_degrees_of_freedom(self, freedom: float) -> None:
        """Start a student likelihood with tails of this weight."""
        with torch.no_grad():
            self.log_tail.fill_(math.log(max(freedom - LEAST_FREEDOM, 1e-3)))

    def loss_function(self, reconstruction: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> dict[str, Tensor]:
        """Negative ELBO, its mean over rows in nats: keys `loss`, `reconstruction_loss`, `kl_divergence`.

        loss = reconstruction_loss + beta * kl_divergence. With a fixed sigma the constant of the Gaussian is left out,
        so that the default is the sum of squared errors itself.
        """
        if self.likelihood == "bernoulli":
            nll = losses.bernoulli_nll(reconstruction, x[:, : self.input_dim]).mean()
        else:
            # A reconstruction has no part orthogonal to the axes, and the root of that zero no gradient.
            mean = self.scaler.extend(self.scaler.coordinates(self.given(reconstruction, x)))
            nll = self.negative_log_likelihood(mean - self.scaler.scaled_features(self.scaler.to_scaled(x))).mean()
        if isinstance(self.sigma, int | float) and self.likelihood == "gaussian":
            nll = nll - self.input_dim * (math.log(self.sigma) + 0.5 * LOG_2PI)
        kl = losses.kl_divergence(mu, logvar).sum(dim=1).mean()
        return {"loss": nll + self.beta * kl, "reconstruction_loss": nll, "kl_divergence": kl}


@torch.no_grad()
def silenced(model: AAPTVAE) -> AAPTVAE:
    """A copy in which the weights of the MLPs' last layers are 0; of an untrained model, exactly its linear start."""
    linear = copy.deepcopy(model)
    for head in (linear.mu, linear.logvar, last_layer(linear.decoder)):
        head.weight.zero_()
    return linear
