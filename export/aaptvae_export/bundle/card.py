"""The model card of a bundle: `card_template.md` filled in from the manifest, for readers and for the Hugging Face Hub."""

from pathlib import Path

from aaptvae.bundle.figures import Figure, measured
from aaptvae.bundle.manifest import MANIFEST, Manifest
from aaptvae.conditions import Conditions

_CARD = Path(__file__).with_name("card_template.md")


_TWINS = """
## Lower precision

The same inputs and outputs, in float32. The losses are measured on held-out rows against the fp32 graphs.
The int8 graphs are for onnxruntime only; other runtimes may compute them differently or slowly.

| precision | bytes | R2 loss | ELBO loss (nats) | cosine of mu |
|---|---|---|---|---|
{rows}
"""

_INEXACT = """
The differences "against torch" above the tolerance are rounding errors of torch in float32: there the graph is closer to the
float64 model than torch is, and within the tolerance of it.
"""

_CONDITIONS = """
Conditions: {conditions}. Every method takes `condition={{...}}`, both graphs a second input `c`; all figures are given them.
"""

_COMPACTION = """
## Compaction

{left} of {trained} latent directions were left out, keeping {share:.6g} of the variance of mu.
On held-out rows this costs {r2:.3g} of R2 and {elbo:.3g} nats of ELBO.
"""


_REFIT = """
After judging, the model was fitted again to all rows with the same options (`--refit`). The figures below are those of the
judged model, on rows that it did not see.
"""


def write_card(manifest: Manifest) -> str:
    """Text of the bundle's `README.md`, with front matter for the Hugging Face Hub."""
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
        columns=(f"\n{columns} of the columns had the same value in every training row.\n" if columns else "")
        + (_CONDITIONS.format(conditions=Conditions(manifest.conditions)) if manifest.conditions else ""),
        refit=_REFIT if training.refit else "",
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
    """Rows of the table: what was measured, this model's figure, and what it is compared with."""
    rows = measured(manifest.training.metrics, manifest.training.baseline)
    return [f"| {_named(figure)} | {value} | {_beside(others)} |" for figure, value, others in rows]


def _named(figure: Figure) -> str:
    return f"{figure.label} ({figure.unit})" if figure.unit else figure.label


def _beside(others: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{label} {value}" for label, value in others)


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
