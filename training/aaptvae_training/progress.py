"""Callbacks that a training calls while it works. The command line and tests override them."""


class TrainingProgress:
    """Receives the progress of a training; every method does nothing unless a subclass overrides it."""

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """A stage of `total` units begins; an earlier run did `done` of them."""

    def advance(self, units: int) -> None:
        """`units` more of the current stage are done."""

    def epoch(self, figures: dict[str, float]) -> None:
        """An epoch ended with these figures."""

    def note(self, text: str) -> None:
        """Something that the user should know, in one line."""

    def close(self) -> None:
        """The training ended, or failed."""
