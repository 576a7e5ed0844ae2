"""The run folder: file names, configuration, figures, weights and resumable state."""

from .folder import (
    Evaluation,
    Run,
    RunConfig,
    build_model,
    is_unfinished,
    load_run,
    read_baseline,
    read_config,
    read_evaluation,
    read_held_out,
    read_prior,
    read_run,
    write_baseline,
    write_held_out,
    write_json,
    write_prior,
)
from .layout import BEST, CONFIG, EVALUATION, LAST, METRICS, REPORT, RUN
from .shown import TemporaryFolder
from .state import damaged, read_metrics, read_state, write_metrics, write_state
from .views import RunViews, read_views, write_views

__all__ = [
    "BEST",
    "CONFIG",
    "EVALUATION",
    "LAST",
    "METRICS",
    "REPORT",
    "RUN",
    "Evaluation",
    "Run",
    "RunConfig",
    "RunViews",
    "TemporaryFolder",
    "build_model",
    "damaged",
    "is_unfinished",
    "load_run",
    "read_baseline",
    "read_config",
    "read_evaluation",
    "read_held_out",
    "read_metrics",
    "read_prior",
    "read_run",
    "read_state",
    "read_views",
    "write_baseline",
    "write_held_out",
    "write_json",
    "write_metrics",
    "write_prior",
    "write_state",
    "write_views",
]
