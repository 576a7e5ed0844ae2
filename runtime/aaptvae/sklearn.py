"""A bundle as a scikit-learn transformer: rows to latents and back, without torch. Needs scikit-learn."""

import os
from functools import lru_cache
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from .bundle.packing import packed
from .errors import MissingDependencyError
from .rows import Array, Nats, Rows
from .tables import latents_of, names_of, order_for
from .vae import VAE, load

try:
    from sklearn.base import BaseEstimator, TransformerMixin
    from sklearn.utils import check_array
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise MissingDependencyError(
        f"BundleTransformer needs scikit-learn ({error}): add it with pip install scikit-learn"
    ) from None

NUMBERS = [np.float64, np.float32]


class BundleTransformer(TransformerMixin, BaseEstimator):
    """The model of a bundle as a scikit-learn transformer: `transform` gives posterior means, always float32.

    `bundle` is a folder, a .zip or the bytes of one, as in `aaptvae.load`. `fit` trains nothing: it reads the bundle and checks
    that the rows fit it. Named columns are matched with those of the model; after `fit`, their order must stay, as in all of
    scikit-learn. The fitted state holds the bytes of the bundle, so that it works where the folder does not exist.
    `precision` and `threads` are those of `aaptvae.load`.
    """

    def __init__(
        self, bundle: str | os.PathLike[str] | bytes | None = None, *, precision: str = "fp32", threads: int | None = None
    ) -> None:
        self.bundle = bundle
        self.precision = precision
        self.threads = threads

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Read the bundle; `ValueError` unless rows [N, D] fit it, `BundleError` for a bundle that cannot be used."""
        x = validate_data(self, X, dtype=NUMBERS)
        self.state_ = self._bytes_for(x.shape[1])
        self.latent_dim_ = self._vae().latent_dim
        self.order_ = self._order_of(X)
        return self

    def transform(self, X: ArrayLike) -> Rows:
        """Posterior means of rows: [N, D] -> float32 [N, L]."""
        return self._vae().embed(self._checked(X))

    def inverse_transform(self, X: ArrayLike) -> Rows:
        """Reconstructions of latents: [N, L] -> float32 [N, D]."""
        vae = self._vae()
        z = check_array(latents_of(X, self.latent_dim_, named=False) if hasattr(X, "columns") else X, dtype=NUMBERS)
        if z.shape[1] != self.latent_dim_:
            raise ValueError(
                f"X has {z.shape[1]} latents, but BundleTransformer is expecting {self.latent_dim_} latents as input"
            )
        rows = vae.decode(z)
        order = getattr(self, "order_", None)  # not in states of before
        if order is not None:
            rows[:, order] = rows.copy()
        return rows

    def score_samples(self, X: ArrayLike) -> Nats:
        """ELBO of each row, a lower bound of its log-likelihood in nats of the standardised features: [N]."""
        return self._vae().score(self._checked(X)).elbo

    def score(self, X: ArrayLike, y: object = None) -> float:
        """Mean ELBO of the rows, in nats."""
        return float(self.score_samples(X).mean())

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> Array:
        """Names of the latents: z0, z1, ..."""
        check_is_fitted(self)
        if input_features is not None and len(np.asarray(input_features)) != self.n_features_in_:
            raise ValueError(f"input_features should have length equal to number of features ({self.n_features_in_})")
        return np.array([f"z{number}" for number in range(self.latent_dim_)], dtype=object)

    def _bytes_for(self, width: int) -> bytes:
        """The bundle as a zip; `ValueError` unless it encodes this many columns."""
        if self.bundle is None:
            raise ValueError("bundle is None: expected the path or the bytes of a bundle: BundleTransformer(bundle=...)")
        state = packed(self.bundle)
        manifest = _loaded(state, self.precision, self.threads).manifest
        if manifest.conditions:
            raise ValueError("the bundle takes conditions, which a transformer does not: use aaptvae.load")
        if width != manifest.input_dim:
            raise ValueError(
                f"X has {width} features: the bundle {manifest.name} encodes {manifest.input_dim}: pass its columns"
            )
        return state

    def _vae(self) -> VAE:
        check_is_fitted(self, "state_")
        return _loaded(self.state_, self.precision, self.threads)

    def _checked(self, X: ArrayLike) -> Array:
        check_is_fitted(self)
        checked: Array = validate_data(self, X, dtype=NUMBERS, reset=False)
        order = getattr(self, "order_", None) if names_of(X) is None else self._order_of(X)
        return checked if order is None else checked[:, order]

    def _order_of(self, X: ArrayLike) -> list[int] | None:
        """Positions of the model's columns in X; scikit-learn itself passes over names that are numbers."""
        names = names_of(X)
        return None if names is None else order_for(names, self._vae().columns, "X")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


@lru_cache(maxsize=8)
def _loaded(state: bytes, precision: Any, threads: int | None) -> VAE:
    return load(state, precision=precision, threads=threads)
