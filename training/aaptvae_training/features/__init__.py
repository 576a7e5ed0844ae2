"""A feature table on disk: reading it block by block, splitting its rows, and the statistics of its columns."""

from .copies import RowKeys
from .moments import Moments, Statistics, first_bad_value
from .prepare import SAMPLE_ROWS, Mask, Prepared, column_scale, constant_columns, digest_of, everything, prepare_features
from .rounding import sentence
from .row_numbers import row_numbers
from .split import FEW_ROWS, LEAST_ROWS, Index, Split, split_rows
from .table import Features, open_features, rows_within

__all__ = [
    "FEW_ROWS",
    "LEAST_ROWS",
    "SAMPLE_ROWS",
    "Features",
    "Index",
    "Mask",
    "Moments",
    "Prepared",
    "RowKeys",
    "Split",
    "Statistics",
    "column_scale",
    "constant_columns",
    "digest_of",
    "everything",
    "first_bad_value",
    "open_features",
    "prepare_features",
    "row_numbers",
    "rows_within",
    "sentence",
    "split_rows",
]
