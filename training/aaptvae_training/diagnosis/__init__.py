"""Before training: what a feature table holds and what it can be expected to give."""
