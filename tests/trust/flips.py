"""Damages every file of a bundle, one byte or one end at a time, and loads it: `python tests/trust/flips.py BUNDLE`.

Prints what it tried and what was refused, as JSON; onnxruntime must not even be imported when it is done.
"""

import json
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import aaptvae

ELSEWHERE = 2_000  # positions in the files beside the manifest, at least
ENDS = 200  # truncations of each file, at most


def damages(folder: Path) -> Iterator[tuple[str, str, bytes]]:
    """File name, kind of damage and the damaged bytes."""
    choose = random.Random(0)  # noqa: S311 - the same positions every time
    sizes = {path.name: path.stat().st_size for path in folder.iterdir() if path.name != "README.md"}
    rest = sum(size for name, size in sizes.items() if name != "manifest.json")
    for name, size in sorted(sizes.items()):
        data = (folder / name).read_bytes()
        if name == "manifest.json":
            positions: list[int] = list(range(size))
        else:
            share = min(size, -(-ELSEWHERE * size // rest) + 60)  # each file its share, small ones nearly all of them
            positions = sorted(choose.sample(range(size), share))
        for at in positions:
            yield name, "flip", data[:at] + bytes([data[at] ^ choose.randrange(1, 256)]) + data[at + 1 :]
        for length in sorted(choose.sample(range(size), min(size, ENDS))):
            yield name, "end", data[:length]
        yield name, "more", data + b"\n"


def replace(path: Path, data: bytes) -> None:
    """A new file: file systems hurry to bring one that was emptied and filled again to the disk."""
    path.unlink()
    path.write_bytes(data)


def main(source: Path) -> dict[str, object]:
    """Counts of what was tried and refused, and what was loaded in spite of it."""
    tried, escapes, positions = dict.fromkeys(("flip", "end", "more"), 0), [], 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(shutil.copytree(source, Path(place) / "copy"))
        for name, kind, damaged in damages(source):
            replace(folder / name, damaged)
            tried[kind] += 1
            positions += kind == "flip" and name != "manifest.json"
            try:
                aaptvae.load(folder)
                escapes.append([name, kind, "loaded"])
            except aaptvae.BundleError:
                pass
            except BaseException as error:  # an escape is a finding too
                escapes.append([name, kind, repr(error)])
            replace(folder / name, (source / name).read_bytes())
    manifest = (source / "manifest.json").stat().st_size
    return {
        "bundle": source.name,
        "manifest": manifest,
        "elsewhere": positions,
        **tried,
        "escapes": escapes,
        "engine": "onnxruntime" in sys.modules,
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
