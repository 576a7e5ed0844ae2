"""Vectors for search: recall of true neighbours, the metric view of latents, and the similarity head with its training."""
