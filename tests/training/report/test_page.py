"""The report is one page that needs nothing else, is the same whenever it is made, and draws what the figures say."""

import base64
import re
import shutil
import struct
import zlib
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest

from aaptvae.errors import InputError
from aaptvae_training.evaluate_run import evaluate
from aaptvae_training.evaluation.warnings import warnings_of_training
from aaptvae_training.report.charts import Band, Bars, Frame, Level, Line, chart, number, png, ticks, tiles
from aaptvae_training.report.page import FIGURES, figures_table, options_table, page, training_curves, verdict
from aaptvae_training.run.folder import Evaluation, read_config, read_evaluation, read_held_out
from aaptvae_training.run.layout import REPORT

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


@pytest.fixture(scope="module")
def run(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of our own, judged again with pictures."""
    folder = tmp_path_factory.mktemp("report") / "run"
    shutil.copytree(finished, folder)
    evaluate(folder, image_shape=(3, 4))
    return folder


@pytest.fixture(scope="module")
def text(run: Path) -> str:
    return (run / REPORT).read_text(encoding="utf-8")


def test_the_page_is_whole_and_refers_to_nothing_outside_itself(text: str) -> None:
    reader = Reader(text)
    assert not re.search(r"https?:|//\w|@import|url\((?!#)", re.sub(r"base64,[^\"]*", "", text))
    assert "script" not in {tag for tag, _, _ in reader.attributes} and "<script" not in text
    sources = [value for _, name, value in reader.attributes if name in ("src", "href")]
    assert len(sources) == 4
    assert all(value.startswith("data:image/png;base64,") for value in sources)
    assert not {name for _, name, _ in reader.attributes if name.startswith("on")}


def test_every_chart_is_well_formed_and_finite(text: str) -> None:
    charts = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    assert len(charts) == 5 + 3  # five sections, and one small chart for each of the three latents
    for drawn in charts:
        paths = [element.get("d", "") for element in ElementTree.fromstring(drawn).iter() if element.tag == "path"]  # noqa: S314
        assert all(paths)
        assert not any(word in drawn for word in ("nan", 'inf"', "inf,", "None"))
    identifiers = re.findall(r'id="(\w+)"', text)
    assert len(identifiers) == len(set(identifiers))


def test_the_same_run_gives_the_same_bytes(run: Path, text: str) -> None:
    evaluate(run, image_shape=(3, 4))
    assert (run / REPORT).read_text(encoding="utf-8") == text


def test_the_page_holds_every_figure_warning_and_option(run: Path, text: str) -> None:
    words = " ".join(" ".join(Reader(text).words).split())
    evaluation, config = read_evaluation(run), read_config(run)
    for field in msgspec.structs.fields(config.train):
        assert field.name in words
    for warning in evaluation.warnings:
        assert warning in words
    for label in ("pPCA", "full Gaussian", "PCA", "seen rows", "unseen rows", "samples with observation noise"):
        assert label in words
    assert config.data_sha256 in words
    assert f"{evaluation.metrics['r2']:.4f}" in words


def test_without_pictures_there_is_no_picture(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    evaluate(tmp_path / "run")
    assert "<img" not in (tmp_path / "run" / REPORT).read_text(encoding="utf-8")


def test_pictures_of_the_wrong_size_are_refused_and_the_old_report_stays(run: Path, text: str) -> None:
    with pytest.raises(InputError, match="--image-shape 5x5 means 25 pixels: features have 12 columns"):
        evaluate(run, image_shape=(5, 5))
    assert (run / REPORT).read_text(encoding="utf-8") == text


def judged(**metrics: float) -> Evaluation:
    own = {"log_likelihood": -10.0, "elbo": -12.0, "train_elbo": -11.0, "r2": 0.9, "active_units": 2.0}
    base = {"r2": 0.8, "ppca_log_likelihood": -14.5, "gaussian_log_likelihood": -13.0}
    return Evaluation(rows=50, epochs=3, metrics=own | metrics, baseline=base, kl_per_latent=[2.0, 1.0, 0.0], warnings=[])


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"elbo": -30.0, "elbo_median": -11.2}, False),  # one row far out
        ({"elbo": -14.0, "elbo_median": -13.8}, True),
    ],
)
def test_overfitting_is_told_by_the_usual_row(figures: dict[str, float], said: bool) -> None:
    metrics = {"train_elbo": -11.0, "train_elbo_median": -11.0} | figures
    words = warnings_of_training(metrics, latents=2, shape=(10_000, 5), best_epoch=3)
    assert bool(words) == said
    assert all("the median of seen rows is -11.0 nats, that of unseen ones -13.8" in text for text in words)


def test_the_verdict_is_the_distance_from_probabilistic_pca() -> None:
    assert verdict(judged()) == "Beats probabilistic PCA by 4.5 nats per row."
    assert verdict(judged(log_likelihood=-15.0)) == "Loses to probabilistic PCA by 0.5 nats per row."
    plain = msgspec.structs.replace(judged(), baseline={"r2": 0.8})
    assert verdict(plain) == "Explains 90.0% of the variance; PCA with as many components 80.0%."


def test_the_table_puts_baselines_beside_figures_and_forgets_none() -> None:
    table = figures_table(judged(coverage=0.97))
    row = re.search(r"<tr><th>R² of reconstruction.*?</tr>", table)
    assert row is not None
    assert "<td>0.9000</td><td><span>PCA <b>0.8000</b></span></td>" in row[0]
    assert "<td>2 of 3</td>" in table
    assert "<th>coverage</th><td>0.9700</td>" in table
    assert "<span>seen rows <b>\N{MINUS SIGN}11.00</b></span>" in table


def test_every_metric_of_an_evaluation_is_in_the_table_by_name(run: Path) -> None:
    known = {key for key, _, beside, _ in FIGURES for key in (key, *beside)}
    evaluation = read_evaluation(run)
    assert set(evaluation.baseline) <= known
    assert set(evaluation.metrics) <= known


def test_a_stranger_s_words_are_text_not_markup(run: Path) -> None:
    evaluation = msgspec.structs.replace(judged(), warnings=["<script>alert(1)</script>"])
    made = page("<b>run</b>", read_config(run), evaluation, [])
    assert "<script>" not in made and "<b>run</b>" not in made
    assert "&lt;script&gt;alert(1)" in made


def test_options_that_were_chosen_stand_out(run: Path) -> None:
    table = options_table(read_config(run))
    assert '<div class="set"><dt>latent_dim</dt><dd>3</dd></div>' in table
    assert "<div><dt>beta</dt><dd>1.0</dd></div>" in table


def test_marks_lie_where_their_data_are() -> None:
    frame = Frame((0.0, 10.0), (-1.0, 1.0), 640, 300)
    assert (frame.across(0), frame.across(10)) == (52, 628)
    assert (frame.down(-1), frame.down(1)) == (262, 10)
    assert frame.points(np.array([0.0, 5.0, 10.0]), np.array([-1.0, np.nan, 1.0])) == "M52.0,262.0L628.0,10.0"


def test_a_chart_draws_each_kind_of_mark_and_names_it() -> None:
    x = np.arange(3.0)
    marks = [Line("a < b", "a", x, x), Level("level", "b", 1.0), Bars("bars", "c", np.arange(4.0), x)]
    marks.append(Band("", "d", x, x - 1, x + 1))
    drawn = chart(marks, "x & y", "up")
    root = ElementTree.fromstring(f"<div>{drawn}</div>")  # noqa: S314 - our own text
    assert [element.text for element in root.iter("span") if element.text] == []
    assert "a &lt; b" in drawn and "x &amp; y" in drawn
    assert {"line a", "line b dash", "bars c", "band d"} <= {element.get("class") for element in root.iter("path")}
    assert drawn.count('class="key"') == 3


@pytest.mark.parametrize("values", [[], [np.nan], [2.0], [0.0, 0.0], [1e-9, 2e-9], [-1e12, 1e12]])
def test_a_chart_of_hardly_anything_is_still_a_chart(values: list[float]) -> None:
    y = np.array(values)
    drawn = chart([Line("", "a", np.arange(len(y), dtype=float), y)], "x")
    ElementTree.fromstring(drawn)  # noqa: S314
    assert "nan" not in drawn


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (-33, 3, [-30, -20, -10, 0]), (2, 17, [5, 10, 15])]
)
def test_ticks_are_round_and_inside(low: float, high: float, expected: list[float]) -> None:
    assert np.allclose(ticks(low, high), expected)


def test_numbers_on_axes_are_short() -> None:
    shown = {0: "0", 0.6000000000000001: "0.6", -30: "\N{MINUS SIGN}30", 20000: "20,000", 2e-6: "2e-6", 3e9: "3e9"}
    assert {value: number(value) for value in shown} == shown


def pixels_of(data: bytes) -> np.ndarray:
    """The grey pixels of a PNG without filters, after all its checksums."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert zlib.crc32(kind + body) == struct.unpack(">I", data[at + 8 + size : at + 12 + size])[0]
        chunks[kind], at = body, at + 12 + size
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (depth, colour) == (8, 0)
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not lines[:, 0].any()
    return lines[:, 1:]


def test_a_png_holds_exactly_its_pixels() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (7, 5), dtype=np.uint8)
    assert np.array_equal(pixels_of(png(grey)), grey)


def test_tiles_stand_row_by_row_with_a_white_seam() -> None:
    images = np.arange(3, dtype=np.uint8)[:, None, None] * np.ones((3, 2, 2), np.uint8)
    assert tiles(images, 2).tolist() == [
        [0, 0, 255, 1, 1], [0, 0, 255, 1, 1], [255] * 5, [2, 2, 255, 255, 255], [2, 2, 255, 255, 255],
    ]  # fmt: skip


def test_the_first_picture_shows_the_unseen_rows_themselves(run: Path, text: str) -> None:
    test, _ = read_held_out(run)
    low, high = np.percentile(test, (0.5, 99.5))
    grey = np.clip(255 * (test[:24] - low) / (high - low), 0, 255).astype(np.uint8).reshape(-1, 3, 4)
    data = re.search(r'base64,([^"]+)" width="44" height="11" alt="unseen rows"', text)
    assert data is not None
    assert np.abs(pixels_of(base64.b64decode(data[1])).astype(int) - tiles(grey, 9)).max() <= 1


def test_a_run_that_started_far_below_keeps_its_curve_in_sight() -> None:
    history = [{"epoch": float(k), "validation_elbo": -1e6 if k == 0 else -12.0 + k / 100} for k in range(100)]
    drawn = training_curves(history, judged())
    assert "1,000,000" not in drawn and "e6" not in drawn
