"""The training loop: batches, optimizer, epochs, checkpoints, processes and threads."""

from .batches import RESIDENT_BYTES, Batches, ResidentBatches, StreamedBatches
from .processes import World, join
from .threads import default_threads, on_threads
from .trainer import Trainer

__all__ = [
    "RESIDENT_BYTES",
    "Batches",
    "ResidentBatches",
    "StreamedBatches",
    "Trainer",
    "World",
    "default_threads",
    "join",
    "on_threads",
]
