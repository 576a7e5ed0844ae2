"""A feature table before training: its figures, and their description in text. Needs no torch."""

from .survey import diagnose
from .words import describe
