"""Timing on a machine with other load: candidates run alternately, and a ratio compares neighbouring runs.

Processor time is taken beside the clock's: it does not count what other programs took away.
"""

import resource
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Rival = Callable[[], object]


@dataclass(frozen=True)
class Times:
    """Seconds of each round; rounds of all rivals of a race belong together."""

    seconds: list[float]
    processor: list[float]  # of this process and its children, all threads

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

    def cheaper_than(self, other: "Times") -> float:
        """Median over the rounds of how much more processor time `other` took."""
        return statistics.median(b / a for a, b in zip(self.processor, other.processor, strict=True))


def processor_time() -> float:
    """Seconds of all processors that this process and its finished children have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def race(rivals: Mapping[str, Rival], rounds: int, calls: int = 1) -> dict[str, Times]:
    """Each rival `calls` times in a row, all of them in each of the rounds, starting with another one every time."""
    names = list(rivals)
    times = {name: Times([], []) for name in names}
    for rival in rivals.values():
        rival()
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            rival = rivals[name]
            start, used = time.perf_counter(), processor_time()
            for _ in range(calls):
                rival()
            times[name].seconds.append((time.perf_counter() - start) / calls)
            times[name].processor.append(max(processor_time() - used, 1e-9) / calls)
    return times
