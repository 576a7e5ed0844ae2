"""`diagnose` counts bad values, predicts the latents that a linear VAE uses, and describes damaged tables without failing."""

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from aaptvae.errors import InputError
from aaptvae_training.diagnosis import describe, diagnose
from aaptvae_training.diagnosis.figures import Diagnosis
from aaptvae_training.progress import TrainingProgress

DIGITS = Path(sys.modules["aaptvae_training"].__file__ or "").parent / "data" / "digits.npy"


def saved(folder: Path, x: np.ndarray) -> Path:
    np.save(folder / "x.npy", x)
    return folder / "x.npy"


def gaussian(rows: int, spectrum: list[float], seed: int = 0) -> np.ndarray:
    """Rows whose sample covariance is exactly diag(spectrum)."""
    noise = np.random.default_rng(seed).standard_normal((rows, len(spectrum)))
    centred = noise - noise.mean(axis=0)
    white = centred @ np.linalg.inv(np.linalg.cholesky(centred.T @ centred / rows)).T
    return white * np.sqrt(spectrum)


def test_bad_rows_are_counted_named_and_left_out(tmp_path: Path) -> None:
    x = gaussian(200, [1, 1, 1, 1]).astype(np.float32)
    clean = diagnose(saved(tmp_path, x[20:]))
    x[3, 1], x[3, 2], x[7, 0] = np.nan, np.inf, -np.inf
    x[8:20, 3] = np.nan
    found = diagnose(saved(tmp_path, x))
    assert (found.rows, found.bad_rows, found.bad_values, len(found.first_bad)) == (200, 14, 15, 8)
    assert [(bad.row, bad.column, bad.value) for bad in found.first_bad[:2]] == [(3, 1, "nan"), (7, 0, "-inf")]
    text = "\n".join(describe(found))
    assert "row 3, column 1 is nan" in text
    assert "and 6 more such rows" in text
    assert "14 rows hold NaN or infinity (15 values)" in text
    kept = np.delete(x, [3, 7, *range(8, 20)], axis=0)
    assert found.eigenvalues == diagnose(saved(tmp_path, kept)).eigenvalues != clean.eigenvalues


def test_a_table_of_nan_is_described(tmp_path: Path) -> None:
    found = diagnose(saved(tmp_path, np.full((30, 3), np.nan)))
    assert (found.bad_rows, found.norms, found.latent_dim) == (30, None, None)
    assert any("0 usable rows" in text for text in found.warnings)
    assert describe(found)


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_very_few_rows_are_described(rows: int, tmp_path: Path) -> None:
    found = diagnose(saved(tmp_path, np.arange(3 * rows, dtype=np.float32).reshape(rows, 3)))
    assert any("training needs at least 10" in text for text in found.warnings)
    assert found.latent_dim is None
    assert describe(found)


def test_equal_rows_give_a_warning(tmp_path: Path) -> None:
    found = diagnose(saved(tmp_path, np.full((50, 3), 2.5)))
    assert found.constant == [0, 1, 2]
    assert "No column varies: there is nothing to learn." in found.warnings


def test_constant_nearly_constant_and_copied_columns_are_named(tmp_path: Path) -> None:
    x = gaussian(500, [1, 2, 3, 4, 5, 6, 7])
    x[:, 1] = 7.0
    x[:, 2] = 1000.0 + 1e-5 * x[:, 2]
    x[:, 5] = x[:, 3]
    x[:, 6] = 4 - 2 * x[:, 3]
    found = diagnose(saved(tmp_path, x.astype(np.float32)))
    assert (found.constant, found.near_constant) == ([1], [2])
    assert found.duplicates == [(3, 5), (3, 6)]
    assert "copies of columns  2: 5 of 3, 6 of 3" in describe(found)


def test_unit_norms_are_noticed_and_others_measured(tmp_path: Path) -> None:
    x = gaussian(300, [1, 2, 3]).astype(np.float32)
    norms = np.linalg.norm(x, axis=1)
    found = diagnose(saved(tmp_path, x)).norms
    assert found is not None
    assert not found.unit
    assert np.allclose((found.smallest, found.median, found.largest), (norms.min(), np.median(norms), norms.max()))
    unit = diagnose(saved(tmp_path, (x / norms[:, None]).astype(np.float16)))
    assert unit.norms is not None
    assert unit.norms.unit
    assert unit.dtype == "float16"


def test_active_latents_have_eigenvalues_above_the_variance(tmp_path: Path) -> None:
    found = diagnose(saved(tmp_path, gaussian(400, [4, 0.6, 0.51, 0.4, 0.1])), sigma=2.0)
    raw, standardised, asked = found.fixed
    assert (raw.variance, raw.active) == (0.5, 3)
    assert np.isclose(raw.largest_eigenvalue, 4)
    assert (standardised.active, asked.variance, asked.active) == (5, 4.0, 0)
    assert any(text.startswith("--sigma 2 on standardised features would leave NO latent active") for text in found.warnings)


def test_collapse_of_the_plain_loss_is_predicted(tmp_path: Path) -> None:
    x = gaussian(400, [1.0] * 8)
    found = diagnose(saved(tmp_path, x / np.linalg.norm(x, axis=1, keepdims=True)))
    assert found.fixed[0].active == 0
    assert any(text.startswith("SSE + KL on raw features would leave NO latent active") for text in found.warnings)
    assert any("its defaults do not collapse here" in text for text in found.advice)


def test_learned_noise_is_that_of_probabilistic_pca(tmp_path: Path) -> None:
    # Two factors behind eight columns of equal variance: standardising changes nothing but the unit.
    loadings = np.kron(np.eye(2), np.ones((1, 4)))
    factors = gaussian(1000, [1.0] * 10)
    found = diagnose(saved(tmp_path, factors[:, :2] @ loadings + 0.5 * factors[:, 2:]))
    values = np.array(found.eigenvalues)
    two = found.learned[0]
    assert (two.latents, two.active) == (2, 2)
    assert np.isclose(two.variance, values[2:].mean())
    assert np.isclose(two.explained, values[:2].sum() / values.sum())
    assert np.isclose(found.effective_rank, values.sum() ** 2 / (values**2).sum())
    assert found.latents_for["80"] == 2


def test_variance_shares_count_components(tmp_path: Path) -> None:
    found = diagnose(saved(tmp_path, gaussian(500, [3.0] * 10)))  # standardised: ten equal eigenvalues
    assert found.latents_for == {"50": 5, "80": 8, "90": 9, "95": 10, "99": 10}


def test_advised_latents_follow_the_spectrum_and_the_rows(tmp_path: Path) -> None:
    assert diagnose(DIGITS).latent_dim == 32
    few = diagnose(saved(tmp_path, np.load(DIGITS)[:100]))
    assert few.latent_dim == 4
    assert any("of the variance needs" in text for text in few.advice)
    square = diagnose(saved(tmp_path, np.load(DIGITS)[:50]))
    assert any("50 usable rows span at most 49 of 64 columns" in text for text in square.warnings)


def test_digits_are_described_line_by_line() -> None:
    lines = describe(diagnose(DIGITS))
    assert lines[0] == f"{DIGITS}: 1,797 rows of 64 columns, uint8"
    assert lines[1:6] == [
        "values             0 to 16",
        "norms              46.83 to 76.9, median 62.14",
        "constant columns   3: 0, 32, 39",
        "nearly constant    none",
        "copies of columns  none",
    ]
    assert (
        lines[-2] == "advice: Start with --latent-dim 32, with which PCA keeps 90.7% of the variance; fewer "
        "latents reconstruct worse, but can have the same likelihood."
    )


def test_progress_counts_every_row_once() -> None:
    class Counter(TrainingProgress):
        total = seen = 0

        def stage(self, name: str, total: int, done: int = 0) -> None:
            self.total = total

        def advance(self, units: int) -> None:
            self.seen += units

    counter = Counter()
    diagnose(DIGITS, progress=counter)
    assert counter.total == counter.seen == 1797


def test_figures_round_trip_through_json() -> None:
    found = diagnose(DIGITS, sigma=0.3)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Diagnosis) == found


@pytest.mark.parametrize("sigma", [0.0, -1.0, float("nan"), float("inf")])
def test_a_sigma_that_is_not_positive_is_refused(sigma: float) -> None:
    with pytest.raises(InputError, match="must be positive and finite"):
        diagnose(DIGITS, sigma)


def test_values_beyond_float32_are_bad_values_not_warnings(tmp_path: Path) -> None:
    x = gaussian(100, [1, 1])
    x[4, 1] = 1e300
    found = diagnose(saved(tmp_path, x))
    assert [(bad.row, bad.column, bad.value) for bad in found.first_bad] == [(4, 1, "inf")]


def test_every_format_and_shards_give_the_same_figures(tmp_path: Path) -> None:
    x = np.load(DIGITS)[:300]
    whole = diagnose(saved(tmp_path, x))
    np.savetxt(tmp_path / "x.csv", x, delimiter=",", fmt="%d")
    (tmp_path / "shards").mkdir()
    for number, part in enumerate(np.split(x, 3)):
        np.save(tmp_path / "shards" / f"{number}.npy", part)
    for path in (tmp_path / "x.csv", tmp_path / "shards"):
        other = diagnose(path)
        assert np.allclose(other.eigenvalues, whole.eigenvalues, atol=1e-9)
        assert (other.rows, other.latent_dim, other.constant) == (whole.rows, whole.latent_dim, whole.constant)


def test_diagnosing_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from aaptvae_training.diagnosis import diagnose\n"
        f"print(diagnose({str(DIGITS)!r}).latent_dim)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("32\n", "")


def test_values_that_training_refuses_are_said(tmp_path: Path) -> None:
    found = diagnose(saved(tmp_path, gaussian(50, [1, 1]) * 1e36))
    assert any(re.match(r"Values go up to \d\.\d+e\+36: training refuses those above 1e\+30", text) for text in found.warnings)
