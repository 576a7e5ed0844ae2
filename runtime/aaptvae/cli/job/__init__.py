"""A bulk job of the command line: read, compute and write side by side, and resume after a kill."""
