"""Verbs about a bundle: info, verify, bench."""

import dataclasses
from typing import TYPE_CHECKING

import click

from .options import PRECISIONS, examples, json_option, printable

if TYPE_CHECKING:
    from ..bundle.manifest import Manifest, Parity, Precision

precision_option = click.option(
    "--precision",
    "precisions",
    multiple=True,
    type=click.Choice(PRECISIONS),
    help="Repeatable. Default: all that the bundle holds.",
)


@click.command(epilog=examples("info digits/", "info digits/ --digest", "info digits/ --json"))
@click.argument("bundle", type=click.Path())
@click.option("--digest", is_flag=True, help="Print only the digest, for --sha256.")
@json_option
def info(bundle: str, digest: bool, as_json: bool) -> None:
    """Print the manifest of a bundle, after checking all digests."""
    import msgspec  # noqa: PLC0415 - only when a verb runs

    from ..bundle import read_bundle  # noqa: PLC0415

    found = read_bundle(bundle)
    if as_json:
        click.echo(msgspec.json.encode({"sha256": found.digest, "manifest": found.manifest}))
    elif digest:
        click.echo(found.digest)
    else:
        facts = _facts(found.manifest) | {"sha256": found.digest}
        width = max(map(len, facts))
        for name, text in facts.items():
            click.echo(f"{printable(name):<{width}}  {printable(text)}")


def _facts(manifest: "Manifest") -> dict[str, str]:
    from ..bundle.figures import measured  # noqa: PLC0415 - only this verb shows figures
    from ..conditions import Conditions  # noqa: PLC0415

    training, likelihood = manifest.training, manifest.likelihood
    widths = (manifest.input_dim, *manifest.hidden_dims, manifest.latent_dim)
    facts = {
        "name": manifest.name,
        "network": " -> ".join(map(str, widths)) + (" with linear skip" if manifest.linear_skip else ""),
        "likelihood": f"{likelihood.kind}, {likelihood.noise} noise, sigma {likelihood.sigma:.4g}",
        "prior": f"{manifest.prior.kind}, {manifest.prior.components} components",
        **({"conditions": str(Conditions(manifest.conditions))} if manifest.conditions else {}),
        "precisions": ", ".join(manifest.precisions),
        "parity": _parity(manifest.parity),
        **_compacted(manifest),
        "training": f"{training.rows:,} rows, {training.epochs} epochs, seed {training.seed}",
    }
    for figure, value, others in measured(training.metrics, training.baseline):
        beside = ", ".join(f"{label} {other}" for label, other in others)
        facts[figure.label] = " ".join(filter(None, (value, figure.unit, f"({beside})" if beside else "")))
    return facts | {"files": ", ".join(f"{entry.name} {entry.bytes:,}" for entry in manifest.files)}


def _parity(parity: "Parity") -> str:
    """Worst difference that the tolerance was applied to; the manifest also lists where torch's own float32 is less exact."""
    worst = max((case.difference for case in parity.worst if case.difference <= parity.tolerance), default=0.0)
    return f"within {worst:.2g} of the trained model in {parity.comparisons} comparisons, {parity.tolerance:.2g} allowed"


def _compacted(manifest: "Manifest") -> dict[str, str]:
    if (cut := manifest.compaction) is None:
        return {}
    kept, lost = f"{manifest.latent_dim} of {cut.trained_latent_dim} latents kept", f"{cut.elbo_loss:.3g} nats of ELBO"
    return {"compaction": f"{kept}; lost {cut.r2_loss:.3g} of R2 and {lost} (figures below: before compaction)"}


@click.command(epilog=examples("verify digits/", "verify digits/ --precision int8 --json"))
@click.argument("bundle", type=click.Path())
@precision_option
@click.option("--provider", "providers", multiple=True, metavar="NAME", help="onnxruntime provider; repeatable.")
@click.option("--sha256", metavar="DIGEST", help="Digest that the bundle must have.")
@json_option
def verify(
    bundle: str, precisions: tuple["Precision", ...], providers: tuple[str, ...], as_json: bool, sha256: str | None
) -> int:
    """Check a bundle and replay its golden vectors on this machine.

    Exit status 1 if they differ.
    """
    import msgspec  # noqa: PLC0415

    from ..verify import verify as check  # noqa: PLC0415

    report = check(bundle, precisions=precisions or None, providers=providers or None, sha256=sha256)
    if as_json:
        click.echo(msgspec.json.encode({"passed": report.passed} | dataclasses.asdict(report)))
        return 0 if report.passed else 1
    click.echo(f"{report.name}: {report.files} files, {report.bytes:,} bytes, sha256 {report.digest}")
    if report.card != "as exported":
        click.echo(f"model card: {report.card} (README.md is not part of what runs)")
    for part in report.precisions:
        for r in part.replays:
            click.echo(
                f"{'ok' if r.passed else 'FAILED':<6} {part.precision} {r.tensor:<14} {r.rows} rows differ by "
                f"{r.difference:.2g}, {r.tolerance:.2g} allowed ({', '.join(part.providers)})"
            )
    return 0 if report.passed else 1


@click.command(epilog=examples("bench digits/", "bench digits/ --precision fp32 --json"))
@click.argument("bundle", type=click.Path())
@precision_option
@click.option("--threads", type=click.IntRange(1), help="Default: the CPUs that this process may use.")
@json_option
def bench(bundle: str, precisions: tuple["Precision", ...], threads: int | None, as_json: bool) -> None:
    """Time `encode` on this machine by batch size, in turns with a bare onnxruntime session."""
    import msgspec  # noqa: PLC0415

    from ..bench import bench as measure  # noqa: PLC0415

    timings = measure(bundle, precisions=precisions or None, threads=threads)
    if as_json:
        rates = ("rows_per_second", "bare_rows_per_second")
        lines = [dataclasses.asdict(timing) | {rate: getattr(timing, rate) for rate in rates} for timing in timings]
        click.echo(msgspec.json.encode(lines))
        return
    click.echo(f"{'':<5}{'rows':>7}{'p50 us':>12}{'p99 us':>12}{'bare p50 us':>13}{'rows/s':>12}{'bare rows/s':>13}")
    for t in timings:
        click.echo(
            f"{t.precision:<5}{t.rows:>7}{t.p50:>12.1f}{t.p99:>12.1f}{t.bare_p50:>13.1f}"
            f"{t.rows_per_second:>12,.0f}{t.bare_rows_per_second:>13,.0f}"
        )
