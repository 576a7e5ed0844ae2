"""The benchmark of tables: its bars find losses, results are kept, and a tiny table goes all the way through."""

import json
import math
from pathlib import Path

import pytest
from tables import bars, command
from tables.figures import FIGURES_VERSION

LEVEL = {"mean": -5.0, "median": -4.0}
LEVEL_RESULT = {
    "version": FIGURES_VERSION,
    "name": "linnerud",
    "split": "random",
    "rows": 20,
    "columns": 6,
    "latents": 2,
    "log_likelihood": dict.fromkeys(("standard", "fitted", "ppca", "ledoit_wolf", "mixture_2"), LEVEL),
    "r2": {"ours": 0.6, "pca": 0.6},
    "r2_raw": {"ours": 0.6, "pca": 0.6},
    "recall": {"mu": 0.3, "similarity": 0.5, "pca": 0.5, "svd": 0.5, "random": 0.2},
    "c2st": 0.5,
}


def changed(group: str, **figures: object) -> dict[str, object]:
    return LEVEL_RESULT | {group: LEVEL_RESULT[group] | figures}  # type: ignore[operator]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (changed("log_likelihood", standard={"mean": -6.1, "median": -4.0}), "mean log-likelihood -6.10, 1.10 nats below pPCA"),
        (changed("log_likelihood", standard={"mean": -5.0, "median": -5.1}), "median log-likelihood"),
        (changed("log_likelihood", standard={"mean": math.nan, "median": -4.0}), "mean log-likelihood nan"),
        (changed("r2", ours=0.597), "R2 0.5970, 0.0030 below PCA"),
        (changed("r2_raw", ours=0.597), "R2 in own units 0.5970, 0.0030 below PCA"),
        (changed("recall", similarity=0.48), "recall 0.480, 0.020 below PCA"),
    ],
    ids=["mean", "median", "nan", "r2", "own", "recall"],
)
def test_a_figure_below_its_bar_is_named(result, words):
    (line,) = bars.losses(result)
    assert words in line and line.startswith("linnerud: ")
    if "median" not in words:
        assert "**" in bars.markdown([result])


def test_a_level_table_has_no_losses():
    assert not list(bars.losses(LEVEL_RESULT))
    header, _, row = bars.markdown([LEVEL_RESULT]).splitlines()
    assert header.count("|") == row.count("|") and "**" not in row


def test_kept_results_are_not_measured_again(tmp_path, capsys):
    arguments = ["--only", "linnerud", "--results", str(tmp_path), "--check"]
    for result, code in ((LEVEL_RESULT, 0), (changed("r2", ours=0.5), 1)):
        (tmp_path / "linnerud.json").write_text(json.dumps(result))
        assert command.main(arguments) == code
    assert "1 figures of 1 tables are below a bar" in capsys.readouterr().err


@pytest.mark.slow
def test_a_tiny_table_gets_every_figure(tmp_path: Path, capsys):
    arguments = ["--only", "linnerud", "--quick", "--results", str(tmp_path)]
    assert command.main(arguments) == 0
    result = json.loads((tmp_path / "linnerud.json").read_text())
    assert {"mu", "metric", "similarity", "pca", "svd", "random"} <= result["recall"].keys()
    assert result["recall"]["similarity"] == pytest.approx(result["recall"]["pca"])
    assert not list(bars.losses(result))
    assert "| linnerud | 20 x 6, 2 |" in capsys.readouterr().out
