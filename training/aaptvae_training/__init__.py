"""Train variational autoencoders on feature vectors with torch: features in, a run folder out."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .errors import RunError
    from .model import AAPTVAE
    from .run import Run, load_run, read_run
    from .scaler import FeatureScaler

__all__ = ["AAPTVAE", "FeatureScaler", "Run", "RunError", "load_run", "read_run"]

_HOMES = {
    "AAPTVAE": "model",
    "FeatureScaler": "scaler",
    "Run": "run",
    "RunError": "errors",
    "load_run": "run",
    "read_run": "run",
}


def __getattr__(name: str) -> object:
    # Lazy, so that the command line can name its verbs without importing torch.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
