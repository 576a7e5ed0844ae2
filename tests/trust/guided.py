"""The same fuzzing led by coverage: `pip install atheris`, then `python tests/trust/guided.py TARGET 100000 [FOLDER]`.

FOLDER collects the inputs that reached something new. An escape ends the process and stays in `corpus/`.
"""

import random
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["aaptvae", "zipfile"]):
    import fuzz


def main(name: str, count: int, folder: Path) -> None:
    """Fuzz one target that many times; atheris ends the process."""
    target = fuzz.TARGETS[name]
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (folder / f"seed-{number}").write_bytes(seed)

    def once(data: bytes) -> None:
        if escape := fuzz.attempt(name, data):
            raise AssertionError(escape)

    def mutate(data: bytes, size: int, seed: int) -> bytes:
        choose = random.Random(seed)  # noqa: S311 - a fuzzer's choices
        changed = target.mutate(data, choose) if choose.random() < 0.7 else bytes(atheris.Mutate(data, size))
        return changed[:size]

    arguments = [sys.argv[0], f"-runs={count}", "-max_len=20000", "-print_final_stats=1", "-verbosity=0", str(folder)]
    atheris.Setup(arguments, once, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else fuzz.scratch() / "found")
