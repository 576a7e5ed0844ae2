"""`python -m aaptvae` is the command `aaptvae`."""

from .cli import main

if __name__ == "__main__":
    main()
