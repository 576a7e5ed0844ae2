"""The views of a trained model, fitted to training rows and chosen by validation rows."""

from dataclasses import replace

import numpy as np

from ..config import TrainConfig
from ..features.prepare import Prepared
from ..features.table import Features
from ..linear.baseline import Baseline
from ..model.network import AAPTVAE
from ..progress import TrainingProgress
from ..run.views import RunViews
from ..similarity.metric import metric_maps
from ..similarity.recall import geometry_of
from ..similarity.views import Search, choose_head, choose_metric, head_steps

MOST_ROWS = 50_000  # training rows that views are fitted to
MOST_VALUES = 1 << 23  # and their numbers


def fit_views(
    model: AAPTVAE,
    config: TrainConfig,
    data: tuple[Prepared, Features, Baseline],
    progress: TrainingProgress,
    judged: RunViews | None = None,
) -> RunViews:
    """The metric map and, where it is wanted, the similarity head; the same for the same run and seed.

    In a refit, validation rows are training rows and cannot choose: the choices and the head of the `judged` model are kept.
    """
    prepared, features, baseline = data
    train = prepared.split.train
    count = max(1, min(len(train), MOST_ROWS, MOST_VALUES // features.width))
    rows = features.take(train[np.linspace(0, len(train) - 1, count).astype(np.int64)])
    geometry = geometry_of(prepared.train_sample)
    progress.stage("metric view", 1)
    if judged is not None:
        metric = metric_maps(model, rows, judged.geometry)[judged.metric_choice.method]
        progress.advance(1)
        return replace(judged, metric=metric)
    search = Search.of(prepared.validation, rows, geometry, baseline)
    chosen = choose_metric(model, rows, search)
    progress.advance(1)
    wanted = config.similarity == "on" or (config.similarity == "auto" and geometry == "cosine")
    if not wanted:
        return RunViews(geometry, *chosen)
    progress.stage("similarity head", head_steps(count))
    head = choose_head(rows, search, config.similarity_dim or config.latent_dim, config.seed, progress.advance)
    return RunViews(geometry, *chosen, *head)
