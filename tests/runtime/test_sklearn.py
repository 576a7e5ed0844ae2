"""A bundle as a scikit-learn transformer: scikit-learn's own checks, pipelines, pickles that outlive the folder."""

import io
import pickle
import shutil
import zipfile
from pathlib import Path

import msgspec
import numpy as np
import pytest

import aaptvae
from aaptvae.bundle.manifest import encode_manifest
from aaptvae.bundle.reading import read_manifest

pytest.importorskip("sklearn", reason="needs scikit-learn")
onnx = pytest.importorskip("onnx", reason="makes bundles of other widths")

from make_tiny import make_files, weights  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import check_estimator  # noqa: E402

from aaptvae.sklearn import BundleTransformer  # noqa: E402

TINY = Path(__file__).parent / "tiny"


class OfAnyWidth(BundleTransformer):
    """The checks fit tables of many widths, a bundle has one: every table gets a small bundle of its width."""

    def fit(self, X, y=None):
        self._width = max((1, *np.asarray(X).shape[1:]))
        return super().fit(X, y)

    def _bytes(self) -> bytes:
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            for name, content in make_files(weights(0, d=self._width, h=3, latents=2)).items():
                archive.writestr(zipfile.ZipInfo(name), content)
        return data.getvalue()


def rows(count: int = 20) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, 5)).astype(np.float32)


def test_every_check_of_scikit_learn_passes():
    results = check_estimator(OfAnyWidth("any"), on_skip=None, on_fail=None)
    passed = [each["check_name"] for each in results if each["status"] == "passed"]
    print(f"check_estimator of BundleTransformer: {len(passed)} of {len(results)} checks passed")  # pytest -rP shows it
    failed = {each["check_name"]: each["exception"] for each in results if each["status"] == "failed"}
    assert failed == {}
    assert sum(each["status"] == "passed" for each in results) >= 40


def test_results_are_those_of_the_bundle():
    x, vae = rows(), aaptvae.load(TINY)
    transformer = BundleTransformer(TINY).fit(x)
    assert np.array_equal(transformer.transform(x), vae.embed(x))
    assert np.array_equal(transformer.inverse_transform(vae.embed(x)), vae.reconstruct(x))
    assert np.array_equal(transformer.score_samples(x), vae.score(x).elbo)
    assert transformer.score(x) == transformer.score_samples(x).mean()


def test_a_pickle_works_without_the_folder(tmp_path):
    shutil.copytree(TINY, tmp_path / "bundle")
    pipeline = make_pipeline(StandardScaler(), BundleTransformer(tmp_path / "bundle")).fit(rows())
    expected, data = pipeline.transform(rows()), pickle.dumps(pipeline)
    shutil.rmtree(tmp_path / "bundle")
    assert np.array_equal(pickle.loads(data).transform(rows()), expected)  # noqa: S301 - our own bytes


def test_clones_hold_the_bundle_but_not_the_state():
    transformer = clone(BundleTransformer(TINY, threads=1).fit(rows()))
    assert transformer.get_params() == {"bundle": TINY, "precision": "fp32", "threads": 1}
    with pytest.raises(NotFittedError):
        transformer.transform(rows())


def test_rows_of_another_width_are_refused():
    with pytest.raises(ValueError, match="X has 4 features: the bundle tiny encodes 5: pass its columns"):
        BundleTransformer(TINY).fit(rows()[:, :4])


def test_no_bundle_is_refused():
    with pytest.raises(ValueError, match="bundle is None: expected the path or the bytes"):
        BundleTransformer().fit(rows())


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_frames_keep_names_of_latents(package):
    frames = pytest.importorskip(package)
    table = frames.DataFrame({name: rows()[:, k] for k, name in enumerate("abcde")})
    transformer = BundleTransformer(TINY).set_output(transform=package)
    assert list(transformer.fit_transform(table).columns) == ["z0", "z1"]
    assert list(transformer.feature_names_in_) == list("abcde")
    with pytest.raises(ValueError, match="feature names"):
        transformer.transform(table[list("edcba")])


def bundle_of(names, folder, source=TINY):
    """A bundle with names of its columns."""
    made = shutil.copytree(source, folder / "named")
    manifest = msgspec.structs.replace(read_manifest((made / "manifest.json").read_bytes()), columns=names)
    (made / "manifest.json").write_bytes(encode_manifest(manifest))
    return made


@pytest.mark.parametrize("names", [tuple("abcde"), None])
@pytest.mark.parametrize("package", ["pandas", "polars", "pyarrow"])
def test_columns_are_those_of_the_model(package, names, tmp_path):
    """Names decide, of a model with names and where they are positions; not the order in which `fit` saw them."""
    frames = pytest.importorskip(package)
    called = names or ("0", "1", "2", "3", "4")
    order = [3, 0, 4, 2, 1]
    columns = {called[k]: rows()[:, k].copy() for k in order}
    table = frames.table(columns) if package == "pyarrow" else frames.DataFrame(columns)
    transformer = BundleTransformer(TINY if names is None else bundle_of(names, tmp_path)).fit(table)
    vae = aaptvae.load(TINY)
    assert np.array_equal(transformer.transform(table), vae.embed(rows()))
    assert np.array_equal(transformer.score_samples(table), vae.score(rows()).elbo)
    restored = transformer.inverse_transform(transformer.transform(table))
    assert np.array_equal(restored, vae.reconstruct(rows())[:, order])


def test_numbers_as_names_are_matched():
    """scikit-learn passes over names that are no text."""
    frames = pytest.importorskip("pandas")
    table = frames.DataFrame(rows())
    transformer = BundleTransformer(TINY).fit(table)
    assert np.array_equal(transformer.transform(table[[4, 1, 0, 2, 3]]), transformer.transform(rows()))
    latents = frames.DataFrame(transformer.transform(rows())[:, ::-1], columns=["z1", "z0"])
    assert np.array_equal(transformer.inverse_transform(latents), aaptvae.load(TINY).reconstruct(rows()))


def test_other_names_are_refused(tmp_path):
    frames = pytest.importorskip("pandas")
    with pytest.raises(ValueError, match=r"X lacks the column a \(and has others: A: names differ in case"):
        BundleTransformer(bundle_of(tuple("abcde"), tmp_path)).fit(frames.DataFrame(rows(), columns=list("Abcde")))


@pytest.mark.parametrize("package", ["pandas", "polars", "pyarrow"])
def test_conditions_are_columns_by_name(package, given, conditional, given_rows, tmp_path):
    """Between the features, in any order; `inverse_transform` finds them beside the latents."""
    frames = pytest.importorskip(package)
    order = ("f3", "kind", "f0", "f4", "age", "f2", "f1")
    make = frames.table if package == "pyarrow" else frames.DataFrame
    table = make({name: given_rows[name].tolist() for name in order})
    transformer = BundleTransformer(bundle_of(tuple(f"f{k}" for k in range(5)), tmp_path, given)).fit(table)
    assert transformer.n_features_in_ == 7
    mu = transformer.transform(table)
    assert np.allclose(mu, conditional.embed(given_rows), atol=1e-6)
    assert np.allclose(transformer.score_samples(table), conditional.score(given_rows).elbo, atol=1e-4)
    latents = make(
        {"kind": given_rows["kind"].tolist(), "z1": mu[:, 1].tolist(), "z0": mu[:, 0].tolist()}
        | {"age": given_rows["age"].tolist()}
    )
    expected = conditional.reconstruct(given_rows)[:, [3, 0, 4, 2, 1]]
    assert np.allclose(transformer.inverse_transform(latents), expected, atol=1e-5)


def test_conditions_that_have_no_names_are_refused(given, given_rows):
    frames = pytest.importorskip("pandas")
    transformer = BundleTransformer(given).set_output(transform="pandas")
    with pytest.raises(ValueError, match=r"X has no named columns: this model takes kind \(a, b, c\); age"):
        transformer.fit(rows())
    with pytest.raises(ValueError, match="X has no column age"):
        transformer.fit(frames.DataFrame(given_rows).drop(columns="age"))
    made = transformer.fit_transform(frames.DataFrame(given_rows))
    assert list(made.columns) == ["z0", "z1"]
    with pytest.raises(ValueError, match="X has no column kind, age"):
        transformer.inverse_transform(made)
    with pytest.raises(ValueError, match="feature names"):
        transformer.transform(frames.DataFrame(given_rows).drop(columns="f1"))


def test_missing_values_are_filled_where_the_bundle_says_so(filling, named):
    x = rows()
    x[3, 2] = np.nan
    assert np.array_equal(BundleTransformer(filling).fit_transform(x), aaptvae.load(filling).embed(x))
    with pytest.raises(ValueError, match="contains NaN"):
        BundleTransformer(named).fit(x)


def test_columns_that_hold_no_numbers_are_named(named, filling):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(dict(zip("abcde", np.ones((5, 9)), strict=True))).assign(city=list("rstuvwxyz"))
    with pytest.raises(ValueError, match=r"X holds columns that are no numbers: city \(str\): .*ColumnTransformer"):
        BundleTransformer(named).fit(frame)
    with pytest.raises(ValueError, match=r"X holds columns that are no numbers: city"):
        BundleTransformer(filling).fit(frame[list("abcde")]).transform(frame[["city", *"abcd"]])


def test_a_lacking_condition_is_named(given, given_rows):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(given_rows).drop(columns="age")
    with pytest.raises(ValueError, match=r"X has no column age, a condition of this model: .*keep it beside"):
        BundleTransformer(given).fit(frame)


def test_tables_that_scikit_learn_would_misread_are_refused(tiny) -> None:
    """It takes the values under a mask, and fails on columns in words of its own."""
    x = np.random.default_rng(0).standard_normal((6, 5))
    names = [(f"x{index}", float) for index in range(5)]
    for other, words in (
        (np.ma.masked_array(x, x > 1), "X is a masked array"),
        ({"x0": x[:, 0]}, r"X is a dict of columns: .*pd.DataFrame\(X\)"),
        (np.array([tuple(row) for row in x], names), "X is a ndarray of columns"),
    ):
        with pytest.raises(ValueError, match=words):
            BundleTransformer(str(tiny)).fit(other)
