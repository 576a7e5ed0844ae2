"""Figures of a trained model on held-out rows, and warnings about them."""
