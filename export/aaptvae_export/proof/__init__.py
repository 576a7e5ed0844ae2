"""Comparison of the graphs with the trained model in float64 and float32, and the figures that admit a precision."""

from .evidence import Evidence, gather
from .gate import Gate, check_parity, run_graph
from .reference import LEAST_ROWS, MOST_NUMBERS, Graph, Inputs, Outputs, Reference, rounded, with_conditions
