"""The last training of a run, on all rows, for the number of epochs that was best on validation rows before."""

from typing import Any

from ..progress import TrainingProgress
from .trainer import Trainer


class Refit(Trainer):
    """Trains `until` epochs at the rates of a whole run, also on validation rows, and keeps the last weights.

    No held-out rows are left to judge them. One check remains: the last weights of a bounded network are not kept if their
    ELBO is below that of the linear start even on rows that they were trained on.
    """

    def __init__(self, *arguments: Any, until: int) -> None:
        super().__init__(*arguments)
        self.until = until

    def validate(self, figures: dict[str, float]) -> None:
        """Record the figures, which set the weight of squared error; after the last epoch, keep the current weights."""
        super().validate(figures)
        state = self.state
        state.done = state.epoch >= self.until
        start, *_, last = (line["validation_elbo"] for line in (state.history[0], state.history[-1]))
        kept = state.done and state.epoch and (self.linear is None or last >= start)
        if kept or not self.best:
            state.best_epoch = state.epoch
            self.best = {name: tensor.clone() for name, tensor in self.average.state_dict().items()}

    def show_epoch(self, progress: TrainingProgress) -> None:
        """Nothing: its figures are of rows that it was trained on."""

    def stops_early(self) -> bool:
        """Whether all epochs are done."""
        return self.state.epoch >= self.until
