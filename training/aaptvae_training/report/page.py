"""`report.html`: the figures and plots of a run on one page that needs no network."""

import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import msgspec
from matplotlib.axes import Axes

import aaptvae
from aaptvae.bundle.figures import Figure, measured
from aaptvae.files.publish import publish_file

from ..evaluation.words import headline
from ..run import CONFIG, METRICS, REPORT, Evaluation, RunConfig
from . import column_plots, latent_plots, picture_plots, plots
from .judged import JudgedRun
from .svg import LARGE, SMALL, Drawing, as_svg, page_style

SHOWN = 4  # latents or columns of a row of small plots

Plot = Callable[[JudgedRun, Axes], object]

# Title, plot, caption.
PLOTS: tuple[tuple[str, Plot, str], ...] = (
    ("Training", plots.plot_training_curves, "Dashed lines: log-likelihood of held-out rows."),
    ("KL divergence of each latent", latent_plots.plot_kl_spectrum, "A latent near zero carries no information."),
    ("Map of the latents", latent_plots.plot_latent_map, "Posterior means of held-out rows, by PCA in two dimensions."),
    ("Reconstruction error of rows", plots.plot_reconstruction_errors, "The outermost bars hold all rows beyond them."),
    ("Error by column", column_plots.plot_error_by_column, "In standardised columns: 1 is the error of the column mean."),
    ("Spread along principal axes", plots.plot_spread, "Samples of the fitted prior, with observation noise."),
)
TRAJECTORIES = (
    "Trajectories",
    latent_plots.plot_trajectories,
    "The largest groups of held-out rows, their posterior means joined in the order of the table; a dot is the first row.",
)  # of runs with groups
PICTURES: tuple[tuple[str, Plot], ...] = (
    ("held-out rows", picture_plots.plot_pictures),
    ("their reconstructions", picture_plots.plot_reconstructions),
    ("samples", picture_plots.plot_samples),
    ("samples with observation noise", partial(picture_plots.plot_samples, noise=True)),
    ("between pairs of held-out rows", picture_plots.plot_interpolation),
)


def write_report(folder: Path, run: JudgedRun) -> None:
    """Write the report of a run that was just evaluated."""
    text = page(run, sections(run), dates(folder))
    with publish_file(folder / REPORT, force=True) as temporary:
        temporary.write_text(text, encoding="utf-8")


def page(run: JudgedRun, parts: list[str], trained: str) -> str:
    """The whole page around its sections."""
    notes = "".join(f"<li>{escape(text)}</li>" for text in run.evaluation.warnings)
    facts = "".join(f"<p>{escape(line)}</p>" for line in described(run, trained))
    return Template(_resource("page.html")).substitute(
        name=escape(run.name),
        style=_resource("report.css"),
        headline=escape(headline(run.evaluation.metrics, run.evaluation.baseline)),
        facts=facts,
        explore=explore_line(run),
        warnings=f'<ul class="notes">{notes}</ul>' if notes else '<p class="fine">No warnings.</p>',
        columns=findings_list(run.config),
        figures=figures_table(run.evaluation) + categories_table(run.evaluation) + rows_table(run.evaluation, run.config),
        plots="\n".join(parts),
        options=options_table(run.config),
        digest=f"SHA-256 of the features: {run.config.data_sha256}",
    )


def explore_line(run: JudgedRun) -> str:
    """The command that shows the run's latents in a browser."""
    shape = "" if run.image_shape is None else f" --image-shape {run.image_shape[0]}x{run.image_shape[1]}"
    command = f"<code>aaptvae explore {escape(shlex.quote(run.name))}{shape}</code>"
    return f"<p>To explore the latents, in the folder that holds this run: {command}</p>"


def findings_list(config: RunConfig) -> str:
    """Findings about the columns, in a list that opens; empty without findings."""
    items = "".join(f"<li>{escape(text)}</li>" for text in config.findings)
    count = f"{len(config.findings)} finding{'s' * (len(config.findings) != 1)}"
    return f'<details class="fine"><summary>Columns: {count}</summary><ul>{items}</ul></details>' if items else ""


def _resource(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def described(run: JudgedRun, trained: str) -> list[str]:
    """Lines under the title: the data, the training, the versions."""
    config, evaluation = run.config, run.evaluation
    table = f"{config.rows:,} rows × {config.input_dim:,} columns"
    data = f"{config.data_name}: {table}" if config.data_name else table
    epochs = f"{evaluation.epochs} epochs, evaluated on {evaluation.rows:,} held-out rows"
    given = ", ".join(spec.name for spec in config.conditions)
    epochs += f"; every figure is given {given}" if given else ""
    return [f"{data}; {epochs}", " · ".join(filter(None, (trained, f"aaptvae {aaptvae.__version__}")))]


def dates(folder: Path) -> str:
    """When the run was begun and how long it trained, from the times of its files; empty where a copy has changed these."""
    begun, ended = ((folder / name).stat().st_mtime for name in (CONFIG, METRICS))
    if ended < begun:
        return ""
    return f"trained {datetime.fromtimestamp(begun, UTC):%Y-%m-%d %H:%M} UTC, in {duration(ended - begun)}"


def duration(seconds: float) -> str:
    """Seconds as 12 s, 3 min 20 s, 2 h 5 min or 3 d 4 h."""
    for unit, size, smaller, part in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} {int(seconds % size // part)} {smaller}"
    return f"{seconds:.0f} s" if seconds >= 1 else "less than 1 s"


def sections(run: JudgedRun) -> list[str]:
    """The plots of the page."""
    with page_style():
        parts = [
            section(title, drawn(as_svg(partial(plot, run), f"p{number}", title)), caption)
            for number, (title, plot, caption) in enumerate((*PLOTS, *([TRAJECTORIES] if run.groups is not None else [])))
        ]
        latents, columns = run.order[:SHOWN].tolist(), column_plots.columns_by_difference(run)[:SHOWN].tolist()
        parts += [
            aggregate_posterior(run, latents),
            section(
                "Columns where samples differ most", small_plots(run, column_plots.plot_feature_histogram, columns), "", True
            ),
            traversals(run, latents),
        ]
        return parts + ([pictures(run)] if run.image_shape is not None else [])


def drawn(drawing: Drawing) -> str:
    """A plot with its legend below."""
    return drawing.svg + drawing.legend


def aggregate_posterior(run: JudgedRun, latents: list[int]) -> str:
    """The posterior of all latents, then of some, with N(0, I)."""
    whole = as_svg(partial(latent_plots.plot_aggregate_posterior, run), "aggregate", "mean and deviation of each latent", SMALL)
    each = small_plots(run, latent_plots.plot_latent_histogram, latents[: SHOWN - 1], whole)
    caption = "Left: mean and standard deviation of every latent; dashed: N(0, I). Others: one draw per held-out row."
    return section("Posterior over all held-out rows", each, caption, wide=True)


def small_plots(
    run: JudgedRun, plot: Callable[[JudgedRun, int, Axes], object], which: list[int], first: Drawing | None = None
) -> str:
    """Plots of some latents or columns beside each other, after the `first`, and the legend that they share."""
    made = [as_svg(partial(plot, run, number), f"{plot.__name__}{number}", f"number {number}", SMALL) for number in which]
    drawings = [first, *made] if first else made
    return f'<div class="small">{"".join(each.svg for each in drawings)}</div>{made[0].legend}'


def traversals(run: JudgedRun, latents: list[int]) -> str:
    """The decoder's output along the latents with most KL."""
    title = "Traversals of the latents with most KL"
    caption = "One latent goes from -3 to 3 standard deviations of its posterior means; the others stay at their means."
    plot = column_plots.plot_traversal
    made = [as_svg(partial(plot, run, latent), f"traversal{latent}", f"latent {latent}", SMALL) for latent in latents]
    named = [f"<figcaption>latent {latent}</figcaption>" if run.image_shape else "" for latent in latents]
    body = "".join(f"<figure>{drawn(each)}{words}</figure>" for each, words in zip(made, named, strict=True))
    return section(title, f'<div class="{"pictures" if run.image_shape else "small"}">{body}</div>', caption, wide=True)


def pictures(run: JudgedRun) -> str:
    """Held-out rows, their reconstructions, samples and interpolations, beside each other."""
    parts = [
        f"<figure>{as_svg(partial(plot, run), f'i{number}', words, LARGE).svg}<figcaption>{words}</figcaption></figure>"
        for number, (words, plot) in enumerate(PICTURES)
    ]
    return section("Pictures", f'<div class="pictures">{"".join(parts)}</div>', "One grey scale for all.", wide=True)


def section(title: str, body: str, caption: str, wide: bool = False) -> str:
    """One part of the page."""
    words = f'<p class="caption">{escape(caption)}</p>' if caption else ""
    return f"<section{' class=wide' if wide else ''}><h2>{escape(title)}</h2>{body}{words}</section>"


def figures_table(evaluation: Evaluation) -> str:
    """Every figure with what it is compared with."""
    rows = []
    for figure, value, others in measured(evaluation.metrics, evaluation.baseline):
        of = f" of {len(evaluation.kl_per_latent)}" if figure.key == "active_units" else ""
        beside = "".join(f"<span>{escape(label)} <b>{_minus(other)}</b></span>" for label, other in others)
        kind = ' class="part"' if figure.part else ""
        cells = f"<td>{_minus(value)}{of}</td><td>{beside}</td><td>{escape(_words(figure))}</td>"
        rows.append(f"<tr{kind}><th>{escape(_named(figure))}</th>{cells}</tr>")
    return _table(rows, "Figure", "This model", "Compared with", "Meaning")


def _table(rows: list[str], *heads: str) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    return f'<table class="figures"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def categories_table(evaluation: Evaluation) -> str:
    """Figures of each category of the conditions; empty without conditions."""
    if not evaluation.by_category:
        return ""
    rows = [
        f"<tr><th>{escape(each.condition)} {escape(each.category)}</th><td>{each.rows:,}</td>"
        f"<td>{_minus(f'{each.elbo:.2f}')}</td><td>{each.error:.3g}</td></tr>"
        for each in evaluation.by_category
    ]
    return _table(rows, "Held-out rows of", "Rows", "ELBO, nats", "Squared error")


def rows_table(evaluation: Evaluation, config: RunConfig) -> str:
    """The held-out rows with the largest errors, with their ids, in a list that opens; empty for an older evaluation."""
    if not evaluation.worst_rows:
        return ""
    rows = [
        f"<tr><th>{each.row:,}</th>{''.join(f'<td>{escape(text)}</td>' for text in each.ids)}"
        f"<td>{each.error:.3g}</td><td>{_minus(f'{each.elbo:.2f}')}</td></tr>"
        for each in evaluation.worst_rows
    ]
    table = _table(rows, "Row of the table", *config.ids, "Squared error", "ELBO, nats")
    return f'<details class="fine"><summary>Held-out rows with the largest errors</summary>{table}</details>'


def _named(figure: Figure) -> str:
    return f"{figure.label}, {figure.unit}" if figure.unit and not figure.part else figure.label


def _words(figure: Figure) -> str:
    return " ".join(filter(None, (figure.meaning, f"{figure.better.capitalize()} is better." if figure.better else "")))


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


def options_table(config: RunConfig) -> str:
    """The options of the run; those that differ from fixed defaults are marked."""
    cells = []
    for field in msgspec.structs.fields(config.options):
        value = getattr(config.options, field.name)
        shown = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        mark = "" if field.default in (None, value) else ' class="set"'
        cells.append(f"<div{mark}><dt>{field.name}</dt><dd>{escape(shown)}</dd></div>")
    caption = '<p class="caption">Coloured: not the default.</p>'
    return f'<section class="wide"><h2>Options</h2><dl>{"".join(cells)}</dl>{caption}</section>'
