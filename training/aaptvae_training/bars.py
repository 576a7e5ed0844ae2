"""Progress of a training as bars of tqdm, which notebooks and terminals draw. tqdm is optional and imported here only."""

import sys
from typing import Any

from aaptvae.errors import MissingDependencyError

from .progress import TrainingProgress


class Bars(TrainingProgress):
    """One bar for each stage; notes are lines between them."""

    def __init__(self) -> None:
        self._tqdm = _tqdm()
        self._bar: Any = None

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """A new bar of `total` units, `done` of which are done."""
        self.close()
        self._bar = self._tqdm(total=total, initial=done, desc=name, unit="row" if name == "reading" else "step", leave=False)

    def advance(self, units: int) -> None:
        """Move the bar by `units`."""
        if self._bar is not None:
            self._bar.update(units)

    def epoch(self, figures: dict[str, float]) -> None:
        """Show the validation ELBO beside the bar."""
        if self._bar is not None:
            self._bar.set_postfix_str(f"validation ELBO {figures['validation_elbo']:.2f}")

    def note(self, text: str) -> None:
        """A line that stays."""
        self._tqdm.write(text, file=sys.stderr)

    def close(self) -> None:
        """Remove the bar of the stage that ended."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def bars_of(progress: TrainingProgress | bool | None) -> TrainingProgress:
    """`progress` itself; bars for True, and for None in a notebook that has tqdm; else nothing is shown."""
    if isinstance(progress, TrainingProgress):
        return progress
    if progress or (progress is None and _in_notebook()):
        return Bars()
    return TrainingProgress()


def _in_notebook() -> bool:
    """Whether a Jupyter kernel runs this code and tqdm is installed."""
    from importlib.util import find_spec  # noqa: PLC0415

    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell" and find_spec("tqdm") is not None


def _tqdm() -> Any:
    try:
        from tqdm.auto import tqdm  # noqa: PLC0415
    except ImportError:
        raise MissingDependencyError(
            "progress=True needs tqdm, which is not installed: pip install tqdm, or pass a TrainingProgress of your own"
        ) from None
    return tqdm
