"""The VAE of a bundle: encode, decode, sample, interpolate and score with numpy and onnxruntime, no torch."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from .bundle import Bundle, Manifest, Place, Precision, graph_file, read_bundle
from .bundle.golden import Golden
from .bundle.graph_check import check_graph
from .bundle.manifest import GOLDEN, LOAD_TOLERANCE, metadata
from .densities import PriorName, read_densities
from .density import (
    PAIRS,
    SAMPLES,
    LikelihoodBounds,
    Stream,
    importance_draws,
    kl_divergence,
    normal_rows,
    p_values,
    resolve_seed,
)
from .engine import Network, Provider, Settings
from .errors import InputError
from .interpolation import Curve, walk
from .rows import BLOCK, Nats, Rows, as_count, as_output, as_range, as_rows, numbered, shaped
from .scores import Scores
from .tables import UNNAMED, TableLike, as_table, filled, latents_of
from .views import ViewName, Views


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


class VAE:
    """A loaded bundle: rows in, float32 rows out. Thread-safe; pickled as path (or bytes, if loaded from bytes) and digest."""

    def __init__(self, source: Bundle, precision: Precision, settings: Settings, *, golden: bool = True) -> None:
        manifest = source.manifest
        if precision not in manifest.precisions:
            raise InputError(
                f"precision is {precision!r}: expected {', '.join(manifest.precisions)}, as in this bundle: choose one, or "
                f"export with --precision {precision}"
            )
        self._source, self.precision, self._settings, self._golden = source, precision, settings, golden
        self._densities = read_densities(source)
        self.observation = self._densities.observation
        replayed = Golden.read(source.files[GOLDEN], manifest, self.observation.unit) if golden else None
        for graph in ("encoder", "decoder"):  # both are checked before onnxruntime parses one
            name, spec = graph_file(graph, precision), getattr(manifest, graph)
            check_graph(source.files[name], name, spec, precision, metadata(manifest, graph, precision))
        self.views = Views(source, precision, settings, replayed)
        self._encoder, self._decoder = self._network("encoder"), self._network("decoder")
        self._encoder.columns = manifest.columns
        if replayed is not None:
            self._replay(replayed)

    def _network(self, graph: Literal["encoder", "decoder"]) -> Network:
        manifest, data = self._source.manifest, self._source.files[graph_file(graph, self.precision)]
        spec, order = (manifest.encoder, 1) if graph == "encoder" else (manifest.decoder, -1)
        return Network(data, spec, manifest.hidden_dims[::order], self.precision, self._settings)

    def _replay(self, golden: Golden) -> None:
        encoder, decoder = self._encoder.run_single_threaded, self._decoder.run_single_threaded
        encode, decode = (lambda x: encoder(x, ("mu", "logvar"))), (lambda z: decoder(z, ("reconstruction",))[0])
        for replay in golden.replay(encode, decode, self.precision, self.on_cpu, LOAD_TOLERANCE):
            replay.require()

    def __repr__(self) -> str:
        name, widths = self.manifest.name, f"{self.input_dim} features, {self.latent_dim} latents"
        return f"<VAE {name}: {widths}, {self.precision} on {', '.join(self.providers)}>"

    @property
    def manifest(self) -> Manifest:
        """The manifest of the bundle."""
        return self._source.manifest

    @property
    def digest(self) -> str:
        """SHA-256 of the bundle's manifest, for `load(sha256=...)`."""
        return self._source.digest

    @property
    def input_dim(self) -> int:
        """D, the width of features."""
        return self.manifest.input_dim

    @property
    def latent_dim(self) -> int:
        """L, the width of latents."""
        return self.manifest.latent_dim

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Names of the features [D], None for a model that was trained on columns without names."""
        return self.manifest.columns

    @property
    def providers(self) -> list[str]:
        """Active execution providers, in order of preference."""
        return self._encoder.providers

    @property
    def on_cpu(self) -> bool:
        """True if only the CPU provider is active, whose fp32 is exact."""
        return self.providers == ["CPUExecutionProvider"]

    @property
    def batch_size(self) -> int:
        """Rows per call of the encoder."""
        return self._encoder.chunk

    def features(self, x: TableLike, passthrough: Sequence[str] = ()) -> ArrayLike:
        """`x` as numbers [N, D]: its named columns in the order of `columns`, without those in `passthrough` (`as_table`)."""
        if type(x) is not np.ndarray or x.dtype.names is not None:
            x = as_table(x, columns=self.columns or UNNAMED, passthrough=passthrough).values
        return x if self.manifest.missing == "error" else filled(x, self.observation.mean)

    def encode(self, x: TableLike, *, out: tuple[Rows, Rows] | None = None) -> tuple[Rows, Rows]:
        """Posterior `mu` and `logvar` [N, L] of features `x` [N, D], written to the pair `out` if given."""
        if out is not None and not (isinstance(out, tuple | list) and len(out) == 2):
            raise InputError(f"out is a {type(out).__name__}: expected two arrays, (mu, logvar)")
        return tuple(self._encoder(self.features(x), ("mu", "logvar"), out))  # type: ignore[return-value]

    def encode_batches(self, batches: Iterable[TableLike]) -> Iterator[tuple[Rows, Rows]]:
        """`encode` of each batch [N, D] of an iterable, lazily."""
        return map(self.encode, batches)

    def embed(self, x: TableLike, *, view: ViewName = "mu", out: Rows | None = None) -> Rows:
        """Posterior mean [N, L] of features `x` [N, D]: `encode(x)[0]` without the work for `logvar`; or another view.

        "metric" [N, L] is an affine map of it whose distances are those of the reconstructions, "similarity" [N, S] a vector
        for search. `InputError` names the views of a bundle that lacks one.
        """
        network = self._encoder if view == "mu" else self.views.network(view)
        return network(self.features(x), (view,), None if out is None else (out,))[0]

    def decode(self, z: TableLike, *, view: ViewName = "mu", out: Rows | None = None) -> Rows:
        """Features [N, D] of latents `z` [N, L], or of their "metric" view; `InputError` for a view without an inverse."""
        z = latents_of(z, self.latent_dim, named=self.columns is not None)
        if view == "mu":
            return self._decoder(z, ("reconstruction",), None if out is None else (out,))[0]
        inverse, source = self.views.inverse(view), shaped(z, self.latent_dim, view)
        result = as_output(out, len(source), self.input_dim, source)
        for start, stop in self._chunks(len(source)):
            latents = inverse(as_rows(source[start:stop], self.latent_dim, view, start))
            self.decode(latents, out=result[start:stop])
        return result

    def reconstruct(self, x: TableLike, *, out: Rows | None = None) -> Rows:
        """`decode(embed(x))` [N, D], deterministic."""
        source = shaped(self.features(x), self.input_dim)
        if len(source) <= self.batch_size and out is None:
            with numbered(0):  # the decoder's rows are those of x
                return self.decode(self.embed(source))
        result = as_output(out, len(source), self.input_dim, source)
        for start, stop in self._chunks(len(source)):
            rows = as_rows(source[start:stop], self.input_dim, "x", start, self.columns)
            with numbered(start):
                self.decode(self.embed(rows), out=result[start:stop])
        return result

    def reparameterize(self, mu: ArrayLike, logvar: ArrayLike, *, seed: int | None = None, out: Rows | None = None) -> Rows:
        """`mu + exp(logvar / 2) * noise` [N, L]; row i of the noise depends on `seed` and i alone."""
        means, spreads = shaped(mu, self.latent_dim, "mu"), shaped(logvar, self.latent_dim, "logvar")
        if len(means) != len(spreads):
            raise InputError(f"mu has {len(means)} rows and logvar {len(spreads)}: expected equal numbers: pass pairs of rows")
        seed = resolve_seed(seed)
        result = as_output(out, len(means), self.latent_dim, means, spreads)
        for start, stop in self._chunks(len(means)):
            deviation = np.exp(as_rows(spreads[start:stop], self.latent_dim, "logvar", start) / 2)
            noise = normal_rows(seed, start, stop, self.latent_dim, Stream.LATENT)
            result[start:stop] = as_rows(means[start:stop], self.latent_dim, "mu", start) + deviation * noise
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
        out: Rows | None = None,
    ) -> Rows:
        """`n` new rows [n, D] from the fitted or the standard prior; `observation_noise` adds the likelihood's own.

        `as_observed` adds that noise and then gives every column the distribution of its training rows: observed values
        alone where these are few, their range elsewhere. `InputError` where the bundle has no maps for that.
        A seed defines an endless sequence of rows: `n` gives its first rows, a `range` any others.
        """
        maps = self._densities.maps() if as_observed else None
        n, density, seed = as_range(n), self._densities.prior_called(prior), resolve_seed(seed)
        result = as_output(out, len(n), self.input_dim)
        for start, stop in self._chunks(len(n)):
            first, last = n.start + start, n.start + stop
            rows = self.decode(density.draw(seed, first, last, temperature))
            noisy = observation_noise or as_observed
            result[start:stop] = self.observation.add_noise(rows, seed, first, last) if noisy else rows
        if maps is not None:
            maps.apply(result)
        return result

    def interpolate(self, a: TableLike, b: TableLike, steps: int = 8, *, path: Curve = "linear") -> Rows:
        """From features `a` to `b` [N, D] through latent space: `steps` + 1 rows a pair, [N * (steps + 1), D].

        The ends equal `reconstruct(a)` and `reconstruct(b)`.
        """
        start, end = self.embed(a), self.embed(b)
        if len(start) != len(end):
            raise InputError(f"a has {len(start)} rows and b {len(end)}: expected equal numbers: pass pairs of rows")
        with numbered(0, "a or b", steps + 1):
            return self.decode(walk(start, end, steps, path).reshape(-1, self.latent_dim))

    def score(self, x: TableLike, *, pairs: int = PAIRS) -> Scores:
        """Reconstruction error, KL divergence, ELBO and p-value of each row, independent of the other rows.

        `p_value` is the share of held-out rows with an ELBO as low or lower (`density/calibration.py`): small for rows
        unlike the training rows; NaN for bundles of schema 1.
        The ELBO's expectation is taken over `pairs` of opposite points (`LikelihoodBounds.expected_log_density`).
        """
        pairs, source = as_count(pairs, "pairs"), shaped(self.features(x), self.input_dim)
        scores = Scores(*np.empty((4, len(source))))
        for start, stop in self._chunks(len(source)):
            rows = as_rows(source[start:stop], self.input_dim, "x", start, self.columns)
            with numbered(start):
                mu, logvar = self.encode(rows)
                scores.reconstruction_error[start:stop] = self.observation.squared_error(rows, self.decode(mu))
                expected = LikelihoodBounds(self.decode, self.observation).expected_log_density(rows, mu, logvar, pairs)
            scores.kl_divergence[start:stop] = kl_divergence(mu, logvar)
            scores.elbo[start:stop] = expected - scores.kl_divergence[start:stop]
            scores.p_value[start:stop] = p_values(scores.elbo[start:stop], self._densities.heldout_elbo)
        return scores

    def log_likelihood(
        self, x: TableLike, samples: int = SAMPLES, *, seed: int | None = None, prior: PriorName = "standard"
    ) -> Nats:
        """Importance-weighted lower bound of log p(x) in nats [N] (Burda et al. 2016), tighter with more `samples`.

        Under N(0, I), the prior that was trained with, or the "fitted" one that samples are drawn from.
        """
        density, seed, samples = self._densities.prior_called(prior), resolve_seed(seed), as_count(samples, "samples")
        source, bounds = shaped(self.features(x), self.input_dim), LikelihoodBounds(self.decode, self.observation)
        result = np.empty(len(source))
        for start, stop in self._chunks(len(source), samples):
            rows = as_rows(source[start:stop], self.input_dim, "x", start, self.columns)
            noise = importance_draws(seed, start, stop, samples, self.latent_dim)
            with numbered(start):
                posterior = self.encode(rows)
                result[start:stop] = bounds.importance_weighted([density], rows, *posterior, noise)[0]
        return result

    def _chunks(self, rows: int, copies: int = 1) -> Iterator[tuple[int, int]]:
        """Start and stop of chunks of whole blocks, so that products in numpy do not depend on the batch size."""
        size = -(-self.batch_size // (copies * BLOCK)) * BLOCK
        return ((start, min(start + size, rows)) for start in range(0, rows, size))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle path, digest and options; unpickling loads the bundle again. A VAE of bytes is pickled with the bytes."""
        if self._settings.session_options is not None:
            raise InputError("session_options cannot be pickled: load the bundle in the other process")
        return _load_again, (self._source.source, self.digest, self.precision, self._settings, self._golden)


def _load_again(source: str | bytes, digest: str, precision: Precision, settings: Settings, golden: bool) -> VAE:
    return VAE(read_bundle(source, sha256=digest), precision, settings, golden=golden)
