"""The model card of a bundle: `card.md` filled with what the manifest knows, for people and the Hugging Face hub."""

from pathlib import Path

from aaptvae.bundle.manifest import MANIFEST, Manifest

_CARD = Path(__file__).with_name("card.md")


_FIGURES: tuple[tuple[str, str, *tuple[tuple[str, str], ...]], ...] = (
    (
        "log_likelihood",
        "log-likelihood, importance-weighted, under the better prior",
        ("pPCA", "ppca_log_likelihood"),
        ("one full Gaussian", "gaussian_log_likelihood"),
        ("independent features", "independent_log_likelihood"),
    ),
    ("log_likelihood_standard", "under N(0, I)"),
    ("log_likelihood_fitted", "under the fitted prior"),
    ("elbo", "ELBO under N(0, I)"),
    ("kl_divergence", "KL divergence"),
    ("r2", "R2 of reconstructions", ("PCA", "r2")),
    ("active_units", "active latents"),
    ("frechet_samples", "Frechet distance of samples"),
    ("frechet_real", "Frechet distance of training rows"),
)

_TWINS = """
## Lower precision

Same tensors in float32; losses on held-out rows against fp32.

| precision | bytes | R2 loss | ELBO loss (nats) | cosine of mu |
|---|---|---|---|---|
{rows}
"""

_INEXACT = """
Rows against torch: torch's own float32 is farther from float64 than the tolerance there, and the graph is nearer to float64.
"""

_COMPACTION = """
## Compaction

{left} of {trained} latent directions were left out, keeping {share:.6g} of the variance of mu.
On held-out rows this costs {r2:.3g} of R2 and {elbo:.3g} nats of ELBO.
"""


def write_card(manifest: Manifest) -> str:
    """`README.md` of a bundle, with front matter for the hub."""
    training, columns = manifest.training, manifest.scaler.constant_columns
    return _CARD.read_text(encoding="utf-8").format(
        name=manifest.name,
        input_dim=manifest.input_dim,
        latent_dim=manifest.latent_dim,
        opset=manifest.opset,
        hidden=", ".join(map(str, manifest.hidden_dims)),
        skip=" and a linear skip" if manifest.linear_skip else "",
        likelihood=_likelihood(manifest),
        rows=training.rows,
        data=training.data_sha256,
        epochs=training.epochs,
        seed=training.seed,
        columns=f"\n{columns} of the columns never moved.\n" if columns else "",
        whole="this model" if manifest.compaction is None else "before compaction",
        figures="\n".join(_figures(manifest)),
        comparisons=manifest.parity.comparisons,
        tolerance=manifest.parity.tolerance,
        worst="\n".join(
            f"| {case.graph} | {case.difference:.2g} | {case.reference} | {case.batch} {case.inputs} |"
            for case in manifest.parity.worst
        ),
        inexact=_INEXACT if any(case.difference > manifest.parity.tolerance for case in manifest.parity.worst) else "",
        twins=_twins(manifest),
        compaction=_compaction(manifest),
        manifest=MANIFEST,
        producer=", ".join(f"{package} {version}" for package, version in manifest.producer.items()),
    )


def _likelihood(manifest: Manifest) -> str:
    noise = manifest.likelihood
    if noise.kind == "bernoulli":
        return "bernoulli"
    kind = f"Student-t (freedom {noise.freedom:.3g})" if noise.kind == "student" else noise.kind
    return f"{kind} with {noise.noise.replace('_', ' ')} noise of {noise.sigma:.3g} in standardised units"


def _figures(manifest: Manifest) -> list[str]:
    """Rows of the table: what was measured, this model's figure, and what the simpler models reach."""
    own, simple = manifest.training.metrics, manifest.training.baseline
    return [f"| {words} | {own[name]:.4g} | {_beside(simple, *rivals)} |" for name, words, *rivals in _FIGURES if name in own]


def _beside(figures: dict[str, float], *rivals: tuple[str, str]) -> str:
    return ", ".join(f"{rival} {figures[name]:.4g}" for rival, name in rivals if name in figures)


def _twins(manifest: Manifest) -> str:
    rows = [
        f"| {twin.precision} | {twin.bytes_ratio:.0%} | {twin.r2_loss:.2g} | {twin.elbo_loss:.3g} | {twin.mu_cosine:.5f} |"
        for twin in manifest.twins
    ]
    return _TWINS.format(rows="\n".join(rows)) if rows else ""


def _compaction(manifest: Manifest) -> str:
    cut = manifest.compaction
    if cut is None:
        return ""
    left = cut.trained_latent_dim - manifest.latent_dim
    return _COMPACTION.format(
        left=left, trained=cut.trained_latent_dim, share=cut.variance_share, r2=cut.r2_loss, elbo=cut.elbo_loss
    )
