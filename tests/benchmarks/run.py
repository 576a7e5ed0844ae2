"""`make bench`: paired comparisons on this machine, printed as the table of docs/figures.md.

python tests/benchmarks/run.py [NAME ...] [--json] [--features FILE --latent-dim L]
python tests/benchmarks/run.py tables [--only NAME ...] [--quick] [--results DIR] [--check] [--export DIR]
"""

import argparse
import dataclasses
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import bulk
import files
import footprint
import loops
import machine
import memory
import mixtures
import one_row
import precisions
import quality
import soak
import starting
from lines import Line, markdown
from subject import FORMS, Subject, make_subject, make_trained

EVERY_FORM: dict[str, Callable[[Subject], Iterator[Line]]] = {
    "one-row": one_row.lines,
    "bulk": bulk.lines,
    "int8": precisions.lines,
}
ONE_FORM: dict[str, Callable[[Subject], Iterator[Line]]] = {"file": files.lines, "start": starting.lines, "soak": soak.lines}
NO_BUNDLE: dict[str, Callable[[], Iterator[Line]]] = {"footprint": footprint.lines, "training": loops.lines}
OF_FEATURES: dict[str, Callable[..., Iterator[Line]]] = {"quality": quality.lines, "mixtures": mixtures.lines}
USUAL = (*EVERY_FORM, *ONE_FORM, *NO_BUNDLE, *OF_FEATURES)
ON_REQUEST = {"memory": memory.lines}  # ten minutes and 8 GB of disk
NAMES = (*USUAL, *ON_REQUEST)


def measure(names: list[str], features: Path | None, latents: int) -> Iterator[Line]:
    """Lines of the named comparisons, in a fixed order."""
    with tempfile.TemporaryDirectory() as folder:
        needed = list(FORMS) if EVERY_FORM.keys() & names else list(FORMS)[-1:] if ONE_FORM.keys() & names else []
        subjects = [make_subject(form, Path(folder)) for form in needed]
        usual = subjects[-1] if subjects else None
        for name in (name for name in NAMES if name in names):
            if name == "int8":
                subjects.append(make_trained(Path(folder), features, latents))
            if name in EVERY_FORM:
                for subject in subjects:
                    yield from EVERY_FORM[name](subject)
            elif name in ONE_FORM:
                yield from ONE_FORM[name](usual)
            elif name in NO_BUNDLE:
                yield from NO_BUNDLE[name]()
            elif name in ON_REQUEST:
                yield from ON_REQUEST[name]()
            else:
                yield from OF_FEATURES[name]()
                if features:
                    yield from OF_FEATURES[name](features, latents)


def main() -> None:
    """Measure, saying each line on stderr as it comes, and print all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; default: all but memory")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--features", type=Path, metavar="FILE", help="a table for quality, mixtures (beside digits) and int8")
    parser.add_argument("--latent-dim", type=int, default=64, metavar="L")
    options = parser.parse_args()
    if wrong := set(options.names) - set(NAMES):
        parser.error(f"no comparison is called {', '.join(sorted(wrong))}: choose from {', '.join(NAMES)}")
    before, lines = machine.describe(), []
    for line in measure(options.names or list(USUAL), options.features, options.latent_dim):
        lines.append(line)
        print(
            line.comparison,
            line.ours,
            line.other,
            line.ratio and f"{line.ratio:.2f} (best {line.best or 0:.2f})",
            sep=" | ",
            file=sys.stderr,
            flush=True,
        )
    if options.json:
        print(json.dumps({"machine": before, "lines": [dataclasses.asdict(line) for line in lines]}, indent=1))
    else:
        print(f"{before}\n\n{markdown(lines)}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["tables"]:  # packages of its own, and hours
        from tables import command

        sys.exit(command.main(sys.argv[2:]))
    main()
