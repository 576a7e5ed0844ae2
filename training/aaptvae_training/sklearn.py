"""A scikit-learn transformer that trains: rows to latents and back, with a density. Needs scikit-learn."""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple, Self

import msgspec
import numpy as np
import torch
from numpy.typing import ArrayLike

from aaptvae.conditions import ConditionLike, Conditions
from aaptvae.density import SAMPLES, LatentPrior, LikelihoodBounds, ObservationModel, importance_draws
from aaptvae.engine import require_memory
from aaptvae.errors import InputError, MissingDependencyError
from aaptvae.rows import Array, Nats, Rows, as_range, refuse_overflow
from aaptvae.tables import latent_names, match_columns, names_of
from aaptvae.tables.names import as_names

from .config import make_config
from .features import LEAST_ROWS
from .model import AAPTVAE, observation_of
from .run import RUN, RunConfig, TemporaryFolder, build_model, final_folder, read_config, read_prior, read_state
from .run.layout import BEST
from .run.state import decode_state, encode_state
from .train_table import train_unevaluated

try:
    from sklearn.utils import check_array, check_random_state
    from sklearn.utils.validation import check_is_fitted, validate_data

    from aaptvae.sklearn import NUMBERS, LatentTransformer, beside_conditions
except ImportError as error:
    raise MissingDependencyError(f"VAETransformer needs scikit-learn ({error}): add it with pip install scikit-learn") from None

MOST_LATENTS = 64  # of a latent_dim that follows from the columns
CHUNK = 256  # rows whose importance samples are in memory at once


class Fitted(NamedTuple):
    """The parts of a fitted transformer, rebuilt from its state."""

    model: AAPTVAE
    prior: LatentPrior
    observation: ObservationModel
    conditions: Conditions


class VAETransformer(LatentTransformer):
    """A variational autoencoder as a scikit-learn transformer: `transform` gives the posterior means of the latents.

    `latent_dim=None` means as many latents as columns, at most 64. The other parameters are options of `aaptvae train`;
    `options` holds further ones by name. `random_state` seeds the split, the weights, the order of rows and the noise.
    A tenth of the rows selects the weights and the prior, another tenth is not used; tables of less than 20,000 rows are then
    trained again on all rows, unless `options` hold `"refit": False`. `threads=None` means one or all, whichever
    is faster. The columns that `condition` names are no features but conditions: columns of a table at every step, beside the
    latents z0, z1, ... for `inverse_transform`; densities are then p(x | condition). Its fitted state is one `bytes` object,
    so that it pickles without torch. `score_samples` is an importance-weighted lower bound of log p(x) under the fitted
    prior, in nats of the raw features.
    """

    def __init__(  # noqa: PLR0913 - scikit-learn reads its parameters from here
        self,
        latent_dim: int | None = None,
        *,
        hidden_dim: int | tuple[int, ...] = (400,),
        likelihood: str = "student",
        sigma: str | float = "spectral",
        beta: float = 1.0,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float = 1e-3,
        weight_decay: float | None = None,
        condition: Sequence[str] | None = None,
        options: dict[str, Any] | None = None,
        device: str = "auto",
        threads: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.latent_dim = latent_dim
        self.hidden_dim = hidden_dim
        self.likelihood = likelihood
        self.sigma = sigma
        self.beta = beta
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.condition = condition
        self.options = options
        self.device = device
        self.threads = threads
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Train on rows [N, D]; `ValueError` for fewer than 10 rows, for values that are not finite and for wrong options."""
        given = self.get_params(deep=False)
        other, threads, state, condition = (given.pop(name) for name in ("options", "threads", "random_state", "condition"))
        names, condition = names_of(X), as_names(condition or ())
        if condition:  # columns of text are no numbers that scikit-learn could check
            validate_data(self, X, skip_check_array=True)
            x, width = X, self.n_features_in_ - len(condition)
        else:
            x = self._numbers(X, ensure_min_samples=LEAST_ROWS)
            width = x.shape[1]
        if given["latent_dim"] is None:
            given["latent_dim"] = min(MOST_LATENTS, width)
        given["condition"] = condition
        config = make_config({"similarity": "off", **given, **(other or {}), "seed": _seed(state)})
        if config.condition != condition:
            raise InputError(f"options name conditions, {', '.join(config.condition)}: give them as condition=[...]")
        folder = TemporaryFolder()
        with torch.random.fork_rng(devices=[]):
            train_unevaluated(x, folder.path / RUN, config, threads)
        self.state_, self.latent_dim_ = _pack(folder), config.latent_dim
        self.columns_ = None if names is None else tuple(name for name in names if name not in condition)
        return self

    def transform(self, X: ArrayLike) -> Array:
        """Posterior means of rows: [N, D] -> [N, L], in the precision of the rows."""
        return self._posterior(*self._checked(X))[0]

    def inverse_transform(self, X: ArrayLike) -> Array:
        """Reconstructions of latents: [N, L] -> [N, D], in the precision of the latents."""
        check_is_fitted(self)
        z, c = self._beside_conditions(X, latent_names(self.latent_dim_)) if self._conditional() else (X, None)
        z = self._latents(z)
        return _decode(_fitted(self.state_, z.dtype.name).model, z, c)

    def score_samples(self, X: ArrayLike) -> Nats:
        """Log-likelihood of each row in nats [N]: a bound from 64 importance samples, the same ones for every row."""
        x, c = self._checked(X)
        x = x.astype(np.float64, copy=False)
        model, prior, observation, _ = _fitted(self.state_, x.dtype.name)
        draws = importance_draws(0, 0, 1, SAMPLES, self.latent_dim_)
        scores = np.empty(len(x))
        for start in range(0, len(x), CHUNK):
            rows, given = x[start : start + CHUNK], None if c is None else c[start : start + CHUNK]
            bounds = LikelihoodBounds(partial(_decode, model, c=given), observation)
            noise, posterior = np.tile(draws, (len(rows), 1)), self._posterior(rows, given)
            scores[start : start + CHUNK] = bounds.importance_weighted([prior.under(given)], rows, *posterior, noise)[0]
        return scores if observation.kind == "bernoulli" else scores - np.log(observation.scale).sum()

    def score(self, X: ArrayLike, y: object = None) -> float:
        """Mean log-likelihood of the rows, in nats."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, random_state: Any = None, condition: ConditionLike = None) -> Array:
        """New rows [n_samples, D] from the fitted prior, with observation noise: float32.

        `condition` holds one value of each condition, or one for each row, by name.
        """
        check_is_fitted(self)
        model, prior, observation, conditions = _fitted(self.state_, "float32")
        needed = 16.0 * len(as_range(n_samples)) * (model.input_dim + self.latent_dim_)
        require_memory(f"a sample of {n_samples:,} rows", needed, "ask for fewer rows at a time")
        c = conditions.of_rows(condition, n_samples) if conditions else None
        seed = _seed(self.random_state if random_state is None else random_state)
        mean = _decode(model, prior.under(c).draw(seed, 0, n_samples), c)
        return observation.add_noise(mean, seed, 0, n_samples)

    def _checked(self, X: ArrayLike) -> tuple[Array, Rows | None]:
        """Features [N, D] in the order of `fit`, and conditions [N, C]."""
        check_is_fitted(self)
        if self._conditional():
            validate_data(self, X, skip_check_array=True, reset=False)
            x, c = self._beside_conditions(X, self.columns_)
            return check_array(x, dtype=NUMBERS), c
        checked = self._numbers(X, reset=False)
        names, known = names_of(X), getattr(self, "columns_", None)  # not in older states
        # scikit-learn passes over names that are numbers.
        order = None if names is None or known is None else match_columns(names, known, "X")
        return (checked if order is None else checked[:, order]), None

    def _conditional(self) -> bool:
        return bool(getattr(self, "condition", None))  # not in older states

    def _beside_conditions(self, X: ArrayLike, columns: Sequence[str] | None) -> tuple[Array, Rows]:
        return beside_conditions(X, columns, _fitted(self.state_, "float32").conditions)

    @torch.no_grad()
    def _posterior(self, x: Array, c: Rows | None) -> tuple[Array, Array]:
        model = _fitted(self.state_, x.dtype.name).model
        mu, logvar = (part.numpy() for part in model.encode(_tensor(x), None if c is None else _tensor(c.astype(x.dtype))))
        refuse_overflow("X", x, 0, (mu, logvar), getattr(self, "columns_", None))
        return mu, logvar

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = [np.dtype(kind).name for kind in NUMBERS]
        return tags


def _seed(random_state: Any) -> int:
    """An integer is the seed itself; a generator, or NumPy's global one for None, is asked for one."""
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(1 << 31))


def _pack(folder: TemporaryFolder) -> bytes:
    """Configuration, weights and prior of a run as one safetensors file."""
    run = folder.path / RUN
    folder_of_use = final_folder(run)
    config, (weights, _) = read_config(run), read_state(folder_of_use / BEST)
    model = {f"model.{name}": tensor for name, tensor in weights.items()}
    prior = {f"prior.{name}": array for name, array in read_prior(folder_of_use, config).to_arrays().items()}
    return encode_state({**model, **prior}, {"config": msgspec.to_builtins(config)})


@lru_cache(maxsize=8)
def _fitted(state: bytes, precision: str) -> Fitted:
    """The model of a state in float32 or float64, on the CPU."""
    tensors, facts = decode_state(state, "the state of this VAETransformer")
    config = msgspec.convert(facts["config"], RunConfig)
    with torch.random.fork_rng(devices=[]):
        model = build_model(config)
    model.load_state_dict({name.removeprefix("model."): t for name, t in tensors.items() if name.startswith("model.")})
    prior = LatentPrior.from_arrays(
        {name.removeprefix("prior."): t.numpy() for name, t in tensors.items() if name.startswith("prior.")}
    )
    model.eval()
    observation = observation_of(model)
    return Fitted(model.double() if precision == "float64" else model, prior, observation, Conditions(config.conditions))


@torch.no_grad()
def _decode(model: AAPTVAE, z: Array, c: Rows | None = None) -> Array:
    kind = model.mu.weight.dtype
    decoded: Array = model.decode(_tensor(z).to(kind), None if c is None else _tensor(c).to(kind)).numpy()
    return decoded


def _tensor(rows: Array) -> torch.Tensor:
    """torch warns about arrays that may not be written."""
    return torch.from_numpy(np.require(rows, requirements=["C", "W"]))
