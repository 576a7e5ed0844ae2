"""Vectors for search: recall of true neighbours, the metric view of latents, and the similarity head with its training."""

from .head import SimilarityHead
from .metric import MetricMap
from .recall import NEIGHBOURS, Geometry, geometry_of, recall_at
from .views import Chosen, Search, apply_head, project
