"""Attacks and faults: hostile bundles, flipped bytes, fuzzing, kills, full disks, and what a command touches."""
