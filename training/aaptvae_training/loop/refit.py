"""The last training of a run, on all rows, for the number of epochs that was best on validation rows before."""

from typing import Any

from .trainer import Trainer


class Refit(Trainer):
    """Trains `until` epochs at the rates of a whole run, also on validation rows, and keeps the last weights."""

    def __init__(self, *arguments: Any, until: int) -> None:
        super().__init__(*arguments)
        self.until = until

    def validate(self, figures: dict[str, float]) -> None:
        """Record the figures, which set the weight of squared error, and keep the current weights without comparing them."""
        super().validate(figures)
        if self.progress.epoch or not self.best:
            self.progress.best_epoch = self.progress.epoch
            self.best = {name: tensor.clone() for name, tensor in self.average.state_dict().items()}
        self.progress.done = self.progress.epoch >= self.until

    def out_of_patience(self) -> bool:
        """Whether all epochs are done."""
        return self.progress.epoch >= self.until
