"""Every error that aaptvae raises on purpose. A message says what came, what was expected and what to do."""


class AaptvaeError(Exception):
    """Base of every error raised on purpose; the command line prints it as one line and exits 1."""


class InputError(AaptvaeError, ValueError):
    """Features, latents, options or files that cannot be used as given."""


class BundleError(AaptvaeError, ValueError):
    """A bundle that is missing, damaged, inconsistent, hostile or newer than this package."""


class ProviderError(AaptvaeError, RuntimeError):
    """An execution provider that was asked for and is not active."""


class MissingDependencyError(AaptvaeError, ImportError):
    """A package that a verb or a file format needs is not installed."""
