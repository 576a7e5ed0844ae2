"""Feature files as streams of row batches, in and out: .npy .npz .csv .jsonl .parquet, and .safetensors and shards in.

Files are not trusted: any content gives rows or an `InputError`, in bounded memory.
"""

from .opening import open_output, open_rows
from .table import Layout, RowReader, RowWriter

__all__ = ["Layout", "RowReader", "RowWriter", "open_output", "open_rows"]
