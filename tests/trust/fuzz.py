"""Fuzzing the parsers, bounded by count: `python tests/trust/fuzz.py 1000000` shares that many executions among them.

A parser may give a result or an `AaptvaeError`; anything else is an escape, kept in `corpus/` and printed. Led by coverage,
where atheris is installed: `python tests/trust/fuzz.py --guided TARGET 100000 [FOLDER]`.
"""

import random
import sys
import time
import warnings
from hashlib import sha256
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
if "--guided" in sys.argv:
    import atheris  # only where it is asked for

    with atheris.instrument_imports(include=["aaptvae", "zipfile"]):
        from targets import CORPUS, TARGETS, scratch
else:
    from targets import CORPUS, TARGETS, scratch

from aaptvae.errors import AaptvaeError


def attempt(name: str, data: bytes) -> str | None:
    """None if the parser gave a result or an `AaptvaeError`; else the escape in words, its input kept in `corpus/`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numbers that overflow may say so
            TARGETS[name].run(data)
    except AaptvaeError:
        pass
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        kept = CORPUS / name / sha256(data).hexdigest()[:12]
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(data)
        return f"{name} {kept.name}: {type(error).__name__}: {str(error)[:200]}"
    return None


def fuzz(name: str, count: int, first: int = 0) -> list[str]:
    """Escapes among `count` changed inputs; the same numbers give the same inputs."""
    target, escapes = TARGETS[name], []
    seeds = [*target.seeds(), *(path.read_bytes() for path in sorted(CORPUS.glob(f"{name}/*")))]
    for number in range(first, first + count):
        choose = random.Random(f"{name} {number}")  # noqa: S311 - the number names the input
        seed = seeds[choose.randrange(len(target.seeds()))] if name == "bundle" else choose.choice(seeds)
        if escape := attempt(name, target.mutate(seed, choose)):
            escapes.append(escape)
    return escapes


def guided(name: str, count: int, folder: Path) -> None:
    """Fuzz one target led by coverage; `folder` collects inputs that reached something new. atheris ends the process."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(TARGETS[name].seeds()):
        (folder / f"seed-{number}").write_bytes(seed)

    def once(data: bytes) -> None:
        if escape := attempt(name, data):
            raise AssertionError(escape)

    def mutate(data: bytes, size: int, seed: int) -> bytes:
        choose = random.Random(seed)  # noqa: S311 - a fuzzer's choices
        changed = TARGETS[name].mutate(data, choose) if choose.random() < 0.7 else bytes(atheris.Mutate(data, size))
        return changed[:size]

    arguments = [sys.argv[0], f"-runs={count}", "-max_len=20000", "-print_final_stats=1", "-verbosity=0", str(folder)]
    atheris.Setup(arguments, once, custom_mutator=mutate)
    atheris.Fuzz()


def main() -> int:
    """Fuzz all targets, or those named; 1 if anything escaped."""
    if sys.argv[1] == "--guided":
        guided(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]) if len(sys.argv) > 4 else scratch() / "found")
    names = [name for name in sys.argv[2:] if name in TARGETS] or list(TARGETS)
    total = sum(TARGETS[name].share for name in names)
    executions, escapes = 0, []
    for name in names:
        count, started = round(int(sys.argv[1]) * TARGETS[name].share / total), time.perf_counter()
        found = fuzz(name, count)
        executions, escapes = executions + count, escapes + found
        print(f"{name:<12} {count:>9,} executions {time.perf_counter() - started:8.1f} s {len(found):>4} escapes", flush=True)
    print("\n".join([*escapes[:50], f"{executions:,} executions, {len(escapes)} escapes"]))
    return 1 if escapes else 0


if __name__ == "__main__":
    sys.exit(main())
