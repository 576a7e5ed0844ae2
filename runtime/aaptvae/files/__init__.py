"""Feature files as streams of row batches, in and out, of single files and of shards. `opening.FORMATS` lists the formats.

Files are not trusted: any content gives rows or an `InputError`, in bounded memory.
"""

from .opening import open_output, open_rows
from .reading import Reading
from .table import Batch, Layout, RowReader, RowWriter
