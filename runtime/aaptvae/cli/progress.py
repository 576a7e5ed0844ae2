"""One line on stderr: how far a job is, how fast, how long it will take. Nothing unless a person watches."""

import sys
import time
from types import TracebackType
from typing import Self


class Progress:
    """Counts rows of a job of `total` (None: not known), `done` of which an earlier run did."""

    def __init__(self, verb: str, total: int | None, done: int = 0, unit: str = "rows") -> None:
        self._unit = unit
        self._verb, self._total, self._done, self._before = verb, total, done, done
        self._begun = self._shown = time.monotonic()
        self._watched = sys.stderr is not None and sys.stderr.isatty()

    def advance(self, rows: int) -> None:
        """Count `rows` more and show them, ten times a second at most."""
        self._done += rows
        now = time.monotonic()
        if self._watched and now - self._shown >= 0.1:
            self._shown = now
            sys.stderr.write(f"\r\x1b[K{self._line(now - self._begun)}")
            sys.stderr.flush()

    def _line(self, seconds: float) -> str:
        rate = (self._done - self._before) / max(seconds, 1e-9)
        line = f"{self._verb} {self._done:,} {self._unit}, {rate:,.0f} {self._unit}/s"
        if self._total:
            left = int((self._total - self._done) / max(rate, 1e-9))
            line += f", {100 * self._done / self._total:.0f}%, {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left"
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._watched:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
