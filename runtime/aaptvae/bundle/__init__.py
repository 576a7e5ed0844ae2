"""A bundle on disk: its manifest, its files, and every check before one of them is used."""
