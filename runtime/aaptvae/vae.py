"""The VAE of a bundle: encode, decode, sample, interpolate and score with numpy and onnxruntime, no torch."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .bundle import Place, Precision, read_bundle
from .conditions import ConditionLike
from .densities import PriorName
from .density import (
    PAIRS,
    SAMPLES,
    LikelihoodBounds,
    importance_draws,
    kl_divergence,
    p_values,
    reparameterized,
    resolve_seed,
)
from .engine import Provider, Settings, new_output, require_memory
from .errors import InputError
from .interpolation import Curve, as_times, resample, walk
from .loaded import LoadedBundle
from .rows import BLOCK, Nats, Rows, as_count, as_range, as_rows, numbered, shaped
from .scores import Scores
from .tables import TableLike, latents_of
from .views import ViewName


def load(  # noqa: PLR0913 (all options of the runtime)
    path: Place,
    *,
    precision: Precision = "fp32",
    providers: Sequence[Provider] | None = None,
    threads: int | None = None,
    batch_size: int | None = None,
    session_options: Any = None,
    sha256: str | None = None,
    golden: bool = True,
) -> "VAE":
    """Load a bundle, check it, and compare it with its golden vectors.

    `path` is a folder, a .zip, hf://OWNER/NAME[@REVISION] (huggingface_hub downloads it to its cache), the bytes of a
    .zip, or a .zip opened with "rb". Raises `BundleError`, `ProviderError` for a provider that is not active,
    `InputError` for invalid options.
    `threads` defaults to the CPUs that the process may use, without spinning; `session_options`, an onnxruntime
    object, replaces this. `sha256` is the digest that the bundle must have; `golden=False` skips the comparison.
    """
    settings = Settings(providers, threads, batch_size, session_options)
    return VAE(read_bundle(path, sha256=sha256), precision, settings, golden=golden)


class VAE(LoadedBundle):
    """A loaded bundle: rows in, float32 rows out. Thread-safe; pickled as path (or bytes, if loaded from bytes) and digest.

    A model with conditions takes them as `condition`, a mapping from names to one value or to one for each row, or a table
    that holds them; or as columns of `x`. Its densities are p(x | condition). `InputError` for one that is missing or unknown.
    """

    def encode(
        self, x: TableLike, *, condition: ConditionLike = None, out: tuple[Rows, Rows] | None = None
    ) -> tuple[Rows, Rows]:
        """Posterior `mu` and `logvar` [N, L] of features `x` [N, D], written to the pair `out` if given."""
        if out is not None and not (isinstance(out, tuple | list) and len(out) == 2):
            raise InputError(f"out is a {type(out).__name__}: expected two arrays, (mu, logvar)")
        features, c = self._inputs(x, condition)
        return self._posterior(features, c, out)

    def encode_batches(self, batches: Iterable[TableLike]) -> Iterator[tuple[Rows, Rows]]:
        """`encode` of each batch [N, D] of an iterable, lazily; errors name the batch, the first is 0."""
        for number, batch in enumerate(batches):
            try:
                encoded = self.encode(batch)
            except InputError as error:
                raise InputError(f"batch {number}: {error}") from error
            yield encoded

    def embed(self, x: TableLike, *, view: ViewName = "mu", condition: ConditionLike = None, out: Rows | None = None) -> Rows:
        """Posterior mean [N, L] of features `x` [N, D]: `encode(x)[0]` without the work for `logvar`; or another view.

        "metric" [N, L] is an affine map of it whose distances are those of the reconstructions, "similarity" [N, S] a vector
        for search. `InputError` names the views of a bundle that lacks one.
        """
        network = self._encoder if view == "mu" else self.views.network(view)
        features, c = self._inputs(x, condition)
        return network(features, (view,), None if out is None else (out,), c)[0]

    def decode(self, z: TableLike, *, view: ViewName = "mu", condition: ConditionLike = None, out: Rows | None = None) -> Rows:
        """Features [N, D] of latents `z` [N, L], or of their "metric" view; `InputError` for a view without an inverse."""
        held = {} if self._conditions is None else self._conditions.within(z, self.latent_dim)
        z = latents_of(z, self.latent_dim, named=self.columns is not None, passthrough=tuple(held))
        if view == "mu":
            return self._decoded(z, self.conditions_of(condition, 0 if self._conditions is None else len(z), held), out)
        inverse, source = self.views.inverse(view), shaped(z, self.latent_dim, view)
        result = new_output(out, len(source), self.input_dim, source)
        for start, stop in self._chunks(len(source)):
            latents = inverse(as_rows(source[start:stop], self.latent_dim, view, start))
            self.decode(latents, out=result[start:stop])
        return result

    def reconstruct(self, x: TableLike, *, condition: ConditionLike = None, out: Rows | None = None) -> Rows:
        """`decode(embed(x))` [N, D], deterministic."""
        features, c = self._inputs(x, condition)
        source = shaped(features, self.input_dim)
        if len(source) <= self.batch_size and out is None:
            with numbered(0):  # the decoder's rows are those of x
                return self._decoded(self._encoder(source, ("mu",), None, c)[0], c)
        result = new_output(out, len(source), self.input_dim, source)
        for part, rows, given in self._parts(source, c):
            with numbered(part.start):
                self._decoded(self._encoder(rows, ("mu",), None, given)[0], given, result[part])
        return result

    def reparameterize(self, mu: ArrayLike, logvar: ArrayLike, *, seed: int | None = None, out: Rows | None = None) -> Rows:
        """`mu + exp(logvar / 2) * noise` [N, L]; row i of the noise depends on `seed` and i alone."""
        means, spreads = shaped(mu, self.latent_dim, "mu"), shaped(logvar, self.latent_dim, "logvar")
        if len(means) != len(spreads):
            raise InputError(f"mu has {len(means)} rows and logvar {len(spreads)}: expected equal numbers: pass pairs of rows")
        seed = resolve_seed(seed)
        result = new_output(out, len(means), self.latent_dim, means, spreads)
        for start, stop in self._chunks(len(means)):
            mu = as_rows(means[start:stop], self.latent_dim, "mu", start)
            result[start:stop] = reparameterized(
                mu, as_rows(spreads[start:stop], self.latent_dim, "logvar", start), seed, start
            )
        return result

    def sample(  # noqa: PLR0913 (all options of drawing)
        self,
        n: int | range,
        *,
        seed: int | None = None,
        prior: PriorName = "fitted",
        temperature: float = 1.0,
        observation_noise: bool = False,
        as_observed: bool = False,
        condition: ConditionLike = None,
        out: Rows | None = None,
    ) -> Rows:
        """`n` new rows [n, D] from the fitted or the standard prior; `observation_noise` adds the likelihood's own.

        `as_observed` adds that noise and then gives every column the distribution of its training rows: observed values
        alone where these are few, their range elsewhere. `InputError` where the bundle has no maps for that.
        A seed defines an endless sequence of rows: `n` gives its first rows, a `range` any others.
        """
        maps = self._densities.maps() if as_observed else None
        n, density, seed = as_range(n), self._densities.prior_called(prior), resolve_seed(seed)
        c = self.conditions_of(condition, len(n))
        result = new_output(out, len(n), self.input_dim)
        for start, stop in self._chunks(len(n)):
            first, last = n.start + start, n.start + stop
            given = c if c is None else c[start:stop]
            rows = self._decoded(density.under(given).draw(seed, first, last, temperature), given)
            noisy = observation_noise or as_observed
            result[start:stop] = self.observation.add_noise(rows, seed, first, last) if noisy else rows
        if maps is not None:
            maps.apply(result)
        return result

    def interpolate(
        self, a: TableLike, b: TableLike, steps: int = 8, *, path: Curve = "linear", condition: ConditionLike = None
    ) -> Rows:
        """From features `a` to `b` [N, D] through latent space: `steps` + 1 rows a pair, [N * (steps + 1), D].

        The ends equal `reconstruct(a)` and `reconstruct(b)`; conditions go straight from those of `a` to those of `b`.
        """
        (first, before), (last, after) = self._inputs(a, condition), self._inputs(b, condition)
        start, end = self._encoder(first, ("mu",), None, before)[0], self._encoder(last, ("mu",), None, after)[0]
        if len(start) != len(end):
            raise InputError(f"a has {len(start)} rows and b {len(end)}: expected equal numbers: pass pairs of rows")
        points = walk(start, end, steps, path).reshape(-1, self.latent_dim)
        c = None if before is None or after is None else walk(before, after, steps).reshape(len(points), -1)
        with numbered(0, "a or b", steps + 1):
            return self._decoded(points, c)

    def resample(
        self, x: TableLike, times: ArrayLike, at: ArrayLike, *, path: Curve = "linear", condition: ConditionLike = None
    ) -> Rows:
        """One sequence `x` [N, D] with increasing `times` [N], at other times `at` [M] within them: [M, D].

        Between the two nearest rows as `interpolate`; at the time of a row its reconstruction. Conditions are interpolated too.
        """
        x, c = self._inputs(x, condition)
        times, at = as_times(times, "times"), as_times(at, "at")
        points = resample(self._encoder(x, ("mu",), None, c)[0], times, at, path)
        with numbered(0, "at"):
            return self._decoded(points, None if c is None else resample(c, times, at))

    def score(self, x: TableLike, *, condition: ConditionLike = None, pairs: int = PAIRS) -> Scores:
        """Reconstruction error, KL divergence, ELBO and p-value of each row, independent of the other rows.

        `p_value` is the share of held-out rows with an ELBO as low or lower (`density/calibration.py`): small for rows
        unlike the training rows; NaN for bundles of schema 1.
        The ELBO's expectation is taken over `pairs` of opposite points (`LikelihoodBounds.expected_log_density`).
        """
        features, c = self._inputs(x, condition)
        pairs, source = as_count(pairs, "pairs"), shaped(features, self.input_dim)
        scores = Scores(*np.empty((4, len(source))))
        for part, rows, given in self._parts(source, c):
            decode = partial(self._decoded, c=given)
            with numbered(part.start):
                mu, logvar = self._posterior(rows, given)
                scores.reconstruction_error[part] = self.observation.squared_error(rows, decode(mu))
                expected = LikelihoodBounds(decode, self.observation).expected_log_density(rows, mu, logvar, pairs)
            scores.kl_divergence[part] = kl_divergence(mu, logvar)
            scores.elbo[part] = expected - scores.kl_divergence[part]
            scores.p_value[part] = p_values(scores.elbo[part], self._densities.heldout_elbo)
        return scores

    def log_likelihood(
        self,
        x: TableLike,
        samples: int = SAMPLES,
        *,
        seed: int | None = None,
        prior: PriorName = "standard",
        condition: ConditionLike = None,
    ) -> Nats:
        """Importance-weighted lower bound of log p(x) in nats [N] (Burda et al. 2016), tighter with more `samples`.

        Under N(0, I), the prior that was trained with, or the "fitted" one that samples are drawn from.
        """
        density, seed, samples = self._densities.prior_called(prior), resolve_seed(seed), as_count(samples, "samples")
        features, c = self._inputs(x, condition)
        source = shaped(features, self.input_dim)
        held = 8.0 * min(BLOCK, len(source)) * samples * (self.latent_dim + self.input_dim)
        require_memory(f"a likelihood of {samples:,} samples for each row", held, "ask for fewer samples")
        result = np.empty(len(source))
        for part, rows, given in self._parts(source, c, samples):
            noise = importance_draws(seed, part.start, part.stop, samples, self.latent_dim)
            bounds = LikelihoodBounds(partial(self._decoded, c=given), self.observation)
            with numbered(part.start):
                posterior = self._posterior(rows, given)
                result[part] = bounds.importance_weighted([density.under(given)], rows, *posterior, noise)[0]
        return result

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle path, digest and options; unpickling loads the bundle again. A VAE of bytes is pickled with the bytes."""
        if self._settings.session_options is not None:
            raise InputError("session_options cannot be pickled: load the bundle in the other process")
        return _load_again, (self._source.source, self.digest, self.precision, self._settings, self._golden)


def _load_again(source: str | bytes, digest: str, precision: Precision, settings: Settings, golden: bool) -> VAE:
    return VAE(read_bundle(source, sha256=digest), precision, settings, golden=golden)
