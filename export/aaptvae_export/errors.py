"""What export refuses on purpose, beside the runtime's own errors."""

from aaptvae.errors import AaptvaeError


class ExportError(AaptvaeError, ValueError):
    """An export that did not pass its own gate; nothing was published."""
