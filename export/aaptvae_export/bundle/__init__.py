"""A bundle as files: draft, model card, publication, Triton repository."""
