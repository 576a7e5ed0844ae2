"""The training loop: batches, optimizer, epochs, checkpoints, processes and threads."""

from .batches import RESIDENT_BYTES, Batches, ResidentBatches, StreamedBatches, training_batches
from .processes import World, join, pick_device, wants_bf16
from .refit import Refit
from .threads import most_threads, on_threads, paced
from .trainer import Trainer

__all__ = [
    "RESIDENT_BYTES",
    "Batches",
    "Refit",
    "ResidentBatches",
    "StreamedBatches",
    "Trainer",
    "World",
    "join",
    "most_threads",
    "on_threads",
    "paced",
    "pick_device",
    "training_batches",
    "wants_bf16",
]
