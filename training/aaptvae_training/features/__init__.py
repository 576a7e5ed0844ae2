"""A feature table on disk: reading it block by block, splitting its rows, and the statistics of its columns."""

from .conditions import TableConditions
from .copies import RowKeys
from .kinds import ColumnFacts, Finding, findings
from .moments import FEW_COLUMNS, MOST_COVARIANCE_COLUMNS, Moments, Statistics, first_bad_value, wants_covariance
from .opening import open_features
from .prepare import (
    LARGEST,
    SAMPLE_ROWS,
    Mask,
    Prepared,
    check_probabilities,
    column_scale,
    constant_columns,
    digest_of,
    everything,
    prepare_features,
    with_capped_scale,
    without,
)
from .regression import Regression
from .rounding import sentence
from .row_numbers import row_numbers
from .split import FEW_ROWS, LEAST_ROWS, Index, Split, held_out_counts
from .table import BLOCK_NUMBERS, BLOCK_ROWS, Features, rows_within
