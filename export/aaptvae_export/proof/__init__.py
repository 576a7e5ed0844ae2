"""Comparison of the graphs with the trained model in float64 and float32, and the figures that admit a precision."""

from .evidence import Evidence, gather
from .gate import Gate, check_parity, run_graph
from .reference import BATCHES, LEAST_ROWS, MOST_NUMBERS, Graph, Inputs, Outputs, Reference, rounded, with_conditions

__all__ = [
    "BATCHES",
    "LEAST_ROWS",
    "MOST_NUMBERS",
    "Evidence",
    "Gate",
    "Graph",
    "Inputs",
    "Outputs",
    "Reference",
    "check_parity",
    "gather",
    "rounded",
    "run_graph",
    "with_conditions",
]
