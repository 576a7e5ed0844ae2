"""Figures of one category of the conditions, as `evaluation.json` holds them."""

from msgspec import Struct


class CategoryFigures(Struct, frozen=True):
    """Of the held-out rows of one category: their number, mean ELBO in nats, mean squared error of standardised columns."""

    condition: str
    category: str
    rows: int
    elbo: float
    error: float
