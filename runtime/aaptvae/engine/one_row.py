"""One row through a session whose arrays stay bound."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..rows import Rows


class OneRow:
    """Input and output arrays of one row, bound to a session once: onnxruntime then need not make them in each call.

    For one call at a time. `results` [1, sum of widths] are the outputs of the latest row, one after the other.
    """

    def __init__(self, session: Any, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> None:
        """`inputs` and `outputs` are the widths of the graph's tensors by name; outputs in the order of the graph."""
        self._run, self._binding = session.run_with_iobinding, session.io_binding()
        self._inputs = [np.zeros((1, width), np.float32) for width in inputs.values()]
        self.results = np.zeros((1, sum(outputs.values())), np.float32)
        self._outputs = np.split(self.results, np.cumsum(list(outputs.values()))[:-1], axis=1)
        for name, array in zip(inputs, self._inputs, strict=True):
            self._binding.bind_input(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        for name, array in zip(outputs, self._outputs, strict=True):
            self._binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)

    def run(self, x: Rows, c: Rows | None) -> list[Rows]:
        """The outputs [1, width], in new arrays, of the row `x` [1, D] and its condition `c` [1, C].

        onnxruntime raises if the graph computes other shapes than the bound ones.
        """
        self._inputs[0][:] = x
        if c is not None:
            self._inputs[1][:] = c
        self._run(self._binding)
        return [output.copy() for output in self._outputs]
