"""The report is one page that needs nothing else, is the same whenever it is made, and holds every figure."""

import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest

import aaptvae
from aaptvae.bundle.figures import FIGURES
from aaptvae.errors import InputError
from aaptvae_training.evaluate_run import evaluate
from aaptvae_training.evaluation.words import headline
from aaptvae_training.report import JudgedRun
from aaptvae_training.report.page import PICTURES, PLOTS, SHOWN, dates, duration, figures_table, options_table, page
from aaptvae_training.run import REPORT, Evaluation, read_config, read_evaluation
from aaptvae_training.train_run import train

from ..conftest import options, saved

VOID = {"meta", "img"}


class Reader(HTMLParser):
    """Checks that every tag is closed and gathers attributes and words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def words_of(text: str) -> str:
    return " ".join(" ".join(Reader(text).words).split())


def test_the_page_refers_to_nothing_outside_itself(text: str) -> None:
    reader = Reader(text)
    assert not re.search(r"https?:|//\w|@import|url\((?!#)", re.sub(r"base64,[^\"]*", "", text))
    assert "<script" not in text
    sources = [value for _, name, value in reader.attributes if name in ("src", "href")]
    assert all(value.startswith(("data:image/png;base64,", "#")) for value in sources)
    assert not {name for _, name, _ in reader.attributes if name.startswith("on")}


def test_every_plot_is_well_formed_and_named(text: str) -> None:
    drawn = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    assert len(drawn) == len(PLOTS) + 1 + 3 + SHOWN + 3 + len(PICTURES)  # the run has 3 latents
    for svg in drawn:
        root = ElementTree.fromstring(svg)  # noqa: S314 - our own text
        assert root.get("aria-label")
        assert not any(word in svg for word in ("nan", 'inf"', "inf,", "None"))


def test_ids_are_unique_and_every_reference_is_met(text: str) -> None:
    identifiers = re.findall(r' id="([\w-]+)"', text)
    assert len(identifiers) == len(set(identifiers))
    assert set(re.findall(r'(?:href="|url\()#([\w-]+)', text)) == set(identifiers)


def test_plots_take_their_colours_from_both_schemes(text: str) -> None:
    light, _, dark = text.partition("@media (prefers-color-scheme: dark)")
    used = set(re.findall(r"var\(--([\w-]+)\)", "".join(re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL))))
    assert {"model", "baseline", "rows", "soft", "hair"} <= used
    for name in used:
        assert f"--{name}: #" in light and f"--{name}: #" in dark.split("}")[0]


def test_text_of_plots_is_visible_in_both_schemes(text: str) -> None:
    for style in re.findall(r'<text style="([^"]*)"', text):
        assert "fill: var(--soft)" in style


def test_the_page_is_small(text: str) -> None:
    assert len(text.encode()) < 1_500_000


@pytest.mark.slow
def test_the_same_run_gives_the_same_bytes(run: Path, text: str) -> None:
    evaluate(run, image_shape=(3, 4))
    assert (run / REPORT).read_text(encoding="utf-8") == text


def test_the_page_holds_every_figure_warning_and_option(run: Path, text: str) -> None:
    words, evaluation, config = words_of(text), read_evaluation(run), read_config(run)
    for field in msgspec.structs.fields(config.options):
        assert field.name in words
    for warning in evaluation.warnings:
        assert warning in words
    for title, _, caption in PLOTS:
        assert title in words and caption in words
    assert config.data_sha256 in words
    assert headline(evaluation.metrics, evaluation.baseline) in words
    assert f"{evaluation.metrics['r2']:.4f}" in words


def test_the_title_names_data_date_and_version(text: str) -> None:
    words = words_of(text)
    assert re.search(r"features.npy: 600 rows × 12 columns; \d epochs, evaluated on 60 held-out rows", words)
    assert re.search(r"trained \d{4}-\d\d-\d\d \d\d:\d\d UTC, in ", words)
    assert f"aaptvae {aaptvae.__version__}" in words


def test_the_page_names_the_command_that_explores_the_run(run: Path, text: str) -> None:
    assert f"<code>aaptvae explore {run.name} --image-shape 3x4</code>" in text


def test_wrong_file_times_give_no_date(run: Path, tmp_path: Path) -> None:
    for name, time in (("config.json", 1_000_000_060), ("metrics.jsonl", 1_000_000_000)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time, time))
    assert dates(tmp_path) == ""
    os.utime(tmp_path / "metrics.jsonl", (1_000_000_185, 1_000_000_185))
    assert dates(tmp_path) == "trained 2001-09-09 01:47 UTC, in 2 min 5 s"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "less than 1 s"), (12, "12 s"), (3_725, "1 h 2 min"), (100_000, "1 d 3 h")]
)
def test_durations_have_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_without_an_image_shape_there_is_no_picture(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    evaluate(tmp_path / "run")
    assert "base64" not in (tmp_path / "run" / REPORT).read_text(encoding="utf-8")


def test_a_wrong_image_shape_leaves_the_old_report(run: Path, text: str) -> None:
    with pytest.raises(InputError, match="image shape is 5x5: expected a product of 12"):
        evaluate(run, image_shape=(5, 5))
    assert (run / REPORT).read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("width", "changes"),
    [
        (1, {"latent_dim": 1}),
        pytest.param(4, {"latent_dim": 8}, marks=pytest.mark.slow),
        pytest.param(6, {"likelihood": "bernoulli"}, marks=pytest.mark.slow),
    ],
)
def test_unusual_tables_have_a_report(tmp_path: Path, width: int, changes: dict[str, object]) -> None:
    """One column and one latent, more latents than columns, and features that are 0 or 1."""
    rows = np.random.default_rng(0).standard_normal((100, width))
    rows = (rows > 0) if "likelihood" in changes else rows
    train(saved(tmp_path, rows.astype(np.float32)), tmp_path / "run", options(epochs=1, **changes))
    text = (tmp_path / "run" / REPORT).read_text(encoding="utf-8")
    assert Reader(text).words and text.count("<svg") >= len(PLOTS) + 3


def evaluated(**metrics: float) -> Evaluation:
    own = {"log_likelihood": -10.0, "elbo": -12.0, "train_elbo": -11.0, "r2": 0.9, "active_units": 2.0}
    base = {"r2": 0.8, "ppca_log_likelihood": -14.5, "gaussian_log_likelihood": -13.0}
    return Evaluation(rows=50, epochs=3, metrics=own | metrics, baseline=base, kl_per_latent=[2.0, 1.0, 0.0], warnings=[])


def test_the_table_puts_baselines_beside_figures() -> None:
    table = figures_table(evaluated(coverage=0.97))
    row = re.search(r"<tr><th>R2 of reconstructions.*?</tr>", table)
    assert row is not None
    assert "<td>0.9000</td><td><span>PCA <b>0.8000</b></span></td>" in row[0]
    assert "<td>2 of 3</td>" in table
    assert "<th>coverage</th><td>0.9700</td>" in table
    assert "<span>training rows <b>\N{MINUS SIGN}11</b></span>" in table


def test_every_metric_of_an_evaluation_has_a_label(run: Path) -> None:
    known = {figure.key for figure in FIGURES} | {key for figure in FIGURES for _, key in figure.beside}
    evaluation = read_evaluation(run)
    assert set(evaluation.metrics) | set(evaluation.baseline) <= known


def test_words_from_outside_are_text_not_markup(judged: JudgedRun) -> None:
    evaluation = msgspec.structs.replace(evaluated(), warnings=["<script>alert(1)</script>"])
    config = msgspec.structs.replace(judged.config, data_name="<i>x</i>.npy")
    fields = vars(judged) | {"name": "<b>run</b>", "evaluation": evaluation, "config": config}
    strange = JudgedRun(**{name: fields[name] for name in JudgedRun.__dataclass_fields__})
    made = page(strange, [], "")
    assert "<script>" not in made and "<b>run</b>" not in made and "<i>x" not in made
    assert "&lt;script&gt;alert(1)" in made


def test_options_that_differ_from_defaults_are_marked(run: Path) -> None:
    table = options_table(read_config(run))
    assert '<div class="set"><dt>latent_dim</dt><dd>3</dd></div>' in table
    assert "<div><dt>beta</dt><dd>1.0</dd></div>" in table
