"""The views of a trained model, fitted to training rows and chosen by validation rows."""

from dataclasses import replace

import numpy as np

from aaptvae.rows import Rows

from ..config import TrainConfig
from ..features.prepare import Prepared
from ..features.table import Features
from ..linear.baseline import Baseline
from ..model.network import AAPTVAE
from ..progress import TrainingProgress
from ..run.views import RunViews
from ..similarity.metric import metric_maps
from ..similarity.recall import geometry_of, has_equal_norms
from ..similarity.views import HEADS, HeadFit, Search, choose_head, choose_metric, head_steps

MOST_ROWS = 50_000  # training rows that views are fitted to
MOST_VALUES = 1 << 23  # and their numbers


def fit_views(
    model: AAPTVAE,
    config: TrainConfig,
    data: tuple[Prepared, Features, Baseline],
    progress: TrainingProgress,
    judged: RunViews | None = None,
) -> RunViews:
    """The metric map and the similarity head; the same for the same run and seed.

    The head is trained where that is wanted, else it is PCA, so that a view that finds as many neighbours as PCA is always
    there. In a refit, validation rows are training rows and cannot choose: the choices made for the `judged` model are kept.
    """
    prepared, features, baseline = data
    train = prepared.split.train
    count = max(1, min(len(train), MOST_ROWS, MOST_VALUES // features.width))
    rows = features.take(train[np.linspace(0, len(train) - 1, count).astype(np.int64)])
    geometry = geometry_of(prepared.train_sample) if judged is None else judged.geometry
    fit = HeadFit(baseline, geometry, config.similarity_dim or config.latent_dim, config.seed)
    progress.stage("metric view", 1)
    if judged is not None:
        return _fitted_again(model, rows, fit, judged, progress)
    search = Search.of(prepared.validation, rows, geometry, baseline)
    chosen = choose_metric(model, rows, search)
    progress.advance(1)
    if config.similarity == "off":
        return RunViews(geometry, *chosen)
    methods = tuple(HEADS) if config.similarity == "on" or has_equal_norms(prepared.train_sample) else ()
    progress.stage("similarity view", head_steps(count, methods))
    return RunViews(geometry, *chosen, *choose_head(rows, search, fit, progress.advance, methods))


def _fitted_again(model: AAPTVAE, rows: Rows, fit: HeadFit, judged: RunViews, progress: TrainingProgress) -> RunViews:
    """Views of the chosen kinds, fitted to other rows [N, D] and their model."""
    metric = metric_maps(model, rows, judged.geometry)[judged.metric_choice.method]
    progress.advance(1)
    head = judged.head
    if judged.head_choice is not None:
        method = judged.head_choice.method
        progress.stage("similarity view", head_steps(len(rows), [method]))
        head = fit.head(method, rows, progress.advance)
    return replace(judged, metric=metric, head=head)
