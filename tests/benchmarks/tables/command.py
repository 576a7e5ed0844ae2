"""`python tests/benchmarks/run.py tables`: figures of every table, one after the other, kept as they come."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aaptvae.errors import AaptvaeError

from .catalogue import NAMES, export, tables

FLOW_SECONDS = 300.0


def main(arguments: list[str]) -> int:
    """Measure, export or check; 1 where `--check` finds a table below a bar."""
    parser = argparse.ArgumentParser(prog="run.py tables", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="no flow, no second training for anomalies")
    parser.add_argument("--export", type=Path, metavar="DIR", help="write the tables as files and stop")
    parser.add_argument("--tables", type=Path, metavar="DIR", help="read them from what --export wrote there")
    parser.add_argument("--results", type=Path, metavar="DIR", help="keep each table's figures; those already there stay")
    parser.add_argument("--check", action="store_true", help="name the tables below a bar; exit code 1 if there are any")
    parser.add_argument("--json", action="store_true", help="a line of JSON per table")
    parser.add_argument("--flow-seconds", type=float, default=FLOW_SECONDS, metavar="S")
    options = parser.parse_args(arguments)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if options.export:
        export(options.export, options.only)
        return 0
    from . import bars  # noqa: PLC0415 - an export needs neither torch nor scikit-learn

    results = []
    for result in measured(options):
        results.append(result)
        for line in bars.losses(result):
            print(f"below a bar: {line}", file=sys.stderr, flush=True)
    print("\n".join(json.dumps(result) for result in results) if options.json else bars.markdown(results))
    lost = [line for result in results for line in bars.losses(result)]
    if options.check:
        print(f"{len(lost)} figures of {len(results)} tables are below a bar", *lost, sep="\n", file=sys.stderr)
    return int(options.check and bool(lost))


def measured(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Results of the chosen tables, out of the folder of results where they are there already."""
    from .figures import FIGURES_VERSION, measure  # noqa: PLC0415

    for name in options.only or NAMES:
        kept = options.results / f"{name}.json" if options.results else None
        if kept and kept.exists():
            result = json.loads(kept.read_text())
            if result["version"] == FIGURES_VERSION:
                yield result
                continue
        for table in tables([name], options.tables):
            print(f"{name}: {table.x.shape[0]} x {table.x.shape[1]}", file=sys.stderr, flush=True)
            try:
                result = measure(table, 0.0 if options.quick else options.flow_seconds, options.quick)
            except AaptvaeError as error:
                print(f"failed {name}: {error}", file=sys.stderr, flush=True)
                continue
            if kept:
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.with_suffix(".part").write_text(json.dumps(result))
                kept.with_suffix(".part").replace(kept)
            yield result
