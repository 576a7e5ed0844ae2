"""Fair timing on a machine that others use too: rivals take turns, and a ratio compares what ran side by side."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Rival = Callable[[], object]


@dataclass(frozen=True)
class Times:
    """Seconds of each round; rounds of all rivals of a race belong together."""

    seconds: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def best(self) -> float:
        return min(self.seconds)

    def times_faster_than(self, other: "Times") -> float:
        """Median over the rounds of how much longer `other` took."""
        return statistics.median(b / a for a, b in zip(self.seconds, other.seconds, strict=True))

    def best_faster_than(self, other: "Times") -> float:
        """The same of the fastest round of each: what a quiet machine would say."""
        return other.best / self.best


def race(rivals: Mapping[str, Rival], rounds: int, calls: int = 1) -> dict[str, Times]:
    """Each rival `calls` times in a row, all of them in each of the rounds, starting with another one every time."""
    names = list(rivals)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for rival in rivals.values():
        rival()
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            rival = rivals[name]
            start = time.perf_counter()
            for _ in range(calls):
                rival()
            seconds[name].append((time.perf_counter() - start) / calls)
    return {name: Times(values) for name, values in seconds.items()}
