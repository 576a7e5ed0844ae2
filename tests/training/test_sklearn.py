"""A VAE as a scikit-learn transformer: scikit-learn's own checks, pipelines, searches, pickles, densities."""

import pickle
import pickletools

import numpy as np
import pytest
import torch

from .conftest import features_of

pytest.importorskip("sklearn", reason="needs scikit-learn")

from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from aaptvae.errors import InputError
from aaptvae_training.sklearn import VAETransformer

QUICK = {"hidden_dim": 4, "epochs": 1, "threads": 1, "options": {"refit": False}}


def quick(**parameters: object) -> VAETransformer:
    """A transformer that trains in a blink."""
    return VAETransformer(**({"latent_dim": 2, "random_state": 0} | QUICK | parameters))


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return features_of(200, 6, 3)


@pytest.fixture(scope="module")
def fitted(rows) -> VAETransformer:
    return quick().fit(rows)


@pytest.mark.slow
def test_every_check_of_scikit_learn_passes():
    results = check_estimator(VAETransformer(**QUICK), on_skip=None, on_fail=None)
    passed = [each["check_name"] for each in results if each["status"] == "passed"]
    print(f"check_estimator of VAETransformer: {len(passed)} of {len(results)} checks passed")  # pytest -rP shows it
    failed = {each["check_name"]: each["exception"] for each in results if each["status"] == "failed"}
    assert failed == {}
    assert sum(each["status"] == "passed" for each in results) >= 40


def test_no_latents_are_refused(rows):
    with pytest.raises(InputError, match="latent_dim is 0"):
        quick(latent_dim=0).fit(rows)


def test_a_pickle_holds_no_torch_objects(fitted, rows):
    data = pickle.dumps(fitted)
    named = {argument for _, argument, _ in pickletools.genops(data) if isinstance(argument, str)}
    assert not any("torch" in name for name in named)
    assert np.array_equal(pickle.loads(data).transform(rows), fitted.transform(rows))  # noqa: S301 - our own bytes


def test_skops_holds_a_pipeline_without_pickle(fitted, rows):
    skops = pytest.importorskip("skops.io", reason="needs skops")
    name = "aaptvae_training.sklearn.VAETransformer"
    data = skops.dumps(make_pipeline(StandardScaler(with_mean=False, with_std=False), fitted))
    assert skops.get_untrusted_types(data=data) == [name]
    loaded = skops.loads(data, trusted=[name])
    assert np.array_equal(loaded[-1].transform(rows), fitted.transform(rows))


def test_the_same_random_state_gives_the_same_latents(rows):
    first, second, other = (quick(random_state=seed).fit(rows).transform(rows) for seed in (3, 3, 4))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_a_fit_leaves_the_generator_of_torch_alone(rows):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    quick().fit(rows)
    assert torch.equal(torch.rand(3), expected)


def test_reconstructions_explain_the_rows(fitted, rows):
    back = fitted.inverse_transform(fitted.transform(rows))
    assert 1 - ((rows - back) ** 2).sum() / ((rows - rows.mean(axis=0)) ** 2).sum() > 0.5


def test_the_density_is_that_of_raw_rows(rows):
    """Rows in other units have another density: ten times as large in each of 6 columns, 6 log 10 nats less."""
    scores = [quick().fit(rows * scale).score(rows * scale) for scale in (1, 10)]
    assert scores[0] - scores[1] == pytest.approx(6 * np.log(10), abs=0.2)


def test_the_score_depends_on_the_row_alone(fitted, rows):
    together = fitted.score_samples(rows)
    assert np.allclose(together[7], fitted.score_samples(rows[7:8]), rtol=1e-6)
    assert fitted.score(rows) == pytest.approx(together.mean())


def test_samples_are_as_likely_as_rows(fitted, rows):
    new = fitted.sample(500, random_state=1)
    assert new.shape == (500, 6)
    assert np.array_equal(new, fitted.sample(500, random_state=1))
    for count in (10**12, 10**30):
        with pytest.raises(InputError, match=r"(ask for|expected) fewer rows"):
            fitted.sample(count)
    assert abs(fitted.score(new) - fitted.score(rows)) < 3


def test_parameters_that_are_wrong_are_named(rows):
    with pytest.raises(ValueError, match="latent_dim is -1"):
        quick(latent_dim=-1).fit(rows)


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_frames_keep_names_of_latents(package, rows):
    frames = pytest.importorskip(package)
    table = frames.DataFrame({name: rows[:, k] for k, name in enumerate("abcdef")})
    transformer = quick().set_output(transform=package)
    found = transformer.fit_transform(table)
    assert isinstance(found, frames.DataFrame)
    assert list(found.columns) == ["z0", "z1"]
    assert list(transformer.feature_names_in_) == list("abcdef")


@pytest.mark.slow
def test_a_pipeline_with_selected_columns_is_searched(rows):
    columns = ColumnTransformer([("vae", make_pipeline(StandardScaler(), quick()), [0, 1, 2, 3])], remainder="passthrough")
    pipeline = make_pipeline(columns, LinearRegression())
    search = GridSearchCV(pipeline, {"columntransformer__vae__vaetransformer__latent_dim": [1, 3]}, cv=2)
    search.fit(rows, rows[:, 0])
    assert search.best_params_ == {"columntransformer__vae__vaetransformer__latent_dim": 3}
    assert search.best_estimator_.predict(rows).shape == (200,)


def test_cross_validation_scores_the_density(rows):
    scores = cross_val_score(clone(quick()), rows, cv=2)
    assert scores.shape == (2,)
    assert np.isfinite(scores).all()


def test_columns_called_by_numbers_are_matched(rows):
    """scikit-learn itself passes over names that are no text."""
    frames = pytest.importorskip("pandas")
    table = frames.DataFrame(rows)
    fitted = quick().fit(table)
    assert np.array_equal(fitted.transform(table[[5, 4, 3, 2, 1, 0]]), fitted.transform(table))
    with pytest.raises(ValueError, match="lacks the column 5"):
        fitted.transform(table.rename(columns={5: 7}))


@pytest.mark.parametrize(
    ("method", "dtype"), [("transform", "float32"), ("transform", "float64"), ("score_samples", "float64")]
)
def test_a_row_too_large_is_refused(fitted, rows, method, dtype):
    """Finite numbers in, and never NaN out."""
    wild = rows.astype(dtype)
    wild[3] = 1e308 if dtype == "float64" else 3e38
    with pytest.raises(ValueError, match=r"X row 3 is too large for the model"):
        getattr(fitted, method)(wild)


@pytest.fixture(scope="module")
def labelled(rows):
    """Rows whose level depends on a column of text, with that column between the features."""
    frames = pytest.importorskip("pandas")
    kind = np.array(["low", "high"])[np.arange(200) % 2]
    table = frames.DataFrame(rows + 8 * (kind == "high")[:, None], columns=list("abcdef"))
    table.insert(2, "kind", kind)
    return table


@pytest.fixture(scope="module")
def conditional(labelled) -> VAETransformer:
    return quick(condition=["kind"]).fit(labelled)


def test_conditions_are_columns_by_name(conditional, labelled, rows):
    """Latents do not hold what the condition explains; samples and reconstructions have it."""
    latents = conditional.set_output(transform="pandas").transform(labelled)
    assert conditional.n_features_in_ == 7 and list(latents.columns) == ["z0", "z1"]
    gap = latents[labelled["kind"] == "high"].mean() - latents[labelled["kind"] == "low"].mean()
    assert (gap.abs() < 0.5).all()
    back = conditional.inverse_transform(latents.assign(kind=labelled["kind"]))
    features = labelled.drop(columns="kind").to_numpy()
    assert 1 - ((features - back) ** 2).sum() / ((features - features.mean(axis=0)) ** 2).sum() > 0.8
    drawn = conditional.sample(100, condition={"kind": ["low", "high"] * 50})
    assert drawn[1::2].mean() - drawn[::2].mean() == pytest.approx(8, abs=0.7)
    wrong = labelled.assign(kind=labelled["kind"].map({"low": "high", "high": "low"}))
    assert conditional.score(labelled) > conditional.score(wrong) + 3
    assert np.allclose(conditional.score_samples(labelled)[7:8], conditional.score_samples(labelled[7:8]), rtol=1e-5)


def test_conditional_pickles_and_clones(conditional, labelled):
    again = pickle.loads(pickle.dumps(conditional))  # noqa: S301 - our own bytes
    assert np.array_equal(again.transform(labelled), conditional.transform(labelled))
    assert clone(conditional).get_params()["condition"] == ["kind"]


def test_wrong_conditions_are_refused(conditional, labelled, rows):
    with pytest.raises(ValueError, match="feature names"):
        conditional.transform(labelled.drop(columns="kind"))
    with pytest.raises(ValueError, match="condition kind is 'middle' in row 0"):
        conditional.transform(labelled.assign(kind="middle"))
    with pytest.raises(ValueError, match="the condition kind is missing"):
        conditional.sample(3)
    with pytest.raises(ValueError, match="X has no column kind"):
        conditional.inverse_transform(conditional.transform(labelled))
    with pytest.raises(ValueError, match=r"give them as condition=\[...\]"):
        quick(options={"condition": ["kind"]}).fit(rows)
