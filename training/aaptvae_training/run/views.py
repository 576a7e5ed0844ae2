"""The views of a run on disk: `metric.safetensors` and, where one was trained, `similarity.safetensors`."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import msgspec
import torch

from ..similarity import Chosen, Geometry, MetricMap, SimilarityHead
from .layout import METRIC, SIMILARITY
from .state import damaged, load_into, read_state, write_state


@dataclass(frozen=True)
class RunViews:
    """A run's metric map and similarity head (None where none was trained), in which geometry, and how they were chosen."""

    geometry: Geometry
    metric: MetricMap
    metric_choice: Chosen
    head: SimilarityHead | None = None
    head_choice: Chosen | None = None


def write_views(run: Path, views: RunViews) -> None:
    """Keep the views of a run; a head of an earlier finish is removed where there is none now."""
    write_state(run / METRIC, vars(views.metric), _facts(views.geometry, views.metric_choice))
    if views.head is None or views.head_choice is None:
        (run / SIMILARITY).unlink(missing_ok=True)
    else:
        write_state(run / SIMILARITY, views.head.state_dict(), _facts(views.geometry, views.head_choice))


def read_views(run: Path, input_dim: int, latent_dim: int) -> RunViews | None:
    """The views of a run; None for one that was trained before there were any. `RunError` for damaged files."""
    if not (run / METRIC).exists():
        return None
    tensors, facts = read_state(run / METRIC)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if shapes != {"matrix": (latent_dim, latent_dim), "offset": (latent_dim,)}:
        raise damaged(run / METRIC, f"it holds {shapes}, expected matrix and offset of {latent_dim} latents")
    arrays = {name: tensor.double().numpy() for name, tensor in tensors.items()}
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        raise damaged(run / METRIC, "it is not finite")
    geometry, choice = _read_facts(run / METRIC, facts)
    head, head_choice = _read_head(run / SIMILARITY, input_dim) if (run / SIMILARITY).exists() else (None, None)
    return RunViews(geometry, MetricMap(**arrays), choice, head, head_choice)


def _read_head(path: Path, input_dim: int) -> tuple[SimilarityHead, Chosen]:
    tensors, facts = read_state(path)
    widths = [
        len(tensors[name]) if name in tensors and tensors[name].ndim == 2 else 0 for name in ("linear.weight", "hidden.weight")
    ]
    if not widths[0]:
        raise damaged(path, "it holds no linear map")
    head = SimilarityHead(input_dim, *widths)
    load_into(head, tensors, path)
    return head.eval(), _read_facts(path, facts)[1]


def _facts(geometry: Geometry, choice: Chosen) -> dict[str, Any]:
    return {"geometry": geometry, **asdict(choice)}


def _read_facts(path: Path, facts: dict[str, Any]) -> tuple[Geometry, Chosen]:
    geometry = facts.pop("geometry", None)
    if geometry not in get_args(Geometry):
        raise damaged(path, f"its geometry is {geometry!r}")
    try:
        return geometry, msgspec.convert(facts, Chosen)
    except msgspec.ValidationError as error:
        raise damaged(path, error) from None
