"""A bundle from a run: drafted in memory, described, published."""

from .publish import Export, export_bundle, packed_run
from .triton import write_triton
