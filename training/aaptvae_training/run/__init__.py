"""The run folder: file names, configuration, figures, weights and resumable state."""

from .folder import Run, build_model, final_folder, load_model, read_baseline, read_prior, read_run, write_baseline, write_prior
from .held_out import HeldOutRows, RowId, read_held_out, write_held_out
from .json_files import (
    Evaluation,
    RowFigures,
    RunConfig,
    check_folder,
    is_empty,
    read_config,
    read_evaluation,
    write_json,
)
from .layout import BEST, CONFIG, EVALUATION, LAST, METRICS, REFIT, REPORT, RUN
from .marginals import read_marginals, write_marginals
from .state import damaged, read_metrics, read_state, write_metrics, write_state
from .temporary import TemporaryFolder
from .views import RunViews, read_views, write_views
