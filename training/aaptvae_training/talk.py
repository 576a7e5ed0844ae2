"""What training tells while it works. The command line and tests listen; a library call need not."""


class Talk:
    """What training tells while it works; silent unless a front end overrides it."""

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """A stage of `total` units begins, `done` of which an earlier run did."""

    def advance(self, units: int) -> None:
        """That many units more are done."""

    def epoch(self, figures: dict[str, float]) -> None:
        """An epoch ended with these figures."""
