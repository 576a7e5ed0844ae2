"""The maps of columns from samples to observed values, on disk: `marginals.safetensors`."""

from pathlib import Path

from aaptvae.density.marginals import ARRAYS, Marginals
from aaptvae.errors import BundleError

from .layout import MARGINALS
from .state import damaged, read_arrays, write_state


def write_marginals(folder: Path, marginals: Marginals | None) -> None:
    """Keep the maps of a run; those of an earlier finish are removed where there are none now."""
    if marginals is None:
        (folder / MARGINALS).unlink(missing_ok=True)
    else:
        write_state(folder / MARGINALS, marginals.to_arrays())


def read_marginals(folder: Path, width: int) -> Marginals | None:
    """The maps of a run; None for one without them. `RunError` for a damaged file."""
    if not (folder / MARGINALS).exists():
        return None
    arrays = read_arrays(folder / MARGINALS, {"counts": (width,), "rules": (width,), "quantiles": (None,), "values": (None,)})
    try:
        return Marginals.from_arrays({name: arrays[name] for name in ARRAYS})
    except BundleError as error:
        raise damaged(folder / MARGINALS, error) from None
