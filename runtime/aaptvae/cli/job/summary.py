"""Mean, standard deviation and range of columns, updated batch by batch."""

from collections.abc import Sequence

import msgspec
import numpy as np

from ...rows import Array


class Summary:
    """Statistics of the named columns of all rows added, in constant memory."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns, self._rows = columns, 0
        self._mean, self._squares = np.zeros((2, len(columns)))
        self._low, self._high = np.full(len(columns), np.inf), np.full(len(columns), -np.inf)

    def add(self, rows: Array) -> None:
        """Take in a batch [n, columns] (Chan et al. 1979: pairwise update of mean and squares)."""
        if not len(rows):
            return
        mean, total = rows.mean(axis=0), self._rows + len(rows)
        apart = mean - self._mean
        self._squares += ((rows - mean) ** 2).sum(axis=0) + apart**2 * self._rows * len(rows) / total
        self._mean += apart * len(rows) / total
        self._rows = total
        self._low, self._high = np.minimum(self._low, rows.min(axis=0)), np.maximum(self._high, rows.max(axis=0))

    def figures(self) -> dict[str, dict[str, float] | int]:
        """Rows, then mean, std, min and max by column."""
        std = np.sqrt(self._squares / max(self._rows, 1))
        table = np.stack([self._mean, std, self._low, self._high], axis=1).tolist() if self._rows else []
        named = (dict(zip(("mean", "std", "min", "max"), line, strict=True)) for line in table)
        return {"rows": self._rows, **dict(zip(self._columns, named, strict=False))}

    def text(self, as_json: bool) -> str:
        """The figures as JSON or as a table."""
        figures = self.figures()
        if as_json:
            return msgspec.json.encode(figures).decode()
        lines = [f"{self._rows} rows" + " " * 18 + "".join(f"{name:>12}" for name in ("mean", "std", "min", "max"))]
        for name in self._columns:
            line = figures.get(name)
            if isinstance(line, dict):
                lines.append(f"{name:<24}" + "".join(f"{value:>12.5g}" for value in line.values()))
        return "\n".join(lines)
