"""Errors of training, beside those of the runtime."""

from aaptvae.errors import AaptvaeError


class RunError(AaptvaeError, ValueError):
    """A run folder that cannot be used, or a training that cannot go on."""
