"""A feature table before training: its figures, and their description in text. Needs no torch."""

from .figures import Diagnosis
from .survey import diagnose
from .words import describe

__all__ = ["Diagnosis", "describe", "diagnose"]
