"""`report.html`: what happened in a run, on one page that needs no network. Figures come from the evaluation, words too."""

from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from aaptvae.density.noise import Stream, normal_rows
from aaptvae.errors import InputError
from aaptvae.files.publish import publish_file
from aaptvae.rows import Rows

from ..evaluation.judge import Judge
from ..model.as_numpy import decode, encode
from ..run.folder import Evaluation, RunConfig, read_config
from ..run.layout import REPORT
from ..run.state import read_metrics
from .charts import Band, Bars, Level, Line, Mark, chart, picture, tiles

Values = NDArray[np.float64]

BINS = 40
SHOWN_LATENTS = 6
PICTURES, PICTURE_COLUMNS = 24, 12
NORMAL = np.linspace(-4, 4, 81)

# Metric, its label, its baselines by label, and what it says.
FIGURES: tuple[tuple[str, str, dict[str, str], str], ...] = (
    (
        "log_likelihood",
        "Log-likelihood, nats per row",
        {
            "ppca_log_likelihood": "pPCA",
            "gaussian_log_likelihood": "full Gaussian",
            "independent_log_likelihood": "independent features",
        },
        "Importance-weighted, under the better prior; higher is better.",
    ),
    ("log_likelihood_standard", "\N{EN DASH} under N(0, I)", {}, ""),
    ("log_likelihood_fitted", "\N{EN DASH} under the fitted prior", {}, ""),
    ("elbo", "ELBO, nats per row", {"train_elbo": "seen rows"}, "The bound that training raises; the two should be close."),
    ("elbo_median", "\N{EN DASH} of the median row", {"train_elbo_median": "seen rows"}, "No few rows far out move it."),
    ("reconstruction", "\N{EN DASH} reconstruction", {}, ""),
    ("kl_divergence", "\N{EN DASH} KL divergence", {}, ""),
    ("r2", "R\N{SUPERSCRIPT TWO} of reconstruction", {"r2": "PCA"}, "Share of the standardised variance; 1 is perfect."),
    ("active_units", "Active latents", {}, "Those whose mean moves with the row."),
    ("frechet_samples", "Fr\u00e9chet distance of samples", {"frechet_real": "seen rows"}, "To unseen rows; lower is better."),
    ("mmd_samples", "MMD of samples", {"mmd_real": "seen rows"}, "To unseen rows; 0 for one and the same density."),
)


@dataclass(frozen=True)
class Subject:
    """A judged run with its unseen and seen rows [N, D], raw, and the posterior of the unseen ones."""

    judge: Judge
    test: Rows
    seen: Rows
    mu: Rows
    logvar: Rows

    @property
    def order(self) -> NDArray[np.int64]:
        """Latents by KL divergence, the busiest first."""
        kl = 0.5 * (self.mu**2 + np.exp(self.logvar) - self.logvar - 1).mean(axis=0)
        return np.argsort(-kl, kind="stable")

    def errors(self, x: Rows) -> Values:
        """Mean squared error of each row's reconstruction, in standardised features: [N]."""
        mu, _ = encode(self.judge.model, x)
        errors: Values = ((self.judge.standardise(x) - self.judge.standardise(decode(self.judge.model, mu))) ** 2).mean(axis=1)
        return errors


def write_report(
    run: Path, evaluation: Evaluation, judge: Judge, rows: tuple[Rows, Rows], image_shape: tuple[int, int] | None = None
) -> None:
    """Write the report of a run whose unseen and seen raw rows are given; `InputError` if rows are no such pictures."""
    if image_shape is not None:
        check_shape(image_shape, rows[0].shape[1])
    subject = Subject(judge, *rows, *encode(judge.model, rows[0]))
    text = page(run.resolve().name, read_config(run), evaluation, sections(run, evaluation, subject, image_shape))
    with publish_file(run / REPORT, force=True) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_shape(shape: tuple[int, int], width: int) -> None:
    """`InputError` unless rows of this width are pictures of this shape."""
    if shape[0] * shape[1] != width:
        raise InputError(
            f"--image-shape {shape[0]}x{shape[1]} means {shape[0] * shape[1]} pixels: features have {width} columns, "
            "so give a shape that fits them"
        )


def sections(run: Path, evaluation: Evaluation, subject: Subject, shape: tuple[int, int] | None) -> list[str]:
    """The parts of the page, charts first."""
    parts = [
        figure("Training", training_curves(read_metrics(run), evaluation), "Levels are of the rows that only this judges."),
        figure("KL divergence of each latent", kl_spectrum(subject), "Latents near zero carry nothing."),
        figure("Reconstruction error of rows", error_histogram(subject), "Left is better; the outermost bars hold the rest."),
        figure("Spread along principal axes", spread(subject), "Samples of the fitted prior, with observation noise."),
        figure("Aggregate posterior of each latent", posterior_band(subject), "N(0, I) spans the two lines."),
        figure("The busiest latents beside N(0, 1)", posterior_histograms(subject), ""),
    ]
    return parts + ([figure("Pictures", pictures(subject, shape), "", wide=True)] if shape is not None else [])


def training_curves(history: list[dict[str, float]], evaluation: Evaluation) -> str:
    """ELBO by epoch, beside the likelihoods that it should pass."""
    epochs = np.array([line["epoch"] for line in history])
    validation, seen = (np.array([line.get(key, np.nan) for line in history]) for key in ("validation_elbo", "train_elbo"))
    levels: list[Mark] = [Level("log-likelihood of this model", "a", evaluation.metrics["log_likelihood"])]
    for key, label, tone in (("ppca_log_likelihood", "pPCA", "b"), ("gaussian_log_likelihood", "full Gaussian", "d")):
        if key in evaluation.baseline:
            levels.append(Level(label, tone, evaluation.baseline[key]))
    lines = [Line("ELBO, training rows", "c", epochs, seen), Line("ELBO, validation rows", "a", epochs, validation)]
    heights = [line.y[np.isfinite(line.y)] for line in lines] + [np.array([m.y]) for m in levels if isinstance(m, Level)]
    # The first steps of a cold start lie far below everything of interest.
    low = min(float(np.percentile(values, 5)) for values in heights if len(values))
    high = max(float(values.max()) for values in heights if len(values))
    room = 0.06 * (high - low) or 1.0
    return chart([*lines, *levels], "epoch", "nats per row", y=(low - room, high + room))


def kl_spectrum(subject: Subject) -> str:
    """KL divergence by latent, beside that of probabilistic PCA: ln(eigenvalue / noise variance) / 2."""
    mu, logvar = subject.mu[:, subject.order], subject.logvar[:, subject.order]
    kl = 0.5 * (mu**2 + np.exp(logvar) - logvar - 1).mean(axis=0)
    ppca = subject.judge.ppca
    linear = 0.5 * np.log(np.maximum(ppca.eigenvalues[: ppca.latents] / ppca.variance, 1.0))
    edges = np.arange(len(kl) + 1) + 0.5
    marks: list[Mark] = [Bars("this model", "a", edges, kl)]
    if subject.judge.model.likelihood != "bernoulli":
        marks.append(Line("pPCA", "b", np.arange(len(linear)) + 1.0, linear))
    return chart(marks, "latent, by KL divergence", "nats")


def error_histogram(subject: Subject) -> str:
    """Squared errors of unseen rows beside seen ones and PCA's; logarithmic, as a few rows may be far worse than all others."""
    x = subject.judge.standardise(subject.test)
    groups = {
        ("PCA, unseen rows", "b"): ((x - subject.judge.ppca.project(x)) ** 2).mean(axis=1),
        ("seen rows", "c"): subject.errors(subject.seen),
        ("unseen rows", "a"): subject.errors(subject.test),
    }
    logs = {key: np.log10(np.maximum(errors, 1e-12)) for key, errors in groups.items()}
    low, high = (float(edge) for edge in np.percentile(np.concatenate(list(logs.values())), (0.5, 99.5)))
    edges = np.linspace(low, max(high, low + 0.1), BINS + 1)
    marks: list[Mark] = []
    for (label, tone), errors in logs.items():
        share = 100 * np.histogram(np.clip(errors, edges[0], edges[-1]), edges)[0] / len(errors)
        centres = (edges[1:] + edges[:-1]) / 2
        marks.append(Bars(label, tone, edges, share) if tone == "a" else Line(label, tone, centres, share))
    return chart(marks[::-1], "log\u2081\u2080 mean squared error of standardised features", "% of rows")


def spread(subject: Subject) -> str:
    """Deviation of real rows and of samples along the principal axes, logarithmic."""
    judge, axes = subject.judge, subject.judge.ppca.eigenvectors
    live = judge.ppca.eigenvalues > 1e-9 * judge.ppca.eigenvalues[0]
    position = np.arange(1.0, live.sum() + 1)
    marks: list[Mark] = []
    drawn = judge.sample(max(len(subject.test), 1_000))
    for label, tone, rows in (("unseen rows", "c", subject.test), ("samples", "a", drawn)):
        deviation = (judge.standardise(rows) @ axes[:, live]).std(axis=0)
        marks.append(Line(label, tone, position, np.log10(np.maximum(deviation, 1e-12)), dashed=tone == "a"))
    return chart(marks, "principal axis", "log\u2081\u2080 deviation")


def posterior_band(subject: Subject) -> str:
    """Mean and deviation of every latent over all rows."""
    mu, variance = subject.mu[:, subject.order].astype(np.float64), np.exp(subject.logvar[:, subject.order].astype(np.float64))
    mean, deviation = mu.mean(axis=0), np.sqrt(mu.var(axis=0) + variance.mean(axis=0))
    low, high = mean - deviation, mean + deviation
    band = Band("mean \N{PLUS-MINUS SIGN} deviation", "a", np.arange(1.0, len(mean) + 1), low, high)
    most = 1.15 * max(1.0, float(np.abs([low, high]).max()))
    marks: list[Mark] = [band, Level("", "c", 1.0), Level("N(0, I)", "c", -1.0)]
    return chart(marks, "latent, by KL divergence", x=(0.0, len(mean) + 1.0), y=(-most, most))


def posterior_histograms(subject: Subject) -> str:
    """One posterior draw per unseen row, for the busiest latents, beside the normal density."""
    noise = normal_rows(subject.judge.seed, 0, len(subject.mu), subject.mu.shape[1], Stream.LATENT)
    z = subject.mu + np.exp(0.5 * subject.logvar) * noise
    density = np.exp(-0.5 * NORMAL**2) / np.sqrt(2 * np.pi)
    edges = np.linspace(-4, 4, 25)
    small = []
    for latent in subject.order[:SHOWN_LATENTS]:
        counts = np.histogram(np.clip(z[:, latent], -4, 4), edges)[0]
        heights = counts / (len(z) * (edges[1] - edges[0]))
        marks: list[Mark] = [Bars("", "a", edges, heights), Line("", "b", NORMAL, density)]
        top = max(0.6, 1.05 * float(heights.max()))
        small.append(f"<div>{chart(marks, f'latent {latent}', y=(0.0, top), size=(300, 215))}</div>")
    return f'<div class="small">{"".join(small)}</div>'


def pictures(subject: Subject, shape: tuple[int, int]) -> str:
    """Unseen rows, their reconstructions and new samples as grey pictures on one scale."""
    model, count = subject.judge.model, min(PICTURES, len(subject.test))
    columns = min(PICTURE_COLUMNS, max(4, round(PICTURE_COLUMNS * shape[0] / shape[1])))
    low, high = (float(value) for value in np.percentile(subject.test, (0.5, 99.5)))
    shown = {
        "unseen rows": subject.test[:count],
        "their reconstructions": decode(model, subject.mu[:count]),
        "samples": decode(model, subject.judge.prior.draw(subject.judge.seed, 0, PICTURES)),
        "samples with observation noise": subject.judge.sample(PICTURES),
    }
    parts = []
    for words, rows in shown.items():
        grey = np.clip(255 * (rows - low) / max(high - low, 1e-12), 0, 255).astype(np.uint8).reshape(-1, *shape)
        parts.append(f"<figure>{picture(tiles(grey, columns), words)}<figcaption>{words}</figcaption></figure>")
    return f'<div class="pictures">{"".join(parts)}</div>'


def figure(title: str, body: str, caption: str, *, wide: bool = False) -> str:
    """One section of the page."""
    words = f'<p class="caption">{escape(caption)}</p>' if caption else ""
    return f"<section{' class=wide' if wide else ''}><h2>{escape(title)}</h2>{body}{words}</section>"


def page(name: str, config: RunConfig, evaluation: Evaluation, parts: list[str]) -> str:
    """The whole page."""
    style = (files(__package__) / "report.css").read_text(encoding="utf-8")
    table = f"{config.rows:,} rows of {config.input_dim} columns"
    facts = f"{table}, {evaluation.epochs} epochs, judged on {evaluation.rows:,} unseen rows"
    notes = "".join(f"<li>{escape(text)}</li>" for text in evaluation.warnings)
    warnings = f'<ul class="notes">{notes}</ul>' if notes else '<p class="fine">Nothing to warn of.</p>'
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(name)} \N{MIDDLE DOT} AAPT-VAE</title>\n<style>\n{style}</style></head>\n<body>\n"
        f'<header><p class="kind">AAPT-VAE run</p><h1>{escape(name)}</h1><p class="verdict">{escape(verdict(evaluation))}</p>'
        f"<p>{escape(facts)}</p></header>\n{warnings}\n{figures_table(evaluation)}\n"
        f"<main>\n{chr(10).join(parts)}\n</main>\n{options_table(config)}\n</body></html>\n"
    )


def verdict(evaluation: Evaluation) -> str:
    """The run in one sentence."""
    own, base = evaluation.metrics, evaluation.baseline
    if "ppca_log_likelihood" in base:
        gain = own["log_likelihood"] - base["ppca_log_likelihood"]
        word = "Beats" if gain > 0 else "Loses to"
        return f"{word} probabilistic PCA by {abs(gain):.1f} nats per row."
    return f"Explains {own['r2']:.1%} of the variance; PCA with as many components {base['r2']:.1%}."


def figures_table(evaluation: Evaluation) -> str:
    """Every figure beside its baselines."""
    own, base = evaluation.metrics, evaluation.baseline
    compared = {key for _, _, beside, _ in FIGURES for key in beside}
    known = [entry for entry in FIGURES if entry[0] in own]
    named = compared | {entry[0] for entry in FIGURES}
    known += [(key, key.replace("_", " "), {}, "") for key in own if key not in named]
    rows = []
    for key, label, beside, words in known:
        others = {text: base.get(other, own.get(other) if other != key else None) for other, text in beside.items()}
        shown = "".join(f"<span>{text} <b>{_shown(value)}</b></span>" for text, value in others.items() if value is not None)
        mine = f"{own[key]:.0f} of {len(evaluation.kl_per_latent)}" if key == "active_units" else _shown(own[key])
        kind = ' class="part"' if label.startswith("\N{EN DASH}") else ""
        rows.append(f"<tr{kind}><th>{escape(label)}</th><td>{mine}</td><td>{shown}</td><td>{escape(words)}</td></tr>")
    head = "<tr><th>Figure</th><th>This model</th><th>Beside it</th><th></th></tr>"
    return f'<table class="figures"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table>'


def options_table(config: RunConfig) -> str:
    """The options that made the run; those that differ from fixed defaults stand out."""
    cells = []
    for field in msgspec.structs.fields(config.train):
        value = getattr(config.train, field.name)
        shown = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        mark = "" if field.default in (None, value) else ' class="set"'
        cells.append(f"<div{mark}><dt>{field.name}</dt><dd>{escape(shown)}</dd></div>")
    digest = f'<p class="caption">sha256 of the features: {config.data_sha256}</p>'
    return f'<section class="wide"><h2>Options</h2><dl>{"".join(cells)}</dl>{digest}</section>'


def _shown(value: float) -> str:
    text = f"{value:.2g}" if abs(value) < 0.01 else f"{value:,.4f}" if abs(value) < 1 else f"{value:,.2f}"
    return text.replace("-", "\N{MINUS SIGN}")
