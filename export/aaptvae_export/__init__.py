"""Export a trained run as a bundle of ONNX graphs that carries its own proof: run in, bundle out."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .errors import ExportError
    from .exporter import Export, ExportOptions, export_bundle

__all__ = ["Export", "ExportError", "ExportOptions", "export_bundle"]


def __getattr__(name: str) -> object:
    # Lazy, so that the command line can name its verbs without importing torch.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(".errors" if name == "ExportError" else ".exporter", __name__), name)
