"""A feature table on disk: reading it in stretches, splitting its rows, and the statistics of its columns."""
