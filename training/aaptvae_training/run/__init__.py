"""The run folder: file names, configuration, figures, weights and resumable state."""
