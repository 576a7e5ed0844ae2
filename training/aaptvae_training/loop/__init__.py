"""The training loop: batches, optimizer, epochs, checkpoints, processes and threads."""
