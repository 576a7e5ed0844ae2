"""Errors of the export, beside the runtime's."""

from aaptvae.errors import AaptvaeError


class ExportError(AaptvaeError, ValueError):
    """The run cannot be exported, or a graph failed a check; nothing was published."""
