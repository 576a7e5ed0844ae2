"""Feature files as streams of row batches, in and out: .npy .npz .csv .jsonl .parquet, and .safetensors and shards in.

Files come from strangers: whatever they hold, the outcome is rows or an `InputError`, in bounded memory.
"""

from .opening import Layout, open_output, open_rows
from .table import RowReader, RowWriter

__all__ = ["Layout", "RowReader", "RowWriter", "open_output", "open_rows"]
