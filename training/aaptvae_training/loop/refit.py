"""The training that ends a run on all rows: as many epochs as the judged one found best, and nothing left to choose."""

from typing import Any

from .trainer import Trainer


class Refit(Trainer):
    """Trains for `until` epochs at the rates of a whole run and keeps the last weights; validation rows train too."""

    def __init__(self, *arguments: Any, until: int) -> None:
        super().__init__(*arguments)
        self.until = until

    def validate(self, figures: dict[str, float]) -> None:
        """Record the figures, which steer the weight of squared error, and keep these weights, whatever they are worth."""
        super().validate(figures)
        if self.progress.epoch or not self.best:
            self.progress.best_epoch = self.progress.epoch
            self.best = {name: tensor.clone() for name, tensor in self.average.state_dict().items()}
        self.progress.done = self.progress.epoch >= self.until

    def out_of_patience(self) -> bool:
        """Whether all epochs are done."""
        return self.progress.epoch >= self.until
