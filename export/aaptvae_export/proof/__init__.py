"""Comparison of the graphs with torch and float64, and the figures that decide."""
