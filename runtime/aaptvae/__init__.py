"""AAPT-VAE: encode, decode and sample with a trained variational autoencoder, on numpy and onnxruntime alone.

Names are imported on first use, so that `import aaptvae` loads neither numpy nor onnxruntime.
"""

from typing import TYPE_CHECKING

from .errors import AaptvaeError, BundleError, InputError, MissingDependencyError, ProviderError

if TYPE_CHECKING:
    from .vae import VAE as VAE
    from .vae import load as load

    __version__: str

__all__ = ["VAE", "AaptvaeError", "BundleError", "InputError", "MissingDependencyError", "ProviderError", "__version__", "load"]


def __getattr__(name: str) -> object:
    if name in ("VAE", "load"):
        from . import vae  # noqa: PLC0415 (numpy is not needed before the first bundle)

        globals().update(VAE=vae.VAE, load=vae.load)
    elif name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 (slow, and rarely asked for)

        globals()["__version__"] = version("aaptvae")
    else:
        raise AttributeError(f"module 'aaptvae' has no attribute {name!r}")
    return globals()[name]


def __dir__() -> list[str]:
    return __all__
