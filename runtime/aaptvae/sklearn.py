"""A bundle as a scikit-learn transformer: rows to latents and back, without torch. Needs scikit-learn."""

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from .bundle.packing import packed
from .conditions import Conditions
from .errors import InputError, MissingDependencyError
from .rows import Array, Nats, Rows
from .tables import UNNAMED, as_table, column_values, latent_names, latents_of, names_of, order_for
from .tables.frames import is_masked
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
ASIDE = "select the others with a ColumnTransformer"
_LACKING = "{name} has no column {key}, a condition of this model: its columns are {columns}: keep it beside the features"


class LatentTransformer(TransformerMixin, BaseEstimator):
    """Names and checks of a transformer to latents; `fit` sets the number of latents, `latent_dim_`."""

    latent_dim_: int

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> Array:
        """Names of the latents: z0, z1, ..."""
        check_is_fitted(self)
        if input_features is not None and len(np.asarray(input_features)) != self.n_features_in_:
            raise ValueError(f"input_features should have length equal to number of features ({self.n_features_in_})")
        return np.array([f"z{number}" for number in range(self.latent_dim_)], dtype=object)

    def _numbers(self, X: ArrayLike, **options: Any) -> Array:
        """X as numbers [N, D], checked by scikit-learn; `InputError` names columns of a table that hold others."""
        if is_masked(X):
            raise InputError("X is a masked array: expected no masked values: fill them first")
        columns = isinstance(X, Mapping) and not hasattr(X, "nnz")  # some sparse matrices are mappings
        if columns or getattr(getattr(X, "dtype", None), "names", None):
            raise InputError(f"X is a {type(X).__name__} of columns: expected an array or a data frame: pass pd.DataFrame(X)")
        try:
            checked: Array = validate_data(self, X, dtype=NUMBERS, order="C", **options)
        except ValueError:
            if names_of(X) is not None:
                as_table(X, name="X", remedy=ASIDE)
            raise
        return checked

    def _latents(self, z: ArrayLike) -> Array:
        """Latents [N, L] as numbers; `ValueError` for another width."""
        checked: Array = check_array(z, dtype=NUMBERS)
        if checked.shape[1] != self.latent_dim_:
            expected = f"{type(self).__name__} is expecting {self.latent_dim_} latents as input"
            raise ValueError(f"X has {checked.shape[1]} latents, but {expected}")
        return checked


def beside_conditions(X: ArrayLike, columns: Sequence[str] | None, conditions: Conditions) -> tuple[Array, Rows]:
    """The columns of a table that are not conditions, in this order, and the conditions [N, C]; `ValueError` without names."""
    if names_of(X) is None:
        raise ValueError(f"X has no named columns: this model takes {conditions}: pass a table with such columns")
    held = column_values(X, conditions.names, "X", lacking=_LACKING)
    values = as_table(X, columns=columns, passthrough=conditions.names, name="X").values
    return values, conditions.of_rows(None, len(values), held)


class BundleTransformer(LatentTransformer):
    """The model of a bundle as a scikit-learn transformer: `transform` gives posterior means, always float32.

    `bundle` is a folder, a .zip or the bytes of one, as in `aaptvae.load`. `fit` trains nothing: it reads the bundle and checks
    that the rows fit it. Named columns are matched with those of the model; after `fit`, their order must stay, as in all of
    scikit-learn. The fitted state holds the bytes of the bundle, so that it works where the folder does not exist.
    Missing values are refused or filled in as the bundle says.
    Conditions of a bundle are columns of the rows by their names, beside the features and, for `inverse_transform`, beside the
    latents z0, z1, ...: arrays have no names, so that steps before must keep them (`set_output`).
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
        self.state_ = self._bytes()
        self.latent_dim_ = self._vae().latent_dim
        (x, _), manifest = self._checked(X, reset=True), self._vae().manifest
        if x.shape[1] != manifest.input_dim:
            raise ValueError(
                f"X has {x.shape[1]} features: the bundle {manifest.name} encodes {manifest.input_dim}: pass its columns"
            )
        self.order_ = self._order_of(X)
        return self

    def transform(self, X: ArrayLike) -> Rows:
        """Posterior means of rows: [N, D] -> float32 [N, L]."""
        x, c = self._checked(X)
        return self._vae().embed(x, condition=c)

    def inverse_transform(self, X: ArrayLike) -> Rows:
        """Reconstructions of latents: [N, L] -> float32 [N, D]."""
        vae = self._vae()
        if vae.conditions:
            z, c = beside_conditions(X, latent_names(self.latent_dim_), Conditions(vae.manifest.conditions))
        else:
            z, c = latents_of(X, self.latent_dim_, named=False) if hasattr(X, "columns") else np.asarray(X), None
        rows = vae.decode(self._latents(z), condition=c)
        order = getattr(self, "order_", None)  # not in older states
        if order is not None:
            rows[:, order] = rows.copy()
        return rows

    def score_samples(self, X: ArrayLike) -> Nats:
        """ELBO of each row, a lower bound of its log-likelihood in nats of the standardised features: [N]."""
        x, c = self._checked(X)
        return self._vae().score(x, condition=c).elbo

    def score(self, X: ArrayLike, y: object = None) -> float:
        """Mean ELBO of the rows, in nats."""
        return float(self.score_samples(X).mean())

    def _bytes(self) -> bytes:
        """The bundle as a zip."""
        if self.bundle is None:
            raise ValueError("bundle is None: expected the path or the bytes of a bundle: BundleTransformer(bundle=...)")
        return packed(self.bundle)

    def _vae(self) -> VAE:
        check_is_fitted(self, "state_")
        return _loaded(self.state_, self.precision, self.threads)

    def _checked(self, X: ArrayLike, *, reset: bool = False) -> tuple[Array, Rows | None]:
        """Features [N, D] in the order of the model, which `fit` (`reset`) decides later, and conditions [N, C]."""
        check_is_fitted(self)
        vae = self._vae()
        finite = "allow-nan" if vae.manifest.missing == "mean" else True  # the model fills in missing values
        if vae.conditions:
            validate_data(self, X, skip_check_array=True, reset=reset)
            x, c = beside_conditions(X, vae.columns or UNNAMED, Conditions(vae.manifest.conditions))
            return check_array(x, dtype=NUMBERS, ensure_all_finite=finite), c
        checked = self._numbers(X, reset=reset, ensure_all_finite=finite)
        order = None if reset else getattr(self, "order_", None) if names_of(X) is None else self._order_of(X)
        return checked if order is None else checked[:, order], None

    def _order_of(self, X: ArrayLike) -> list[int] | None:
        """Positions of the model's columns among the features of X; scikit-learn itself passes over names that are numbers."""
        names, vae = names_of(X), self._vae()
        features = None if names is None else [name for name in names if name not in vae.conditions]
        return None if features is None else order_for(features, vae.columns, "X")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


@lru_cache(maxsize=8)
def _loaded(state: bytes, precision: Any, threads: int | None) -> VAE:
    return load(state, precision=precision, threads=threads)
