"""The last training of a run, on all rows, for the number of epochs that was best on validation rows before."""

from typing import Any

from .trainer import Trainer


class Refit(Trainer):
    """Trains `until` epochs at the rates of a whole run, also on validation rows, and keeps the last weights.

    No rows are left to judge them. Last weights of a bounded network that are worse than its linear start on rows that they
    were trained on are not kept all the same.
    """

    def __init__(self, *arguments: Any, until: int) -> None:
        super().__init__(*arguments)
        self.until = until

    def validate(self, figures: dict[str, float]) -> None:
        """Record the figures, which set the weight of squared error; after the last epoch, keep the current weights."""
        super().validate(figures)
        progress = self.progress
        progress.done = progress.epoch >= self.until
        start, *_, last = (line["validation_elbo"] for line in (progress.history[0], progress.history[-1]))
        kept = progress.done and progress.epoch and (self.linear is None or last >= start)
        if kept or not self.best:
            progress.best_epoch = progress.epoch
            self.best = {name: tensor.clone() for name, tensor in self.average.state_dict().items()}

    def out_of_patience(self) -> bool:
        """Whether all epochs are done."""
        return self.progress.epoch >= self.until
