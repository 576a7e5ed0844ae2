"""Conditions of a bundle: by name, by column and as numbers, in every method; wrong ones are refused."""

import json
import pickle
import shutil
from typing import Any

import msgspec
import numpy as np
import pytest

import aaptvae
from aaptvae.batches import BatchEncoder
from aaptvae.bundle import read_bundle
from aaptvae.bundle.manifest import encode_manifest
from aaptvae.conditions import values_of
from aaptvae.verify import verify


@pytest.fixture(scope="module")
def x(given_rows: dict[str, Any]) -> np.ndarray:
    return np.stack([given_rows[f"f{index}"] for index in range(5)], axis=1)


def numbers(given_rows: dict[str, Any]) -> np.ndarray:
    one_hot = (np.asarray(given_rows["kind"])[:, None] == np.array(["a", "b", "c"])).astype(np.float32)
    age = (np.asarray(given_rows["age"], float)[:, None] - 40) / 10
    return np.concatenate([one_hot, age], axis=1).astype(np.float32)


def test_conditions_by_name_are_one_hot_and_standardised(conditional, given_rows, x) -> None:
    named = {"kind": given_rows["kind"], "age": given_rows["age"]}
    mu, logvar = conditional.encode(x, condition=named)
    for condition in (numbers(given_rows), {name: list(values) for name, values in named.items()}):
        again = conditional.encode(x, condition=condition)
        assert np.array_equal(mu, again[0]) and np.array_equal(logvar, again[1])
    assert not np.allclose(mu, conditional.encode(x, condition=named | {"kind": "a"})[0])
    assert conditional.conditions == ("kind", "age")


def test_columns_of_the_table_are_taken(conditional, given_rows, x) -> None:
    mu = conditional.embed(x, condition=numbers(given_rows))
    assert np.array_equal(conditional.embed(given_rows), mu)
    fixed = conditional.embed(x, condition={"kind": "b", "age": given_rows["age"]})
    assert np.array_equal(conditional.embed(given_rows, condition={"kind": "b"}), fixed)


def test_conditions_of_a_data_frame(conditional, given_rows) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame(given_rows)
    assert np.array_equal(conditional.embed(frame), conditional.embed(given_rows))
    assert np.array_equal(conditional.sample(300, seed=1, condition=frame[["age", "kind"]]).shape, (300, 5))


def test_conditions_in_another_order_of_rows_are_refused(conditional, given_rows) -> None:
    """The index of pandas says that rows and conditions are out of line."""
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame(given_rows)
    features, given = frame.drop(columns=["kind", "age"]), frame[["kind", "age"]]
    for other in (given[::-1], {"kind": given["kind"][::-1], "age": 40}):
        with pytest.raises(
            aaptvae.InputError, match=r"condition has the index of x in another order: .*condition.loc\[x.index"
        ):
            conditional.embed(features, condition=other)
    expected = conditional.embed(frame)
    assert np.array_equal(conditional.embed(features, condition=given), expected)
    assert np.array_equal(
        conditional.embed(features, condition=given.reset_index(drop=True).set_axis(range(7, 7 + len(given)))), expected
    )


def test_every_method_takes_the_condition(conditional, given_rows, x) -> None:
    c = numbers(given_rows)
    mu, _ = conditional.encode(x, condition=c)
    rows = conditional.decode(mu, condition=c)
    assert np.array_equal(conditional.reconstruct(given_rows), rows)
    scores = conditional.score(given_rows)
    assert np.allclose(scores.reconstruction_error, conditional.observation.squared_error(x, rows))
    alone = conditional.score(x[7:8], condition=c[7:8])
    assert np.allclose(alone.elbo, scores.elbo[7], atol=1e-4)
    likely = conditional.log_likelihood(given_rows, samples=8, seed=0)
    assert (likely != conditional.log_likelihood(x, samples=8, seed=0, condition={"kind": "a", "age": 1})).any()
    walked = conditional.interpolate(x[:2], x[2:4], 3, condition={"kind": "c", "age": 50})
    ends = conditional.reconstruct(x[:4], condition={"kind": "c", "age": 50})
    assert np.array_equal(walked[[0, 4, 3, 7]], ends)


def test_rows_of_large_batches_have_their_conditions(conditional, given_rows) -> None:
    small = aaptvae.load(read_bundle(conditional._source.source).source, batch_size=64, threads=2)
    many = {name: np.resize(values, 2000) for name, values in given_rows.items()}
    out = np.empty((2000, 2), np.float32)
    assert small.embed(many, out=out) is out
    assert np.allclose(out, conditional.embed(many), atol=1e-6)


def test_samples_depend_on_seed_position_and_condition(conditional) -> None:
    kinds = np.array(["a", "b", "c"] * 40)
    whole = conditional.sample(120, seed=4, condition={"kind": kinds, "age": 41})
    assert np.array_equal(whole[70:90], conditional.sample(range(70, 90), seed=4, condition={"kind": kinds[70:90], "age": 41}))
    assert (whole[1] != conditional.sample(2, seed=4, condition={"kind": "a", "age": 41})[1]).any()


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (None, r"the condition kind, age is missing: this bundle takes kind \(a, b, c\); age \(a number\): pass condition="),
        ({"kind": "a"}, "the condition age is missing"),
        ({"kind": "z", "age": 1}, "condition kind is 'z': expected one of a, b, c"),
        ({"kind": ["a"], "age": 1}, "condition kind has 1 values for 300 rows"),
        ({"kind": ["a"] * 299 + ["z"], "age": 1}, "condition kind is 'z' in row 299: expected one of a, b, c"),
        ({"kind": "a", "age": "old"}, "condition age is 'old': expected a finite number"),
        ({"kind": "a", "age": float("nan")}, "condition age is nan: expected"),
        ({"kind": "a", "age": 1, "sex": "f"}, "condition has sex: expected kind"),
        ({"kind": "a", "age": "1_0"}, "condition age is '1_0': expected a finite number"),
        ({"kind": "a", "age": 10**400}, "condition age is an integer of more than 300 digits: expected a finite number"),
        ({"kind": "a", "age": 1e300}, r"condition age is 1e\+300: expected a finite number in the range of float32"),
        ({"kind": "a", "age": np.array(["2024-01-01"] * 300, "datetime64[ns]")}, "condition age is '2024-01-01T00:00:00.00"),
        ({"kind": "a", "age": np.ones((300, 1))}, r"condition age has shape \(300, 1\): expected one value for each row"),
        ({"kind": "\ud800", "age": 1}, "holds half of a surrogate pair"),
        ("a", "condition is 'a': expected values by name"),
        (np.zeros((300, 3)), r"array of shape \(300, 3\): expected c \[300, 4\]"),
    ],
)
def test_wrong_conditions_are_refused(conditional, x, condition, words) -> None:
    with pytest.raises(aaptvae.InputError, match=words):
        conditional.encode(x, condition=condition)


def test_missing_values_of_pandas_are_refused(conditional, x) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    for missing in (pandas.NA, pandas.NaT):
        for condition in ({"kind": missing, "age": 1}, {"kind": "a", "age": missing}):
            with pytest.raises(aaptvae.InputError, match="expected"):
                conditional.encode(x, condition=condition)


@pytest.mark.parametrize("n", [10**12, 10**30])
def test_more_samples_than_memory_holds_are_refused(conditional, n) -> None:
    with pytest.raises(aaptvae.InputError, match=r"(expected|ask for) fewer rows"):
        conditional.sample(n, condition={"kind": "a", "age": 1})


def test_latents_may_hold_their_conditions(conditional, given_rows) -> None:
    mu, given = conditional.embed(given_rows), {name: given_rows[name] for name in ("kind", "age")}
    table = {f"z{index}": mu[:, index] for index in range(mu.shape[1])} | given
    assert np.array_equal(conditional.decode(table), conditional.decode(mu, condition=given))
    with pytest.raises(aaptvae.InputError, match="z has 3 columns: this bundle takes 2"):
        conditional.decode(table | {"more": given["age"]})


def test_a_bundle_without_conditions_refuses_one(vae, x) -> None:
    with pytest.raises(aaptvae.InputError, match="this bundle takes no condition"):
        vae.encode(x, condition={"kind": "a"})
    assert vae.conditions == ()


def test_a_plain_manifest_has_no_field_for_them(tiny, given) -> None:
    assert "conditions" not in json.loads((tiny / "manifest.json").read_bytes())
    assert read_bundle(tiny).manifest.conditions == ()
    assert [condition.name for condition in read_bundle(given).manifest.conditions] == ["kind", "age"]


def test_golden_vectors_hold_conditions(given) -> None:
    assert verify(given).passed
    assert {"c", "c_z"} <= set(np.load(given / "golden.npz").files)


def test_a_pickled_model_takes_conditions(conditional, x) -> None:
    again = pickle.loads(pickle.dumps(conditional))  # noqa: S301 - our own
    condition = {"kind": "b", "age": 30}
    assert np.array_equal(again.embed(x, condition=condition), conditional.embed(x, condition=condition))


def frames_of(given_rows: dict[str, Any]) -> dict[str, Any]:
    pandas, polars, arrow = (pytest.importorskip(name) for name in ("pandas", "polars", "pyarrow"))
    return {"mapping": given_rows, "pandas": pandas.DataFrame(given_rows), "polars": polars.DataFrame(given_rows)} | {
        "pyarrow": arrow.table({name: arrow.array(values.tolist()) for name, values in given_rows.items()})
    }


@pytest.mark.parametrize("verb", ["embed", "encode", "reconstruct", "score"])
def test_batches_hold_their_conditions(given, conditional, given_rows, verb) -> None:
    """Condition columns are no features and may be kept; results are those of `VAE`, of a pickled encoder too."""
    expected = getattr(conditional, verb)(given_rows)
    expected = expected if isinstance(expected, tuple) else (expected,)
    encoder = pickle.loads(pickle.dumps(BatchEncoder(given, verb, keep=["kind"])))  # noqa: S301 - our own
    for batch in frames_of(given_rows).values():
        made = encoder(batch)
        names = list(made if isinstance(made, dict) else getattr(made, "column_names", made.columns))
        assert names[0] == "kind" and values_of(made["kind"]) == list(given_rows["kind"])
        assert all(
            np.array_equal(np.array(values_of(made[name])), values, equal_nan=True)
            for name, values in zip(names[1:], expected, strict=True)
        )


def test_values_for_all_rows_replace_columns(given, conditional, given_rows, x) -> None:
    encoder = BatchEncoder(given, condition={"kind": "b", "age": 30})
    expected = conditional.embed(x, condition={"kind": "b", "age": 30})
    assert np.array_equal(encoder(given_rows)["mu"], expected)
    assert np.array_equal(encoder(x), expected)
    half = BatchEncoder(given, condition={"kind": "b"})(given_rows)["mu"]
    assert np.array_equal(half, conditional.embed(given_rows, condition={"kind": "b"}))
    decoded = BatchEncoder(given, "decode", column="z")({"z": expected, "kind": given_rows["kind"], "age": given_rows["age"]})
    assert np.array_equal(
        decoded["reconstruction"],
        conditional.decode(expected, condition={"kind": given_rows["kind"], "age": given_rows["age"]}),
    )
    nothing = {name: values[:0] for name, values in given_rows.items()}
    assert BatchEncoder(given)(nothing)["mu"].shape == (0, 2)


def test_batches_without_conditions_are_refused(given, tiny, given_rows, x) -> None:
    for condition, words in (
        ({"kind": "z"}, "condition kind is 'z': expected one of a, b, c"),
        ({"kind": ["a", "b"]}, "condition kind has 2 values: expected one for all rows"),
        ({"sex": "f"}, "condition has sex: expected kind"),
    ):
        with pytest.raises(aaptvae.InputError, match=words):
            BatchEncoder(given, condition=condition)
    with pytest.raises(aaptvae.InputError, match="this bundle takes no condition"):
        BatchEncoder(tiny, condition={"kind": "a"})
    with pytest.raises(aaptvae.InputError, match="the condition age is missing"):
        BatchEncoder(given)({name: values for name, values in given_rows.items() if name != "age"})
    with pytest.raises(aaptvae.InputError, match="the condition kind, age is missing"):
        BatchEncoder(given)(x)


def test_two_conditions_of_one_name_are_refused(tmp_path, given) -> None:
    folder, manifest = tmp_path / "changed", read_bundle(given).manifest
    shutil.copytree(given, folder)
    twice = msgspec.structs.replace(manifest, conditions=(*manifest.conditions, manifest.conditions[0]))
    (folder / "manifest.json").write_bytes(encode_manifest(twice))
    with pytest.raises(aaptvae.BundleError, match="expected different names"):
        read_bundle(folder)


def test_served_models_take_c_as_an_input(conditional, x, given_rows) -> None:
    pytest.importorskip("httptools", reason="aaptvae[serve] is not installed")
    from aaptvae.serve.models import models_of  # noqa: PLC0415

    models = {model.name: model for model in models_of(conditional, "given", "1")}
    encoder = models["given_encoder"]
    described = encoder.metadata(["1"])
    assert [port["name"] for port in described["inputs"]] == ["x", "c"]
    assert [condition["name"] for condition in described["parameters"]["conditions"]] == ["kind", "age"]
    c = numbers(given_rows)
    assert encoder.rows({"x": x, "c": c}) == 300
    assert np.array_equal(encoder.compute({"x": x, "c": c}, ("mu", "logvar"), {})[0], conditional.embed(given_rows))
    with pytest.raises(aaptvae.InputError, match="lacks the input c"):
        encoder.rows({"x": x})
    sample = models["given_sample"]
    ask = {"n": np.array([5]), "seed": np.array([1]), "c": c[:1]}
    assert sample.rows(ask) == 5
    assert np.array_equal(sample.compute(ask, ("sample",), {})[0], conditional.sample(5, seed=1, condition=c[:1]))
