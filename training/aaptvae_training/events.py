"""TensorBoard event files; needs the optional package tensorboard."""

from pathlib import Path
from typing import Any

from aaptvae.errors import InputError, MissingDependencyError


def open_events(folder: Path) -> Any:
    """A `torch.utils.tensorboard.SummaryWriter` into a folder; `MissingDependencyError` without tensorboard."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: give --tensorboard a folder")
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - optional, and slow
    except ImportError as error:
        missing = error.name or "tensorboard"
        wanted = "torch" if missing.partition(".")[0] == "torch" else "tensorboard"
        raise MissingDependencyError(f"--tensorboard needs {missing}, which is not installed: pip install {wanted}") from None
    try:
        return SummaryWriter(str(folder))
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror}: name a folder that you may write") from None
