"""Trainings with conditions: kinds of columns, p(x | c), removal of batch effects, and what is refused."""

from datetime import date

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import aaptvae
from aaptvae.errors import InputError
from aaptvae_export import export
from aaptvae_training import AAPTVAE, Run, read_run, train
from aaptvae_training.cli import train as verb
from aaptvae_training.evaluate_run import evaluate
from aaptvae_training.features import Moments, TableConditions, open_features
from aaptvae_training.features.regression import Products
from aaptvae_training.model import encode
from aaptvae_training.run.layout import PRIOR, REFIT

QUICK = {"latent_dim": 3, "hidden_dim": [8], "epochs": 3, "batch_size": 32, "precision": "fp32", "device": "cpu"}
QUICK |= {"refit": False, "report": False}
NAMES = [f"f{index}" for index in range(6)]


def batches_of(rows: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows whose columns are shifted by their batch and depend on age: x [N, 6], batch [N], age [N]."""
    rng = np.random.default_rng(7)
    batch, age = rng.integers(0, 3, rows), rng.normal(40, 10, rows)
    signal = rng.standard_normal((rows, 2)) @ rng.standard_normal((2, 6))
    shift, slope = 3 * rng.standard_normal((3, 6)), rng.standard_normal(6) / 10
    return signal + shift[batch] + age[:, None] * slope + 0.2 * rng.standard_normal((rows, 6)), batch, age


def table_of(x: np.ndarray, **columns: object) -> dict[str, object]:
    return dict(zip(NAMES, x.T, strict=True)) | columns


@pytest.fixture(scope="module")
def table():
    x, batch, age = batches_of()
    return table_of(x, batch=np.array(["b", "a", "c"])[batch], age=age)


@pytest.fixture(scope="module")
def run(table):
    return train(table, condition=["batch", "age"], **QUICK)


@pytest.fixture(scope="module")
def plain(table):
    return train({name: table[name] for name in NAMES}, **QUICK)


def named_rightly(latents: np.ndarray, batch: np.ndarray) -> float:
    """Share of rows whose batch the nearest class mean names, fitted to half of them."""
    half = len(latents) // 2
    scaled = latents / latents.std(axis=0)
    means = np.stack([scaled[:half][batch[:half] == key].mean(axis=0) for key in range(3)])
    nearest = np.linalg.norm(scaled[half:, None] - means, axis=2).argmin(axis=1)
    return float((nearest == batch[half:]).mean())


def test_latents_do_not_tell_the_batch(table, run, plain):
    x, batch, age = batches_of()
    kinds, years = np.eye(3)[np.array([1, 0, 2])[batch]], (age - age.mean()) / age.std()  # called b, a, c
    c = np.concatenate([kinds, years[:, None]], axis=1)
    rows = np.concatenate([x, c], axis=1).astype(np.float32)
    assert named_rightly(encode(run.model, rows)[0], batch) < 0.45
    assert named_rightly(encode(plain.model, x.astype(np.float32))[0], batch) > 0.8


def test_rows_are_likelier_under_their_conditions(run, plain):
    own, without = (made.figures["log_likelihood"] for made in (run, plain))
    assert own["model"] > without["model"] + 3
    assert own["pPCA"] > without["pPCA"] + 3
    assert run.figures["r2"]["model"] > plain.figures["r2"]["model"]


def test_text_is_a_category_and_numbers_are_numbers(run):
    batch, age = run.config.conditions
    assert (batch.name, batch.categories) == ("batch", ("a", "b", "c"))
    assert (age.name, age.categories) == ("age", ()) and 38 < age.mean < 42 and 8 < age.scale < 12


def test_a_bundle_of_the_run_gives_its_latents(tmp_path, table, run):
    vae = aaptvae.load(export(run, tmp_path / "bundle").path)
    rows = run.heldout[:, :6]
    expected = encode(run.model, run.heldout)[0]
    assert np.allclose(vae.embed(rows, condition=run.heldout[:, 6:]), expected, atol=1e-3)
    assert vae.embed(table).shape == (600, 3)
    held = float(vae.log_likelihood(rows, condition=run.heldout[:, 6:], seed=0).mean())
    assert held == pytest.approx(run.figures["log_likelihood"]["model"], abs=0.2)


@pytest.mark.parametrize(
    ("values", "categories"),
    [
        (["00", "01"], ("00", "01")),
        (["nan", "1"], ("1", "nan")),
        (np.array(["2024-01-01", "2024-02-01"], "datetime64[ns]"), None),
        ([False, True], ("False", "True")),
        ([3, 4], ()),
    ],
)
def test_types_decide_between_categories_and_numbers(values, categories):
    column = np.resize(values, 10) if isinstance(values, np.ndarray) else values * 5
    with open_features({"x": np.arange(10.0), "c": column}, conditions=TableConditions(["c"])) as features:
        (spec,) = features.condition_specs
    assert spec.categories == categories or (categories is None and spec.categories[0].startswith("2024-01-01T"))


@pytest.mark.parametrize(
    ("texts", "categories"), [(["00", "01"], ()), (["1_0", "20"], ("1_0", "20")), (["a", "1"], ("1", "a"))]
)
def test_text_of_csv_is_numbers_where_all_of_it_is(tmp_path, texts, categories):
    (tmp_path / "x.csv").write_text("x,c\n" + "".join(f"{row}.5,{text}\n" for row, text in enumerate(texts * 5)))
    with open_features(tmp_path / "x.csv", conditions=TableConditions(["c"])) as features:
        assert features.condition_specs[0].categories == categories


def test_whole_numbers_are_categories_where_the_user_says_so(table):
    rows = {**table, "batch": np.array([2, 10, 1])[np.unique(table["batch"], return_inverse=True)[1]]}
    named = TableConditions(["batch"], ["batch"])
    with open_features(rows, conditions=named) as features:
        pass
    assert features.condition_specs[0].categories == ("1", "2", "10")
    with pytest.raises(InputError, match="x has no column label"), open_features(rows, conditions=TableConditions(["label"])):
        pass


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_files_give_the_conditions_that_tables_give(tmp_path, table, suffix):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame(table)
    getattr(frame, f"to_{suffix}")(tmp_path / f"x.{suffix}", index=False)
    with open_features(str(tmp_path / f"x.{suffix}"), conditions=TableConditions(["batch", "age"])) as features:
        read = features.read(0, 600)
    with open_features(frame, conditions=TableConditions(["batch", "age"])) as features:
        assert np.allclose(read, features.read(0, 600), atol=1e-6)
    assert read.shape == (600, 10) and features.width == 6


def test_shards_of_a_header_alone_have_no_conditions(tmp_path):
    for name, text in (("1", "kind,a,b\n"), ("2", "b,kind,a\n2,u,1\n4,v,3\n"), ("3", "a,b,kind\n")):
        (tmp_path / f"x{name}.csv").write_text(text)
    with open_features(str(tmp_path), conditions=TableConditions(["kind"])) as features:
        assert features.columns == ("a", "b")
        assert features.read(0, features.rows).tolist() == [[1, 2, 1, 0], [3, 4, 0, 1]]


def test_rows_without_values_leave_with_their_conditions(table):
    rows = {**table, "f0": np.where(np.arange(600) % 2, table["f0"], np.nan)}
    with open_features(rows, missing="drop", conditions=TableConditions(["batch", "age"])) as features:
        kept = features.read(0, features.rows)
    with open_features(table, conditions=TableConditions(["batch", "age"])) as features:
        whole = features.read(0, 600)
    assert np.array_equal(kept[:, 6:9], whole[1::2, 6:9])


@pytest.mark.parametrize("form", ["table", "csv", "shards"])
def test_rows_left_out_count_in_errors(tmp_path, table, form):
    given = {key: np.array(column[:40]) for key, column in table.items()}
    given["f0"][:10:2] = np.nan
    given["age"][20] = np.inf
    lines = [",".join(map(str, row)).replace("nan", "") for row in zip(*given.values(), strict=True)]
    parts = [lines] if form == "csv" else [lines[:15], lines[15:]]
    for number, part in enumerate(parts if form != "table" else ()):
        (tmp_path / f"x{number}.csv").write_text("\n".join([",".join(given), *part]) + "\n")
    source = given if form == "table" else str(tmp_path)
    opened = open_features(source, missing="drop", conditions=TableConditions(["batch", "age"]))
    with pytest.raises(InputError, match=r"condition age is '?inf'? in row 20:"), opened:
        pass


@pytest.mark.parametrize("form", ["table", "csv", "jsonl", "parquet", "batches"])
def test_rows_without_a_condition_are_missing(tmp_path, table, form):
    """Refused with their row, or left out with their values."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(table).astype({"batch": object})[:40]
    frame.loc[3, "batch"], frame.loc[5, "age"], frame.loc[7, "f1"] = None, None, None
    source = frame if form == "table" else str(tmp_path / f"x.{form}")
    if form == "csv":
        frame.to_csv(source, index=False, na_rep="NA")
        text = (tmp_path / "x.csv").read_text().replace(",NA,", ",,", 1)  # the batch: NA would be a category
        (tmp_path / "x.csv").write_text(text)
    elif form == "jsonl":
        frame.to_json(source, orient="records", lines=True)
    elif form == "parquet":
        frame.to_parquet(source)
    made = (lambda: iter((frame[:4], frame[4:]))) if form == "batches" else lambda: source
    with open_features(made(), missing="drop", conditions=TableConditions(["batch", "age"])) as features:
        assert features.positions is not None and set(range(40)) - set(features.positions.tolist()) == {3, 5, 7}
        assert [spec.categories for spec in features.condition_specs] == [("a", "b", "c"), ()]
    opened = open_features(made(), conditions=TableConditions(["age", "batch"]))
    with pytest.raises(InputError, match=r"condition age has no value in row 5: .*--missing drop"), opened:
        pass


def test_a_condition_that_is_nowhere_is_named(tmp_path, table, run):
    """In words of the verb: evaluate says what was trained with, train that a name may be wrong."""
    lacking = {name: column[:40] for name, column in table.items() if name != "age"}
    lines = [",".join(map(str, row)) for row in zip(*lacking.values(), strict=True)]
    (tmp_path / "x.csv").write_text("\n".join([",".join(lacking), *lines]) + "\n")
    for source in (lacking, str(tmp_path / "x.csv")):
        with pytest.raises(InputError, match=r"no column age, a condition of this run, .*--condition age"):
            evaluate(run, source)
        with pytest.raises(InputError, match=r"no column age, which is named as a condition: .*: check the spelling"):
            train(source, condition=["batch", "age"], **QUICK)


def test_rows_left_out_count_for_other_rows(table, run):
    other = {**table, "f0": np.where(np.arange(600) < 10, np.nan, table["f0"]), "batch": table["batch"].copy()}
    other["batch"][20] = "z"
    conditions = TableConditions(["batch", "age"], specs=run.config.conditions)
    opened = open_features(other, missing="drop", conditions=conditions)
    with pytest.raises(InputError, match="condition batch is 'z' in row 20"), opened:
        pass


def test_other_rows_need_known_categories(table, run):
    other = {**table, "batch": np.array(["a", "z"] * 300)}
    with pytest.raises(InputError, match="condition batch is 'z' in row 1: expected one of a, b, c"):
        evaluate(run, other)
    assert evaluate(run, table).rows == 600


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        ({}, {"condition": ["batch"], "categorical": ["age"]}, "categorical names age, which is no condition"),
        ({"batch": np.array(["a", ""] * 300)}, {"condition": "batch"}, "condition batch has no value in row 1"),
        (
            {"age": np.where(np.arange(600) == 4, np.nan, 1.0)},
            {"condition": ["batch", "age"]},
            "condition age has no value in row 4",
        ),
    ],
)
def test_unusable_conditions_are_refused(table, change, options, words):
    rows = {**table, **change}
    if "age" not in options["condition"]:
        rows.pop("age")
    with pytest.raises(InputError, match=words):
        train(rows, **QUICK, **options)


def test_batches_of_an_iterator_hold_their_conditions(table):
    """Columns of a batch may be in another order, as those of a shard."""
    first = {name: column[:50] for name, column in table.items()}
    parts = [first, *(part_of(table, start, start + 50) for start in range(50, len(table["batch"]), 50))]
    options = QUICK | {"condition": ["batch", "age"], "epochs": 1}
    found, whole = train(iter(parts), **options), train(table, **options)
    assert found.config.conditions == whole.config.conditions
    assert found.config.data_sha256 == whole.config.data_sha256
    assert all(torch.equal(one, other) for one, other in zip(found.model.parameters(), whole.model.parameters(), strict=True))


def test_dates_are_no_categories_by_themselves(table):
    days = [date(2026, 1, 1 + row % 20) for row in range(len(table["batch"]))]
    with pytest.raises(InputError, match=r"condition day holds dates .* --categorical day"):
        train(table | {"day": days}, condition=["day"], drop=["batch", "age"], **QUICK)


def part_of(table, start: int, stop: int) -> dict[str, object]:
    """Some rows of a table, with its columns in another order."""
    return {name: table[name][start:stop] for name in reversed(table)}


@pytest.fixture(scope="module")
def own(table):
    """A model in a loop of one's own, started but not trained, and its run."""
    model = AAPTVAE.for_data(table, condition=["batch", "age"], latent_dim=3, hidden_dim=8)
    return model, Run.of(model, part_of(table, 0, 400), part_of(table, 400, 600), report=False)


def test_a_loop_of_ones_own_has_conditions(own, table, run):
    """The run of the start has the names, the baselines and nearly the figures of `train`."""
    model, made = own
    rows = model.rows_of(part_of(table, 400, 600))
    assert rows.shape == (200, 10)
    loss = model.loss_function(*((made := model(rows))[:1]), rows, *made[1:])
    assert torch.isfinite(loss["loss"])
    config = own[1].config
    assert config.conditions == run.config.conditions and config.columns == tuple(NAMES)
    figures = own[1].figures
    assert figures["r2"]["model"] == pytest.approx(figures["r2"]["PCA"], abs=0.02)
    assert figures["log_likelihood"]["pPCA"] == pytest.approx(run.figures["log_likelihood"]["pPCA"], abs=0.7)


def test_rows_as_numbers_give_the_same_run(own, table):
    model, made = own
    again = Run.of(model, model.rows_of(part_of(table, 0, 400)), model.rows_of(part_of(table, 400, 600)).numpy(), report=False)
    assert again.figures == made.figures


def test_a_loop_of_ones_own_is_exported(own, table, tmp_path):
    model, made = own
    vae = aaptvae.load(export(made, tmp_path / "bundle").path)
    assert vae.conditions == ("batch", "age")
    with torch.no_grad():
        expected = model.eval().encode(model.rows_of(table))[0].numpy()
    assert np.allclose(vae.embed(table), expected, atol=1e-3)


def test_unknown_conditions_of_own_loops_are_refused(own, table):
    model, _ = own
    with pytest.raises(InputError, match="x is an array, whose columns have no names"):
        AAPTVAE.for_data(batches_of()[0], condition=["5"])
    with pytest.raises(InputError, match="the model takes 2 numbers of conditions, whose names are not known"):
        Run.of(AAPTVAE(6, 2, 8, condition_dim=2), table, table)
    with pytest.raises(InputError, match="rows have 6 columns: this model was built for 10"):
        Run.of(model, batches_of()[0], table)
    with pytest.raises(InputError, match="condition batch is 'z' in row 0"):
        model.rows_of({**table, "batch": np.array(["z"] * 600)})
    for width in (6, 7, 11):  # features alone, or other numbers of conditions: the last features are none
        with pytest.raises(
            InputError, match=f"rows have {width} columns: expected 6 features and 4 numbers of their conditions"
        ):
            model(torch.zeros(3, width))


def test_a_refit_keeps_the_conditions(tmp_path, table):
    train(table, condition=["batch", "age"], folder=tmp_path / "run", **(QUICK | {"refit": True, "epochs": 1}))
    assert read_run(tmp_path / "run").model.condition_dim == 4
    assert (tmp_path / "run" / REFIT / PRIOR).exists()


def test_residuals_are_those_of_a_regression():
    """The covariance from products equals that of the rows less their regression, up to the weight of one row."""
    x, batch, age = batches_of()
    c = np.concatenate([np.eye(3)[batch], (age[:, None] - 40) / 10], axis=1)
    rows = np.concatenate([x, c], axis=1).astype(np.float32)
    moments, products = Moments(6), Products(6, 4)
    for part in (rows[:250], rows[250:]):
        moments.add(part[:, :6])
        products.add(part)
    given, statistics = products.regression(moments.statistics(), affine=True)
    residuals = x - given.location(rows)
    assert np.allclose(statistics.covariance, np.cov(residuals.T, bias=True), atol=1e-3)
    assert np.allclose(statistics.variance, np.diag(statistics.covariance))
    best = np.linalg.lstsq(np.c_[np.ones(600), c[:, 1:]], x, rcond=None)[0]
    assert np.abs(residuals - (x - np.c_[np.ones(600), c[:, 1:]] @ best + x.mean(axis=0))).max() < 0.2


def test_a_model_without_conditions_has_the_weights_it_had():
    torch.manual_seed(0)
    model = AAPTVAE(6, 3, 8, linear_skip=True)
    assert not [name for name in model.state_dict() if "regression" in name or "centre" in name]
    rows = torch.randn(5, 6)
    given = AAPTVAE(6, 3, 8, linear_skip=True, condition_dim=2)
    assert given.encode(rows, torch.zeros(5, 2))[0].shape == model.encode(rows)[0].shape
    assert given.decode(torch.zeros(5, 3), torch.zeros(5, 2)).shape == (5, 6)


@pytest.mark.slow
def test_conditional_digits_are_named_rightly(tmp_path):
    """95 % of samples are named by a classifier of real digits; p(x | c) is higher than a plain model's p(x)."""
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    svm = pytest.importorskip("sklearn.svm")
    x, label = datasets.load_digits(return_X_y=True)
    pixels = {f"p{index}": x[:, index] for index in range(64)}
    options = {"latent_dim": 16, "hidden_dim": [128], "epochs": 20, "refit": False, "report": False, "similarity": "off"}
    run = train(pixels | {"label": label}, condition=["label"], categorical=["label"], **options)
    plain = train(pixels, **options)
    assert run.figures["log_likelihood"]["model"] > plain.figures["log_likelihood"]["model"] + 1
    vae, asked = aaptvae.load(export(run, tmp_path / "digits").path), np.repeat(np.arange(10), 100)
    drawn = vae.sample(len(asked), seed=0, condition={"label": asked})
    assert (svm.SVC(C=10).fit(x, label).predict(drawn) == asked).mean() > 0.95


def test_figures_of_each_category(run, table):
    figures = evaluate(run, table).by_category
    assert [(each.condition, each.category) for each in figures] == [("batch", "a"), ("batch", "b"), ("batch", "c")]
    assert sum(each.rows for each in figures) == 600
    mean = sum(each.rows * each.elbo for each in figures) / 600
    assert mean == pytest.approx(evaluate(run, table).metrics["elbo"], abs=1e-3)


@pytest.mark.slow
def test_a_report_of_a_conditional_run(tmp_path, table):
    """Every plot is drawn, pictures by category included."""
    train(
        table,
        condition=["batch", "age"],
        folder=tmp_path / "run",
        image_shape=(2, 3),
        **(QUICK | {"report": True, "epochs": 1}),
    )
    page = (tmp_path / "run" / "report.html").read_text()
    assert "every figure is given batch, age" in page and "<th>batch a</th>" in page


def test_training_on_the_command_line(tmp_path, table):
    """Names between commas, conditions from a csv; the sample is the library's."""
    lines = [",".join(table), *(",".join(map(str, row)) for row in zip(*table.values(), strict=True))]
    (tmp_path / "x.csv").write_text("\n".join(lines) + "\n")
    run = CliRunner().invoke
    flags = ["--latent-dim", "3", "--hidden-dim", "8", "--epochs", "1", "--no-refit", "--no-report", "--device", "cpu"]
    done = run(verb, [str(tmp_path / "x.csv"), "-o", str(tmp_path / "run"), "--condition", "batch,age", *flags])
    assert done.exit_code == 0, done.output
    assert [spec.name for spec in read_run(tmp_path / "run").config.conditions] == ["batch", "age"]
    again = run(verb, [str(tmp_path / "x.csv"), "-o", str(tmp_path / "two"), "--condition", "sex", *flags])
    assert "has no column sex" in str(again.exception)
