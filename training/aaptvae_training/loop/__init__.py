"""The training loop: batches, optimizer, epochs, checkpoints, processes and threads."""

from .batches import training_batches
from .processes import World, join, pick_device, wants_bf16
from .refit import Refit
from .threads import most_threads, on_threads, paced
from .trainer import Trainer
