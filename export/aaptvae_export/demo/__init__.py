"""The command demo: digits from training to torch-free sampling."""
