"""Export a trained run as a bundle of ONNX graphs that carries its own proof: run in, bundle out."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .bundle.draft import ExportOptions
    from .bundle.publish import Export, export_bundle
    from .errors import ExportError

__all__ = ["Export", "ExportError", "ExportOptions", "export_bundle"]

_HOMES = {
    "Export": "bundle.publish",
    "ExportError": "errors",
    "ExportOptions": "bundle.draft",
    "export_bundle": "bundle.publish",
}


def __getattr__(name: str) -> object:
    # Lazy, so that the command line can name its verbs without importing torch.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
