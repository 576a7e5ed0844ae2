"""Vectors for search: recall of true neighbours, the metric view of latents, and the similarity head with its training."""

from .head import SimilarityHead, starting_head
from .metric import MetricMap, metric_maps
from .recall import NEIGHBOURS, Geometry, geometry_of, recall_at
from .views import HEADS, Chosen, HeadFit, Search, apply_head, choose_head, choose_metric, head_steps, project

__all__ = [
    "HEADS",
    "NEIGHBOURS",
    "Chosen",
    "Geometry",
    "HeadFit",
    "MetricMap",
    "Search",
    "SimilarityHead",
    "apply_head",
    "choose_head",
    "choose_metric",
    "geometry_of",
    "head_steps",
    "metric_maps",
    "project",
    "recall_at",
    "starting_head",
]
