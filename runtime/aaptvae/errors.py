"""Errors that aaptvae raises on purpose; each message names the value, the expectation and a remedy."""


class AaptvaeError(Exception):
    """Base of every error raised on purpose; the command line prints it as one line and exits 1."""


class InputError(AaptvaeError, ValueError):
    """Features, latents, options or files that cannot be used as given."""


class BundleError(AaptvaeError, ValueError):
    """A bundle that is missing, damaged, inconsistent, hostile or newer than this package."""


class ProviderError(AaptvaeError, RuntimeError):
    """A requested execution provider is not active."""


class MissingDependencyError(AaptvaeError, ImportError):
    """A package that a verb or a file format needs is not installed."""


def refuse_address(path: str, expected: str) -> None:
    """Raise `InputError` for an address such as s3://bucket/x.npy in place of a path; `expected` says what to give."""
    scheme, mark, _ = path.partition("://")
    if mark and len(scheme) > 1 and scheme.replace("+", "").isalnum():
        raise InputError(f"{path} is an address, not a path: {expected}")
