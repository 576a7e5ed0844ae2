"""Export a trained run as a bundle of ONNX graphs that carries its own proof: run in, bundle out."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .draft import ExportOptions
    from .errors import ExportError
    from .exporter import Export, export_bundle

__all__ = ["Export", "ExportError", "ExportOptions", "export_bundle"]

_HOMES = {"Export": "exporter", "ExportError": "errors", "ExportOptions": "draft", "export_bundle": "exporter"}


def __getattr__(name: str) -> object:
    # Lazy, so that the command line can name its verbs without importing torch.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
