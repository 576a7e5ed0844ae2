"""Train variational autoencoders on feature vectors with torch: features in, a run folder out."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .errors import RunError
    from .evaluate_run import evaluate
    from .model.network import AAPTVAE
    from .model.scaler import FeatureScaler
    from .progress import TrainingProgress
    from .run.folder import Run, load_run, read_run
    from .train_table import train

__all__ = ["AAPTVAE", "FeatureScaler", "Run", "RunError", "TrainingProgress", "evaluate", "load_run", "read_run", "train"]

_HOMES = {
    "AAPTVAE": "model.network",
    "FeatureScaler": "model.scaler",
    "Run": "run.folder",
    "RunError": "errors",
    "TrainingProgress": "progress",
    "evaluate": "evaluate_run",
    "load_run": "run.folder",
    "read_run": "run.folder",
    "train": "train_table",
}


def __getattr__(name: str) -> object:
    # Lazy, so that the command line can name its verbs without importing torch.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
