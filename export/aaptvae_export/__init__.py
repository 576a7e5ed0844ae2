"""Export a trained run as a bundle: ONNX graphs, and the record of their comparison with the trained model."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .bundle.publish import Export, export, export_bundle
    from .errors import ExportError
    from .options import ExportOptions

__all__ = ["Export", "ExportError", "ExportOptions", "export", "export_bundle"]

_HOMES = {
    "Export": "bundle.publish",
    "ExportError": "errors",
    "ExportOptions": "options",
    "export": "bundle.publish",
    "export_bundle": "bundle.publish",
}


def __getattr__(name: str) -> object:
    # Imported on first use: the command line lists its commands without importing torch.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
