"""What training refuses on purpose, beside the runtime's own errors."""

from aaptvae.errors import AaptvaeError


class RunError(AaptvaeError, ValueError):
    """A run folder that cannot be used, or a training that cannot go on."""
