"""Imports between rooms follow the arrows and form no circle; names of modules in strings exist; names mean one thing.

A room is a folder of a floor, or a module at the floor's root.
"""

import ast
import functools
import importlib
import tomllib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest
from test_floors import FLOORS, ROOT, sources

import aaptvae_export
import aaptvae_training
from aaptvae.cli import app, stop

# Each room with the rooms that it may import.
ARROWS = {
    "aaptvae": {
        "__init__": "errors vae",
        "__main__": "cli",
        "errors": "",
        "rows": "errors",
        "density": "errors rows",
        "hub": "errors",
        "bundle": "errors hub rows",
        "engine": "bundle errors rows",
        "tables": "errors rows",
        "files": "errors rows tables",
        "interpolation": "engine errors rows",
        "conditions": "bundle engine errors rows tables",
        "loaded": "bundle conditions densities engine errors rows tables views",
        "views": "bundle engine errors rows",
        "scores": "rows",
        "densities": "bundle density errors rows",
        "vae": "bundle conditions densities density engine errors interpolation loaded rows scores tables views",
        "verify": "bundle engine vae",
        "bench": "bundle engine vae",
        "push": "bundle hub",
        "sklearn": "bundle conditions errors rows tables vae",
        "batches": "bundle conditions engine errors rows scores tables vae",
        "serve": "bundle engine errors rows scores vae views",
        "explorer": "bundle conditions errors files rows tables",
        "cli": "bench bundle conditions densities density engine errors explorer files interpolation push rows scores serve "
        "tables vae verify",
    },
    "aaptvae_training": {
        "__init__": "errors evaluate_run model progress run train_table",
        "errors": "",
        "config": "errors",
        "progress": "",
        "events": "errors",
        "digits": "",
        "features": "config errors progress",
        "model": "config errors",
        "linear": "config errors features model",
        "memory": "config errors features linear",
        "similarity": "config errors features linear model",
        "run": "config errors features linear model similarity",
        "loop": "config errors features linear model progress run",
        "evaluation": "config errors features linear model run similarity",
        "report": "config errors evaluation features linear model run",
        "diagnosis": "config errors features linear memory model progress",
        "evaluate_run": "config errors evaluation features linear memory model report run progress",
        "finish": "similarity config errors evaluation features linear loop model run progress",
        "train_run": "config errors evaluate_run evaluation features finish linear loop memory model report run progress",
        "bars": "progress",
        "train_table": "bars config features loop progress run train_run",
        "own_loop": "config errors evaluate_run features finish linear model progress run train_run",
        "sklearn": "config errors features model run train_table",
        "flags": "config errors",
        "cli": "flags config diagnosis digits errors evaluate_run evaluation events features finish run progress train_run",
    },
    "aaptvae_export": {
        "__init__": "bundle errors options",
        "errors": "",
        "options": "errors",
        "graph": "errors options",
        "proof": "errors graph options",
        "variants": "errors graph options proof",
        "bundle": "errors graph options proof variants",
        "demo": "bundle errors options",
        "cli": "bundle demo errors options",
    },
}

# Constructors of `AAPTVAE` and `Run` that call the rooms above theirs, imported when they are called.
CONSTRUCTORS = {("model", "own_loop"), ("run", "own_loop")}


def room_of(path: Path, floor: Path) -> str:
    """The folder below `floor`, or the module at its root."""
    return path.relative_to(floor).with_suffix("").parts[0]


@functools.cache
def imports_of(source: str) -> list[ast.Import | ast.ImportFrom]:
    """Every import of a module, at any depth of its code."""
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]


def names_in(imports: Iterable[ast.Import | ast.ImportFrom], *, new: bool = False) -> set[str]:
    """The names that these imports take out of modules, or the `new` ones that they give them."""
    return {alias.asname if new and alias.asname else alias.name for node in imports for alias in node.names}


def imported_rooms(source: str, parents: tuple[str, ...], package: str) -> set[str]:
    """Rooms of `package` that a module inside the packages `parents` imports, at any depth of its code."""
    modules: list[tuple[str, ...]] = []
    for node in imports_of(source):
        if isinstance(node, ast.Import):
            modules += [tuple(alias.name.split(".")) for alias in node.names]
        else:
            base = parents[: len(parents) - node.level + 1] if node.level else ()
            module = base + tuple((node.module or "").split(".") if node.module else ())
            modules += [module] if len(module) > 1 else [(*module, alias.name) for alias in node.names]
    return {module[1] for module in modules if module[0] == package and len(module) > 1}


def arrows_of(package: str) -> dict[str, set[str]]:
    """Each room with the rooms that it imports."""
    floor = ROOT / FLOORS[package] / package
    arrows: dict[str, set[str]] = defaultdict(set)
    for path in sources(package):
        parents = (package, *path.relative_to(floor).parts[:-1])
        room = room_of(path, floor)
        above = {target for source, target in CONSTRUCTORS if source == room and package == "aaptvae_training"}
        arrows[room] |= imported_rooms(path.read_text(), parents, package) - {room} - above
    return dict(arrows)


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """Rooms that import each other in a circle; empty if there is none."""
    left = dict(arrows)
    while free := [room for room, targets in left.items() if not targets & left.keys()]:
        for room in free:
            del left[room]
    return sorted(left)


@pytest.mark.parametrize("package", ARROWS)
def test_rooms_import_only_what_the_arrows_allow(package: str) -> None:
    allowed = {room: set(targets.split()) for room, targets in ARROWS[package].items()}
    found = arrows_of(package)
    assert {room: extra for room, targets in found.items() if (extra := targets - allowed.get(room, set()))} == {}
    assert found.keys() <= allowed.keys()
    assert circle(found) == []


@pytest.mark.parametrize("package", ARROWS)
def test_the_allowed_arrows_form_no_circle(package: str) -> None:
    assert circle({room: set(targets.split()) for room, targets in ARROWS[package].items()}) == []


def test_a_made_up_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == ["a", "b", "c", "d"]
    assert circle({"a": {"b"}, "b": set()}) == []


@pytest.mark.parametrize(
    ("source", "parents"),
    [
        ("from ..vae import VAE", ("aaptvae", "cli")),
        ("def f():\n    from ...vae import VAE", ("aaptvae", "cli", "job")),
        ("from . import vae", ("aaptvae",)),
        ("from aaptvae.vae import load", ("aaptvae", "cli")),
        ("import aaptvae.vae", ("aaptvae", "cli")),
    ],
)
def test_every_kind_of_import_is_seen(source: str, parents: tuple[str, ...]) -> None:
    assert imported_rooms(source, parents, "aaptvae") == {"vae"}


APART = ("cli", "report")  # whose `__init__` imports when it is called


@pytest.mark.parametrize("package", FLOORS)
def test_what_a_room_exports_is_imported_elsewhere(package: str) -> None:
    """Rooms have no `__all__`: they export what their `__init__` imports."""
    every = [node for floor in FLOORS for path in sources(floor) for node in imports_of(path.read_text())]
    unused = {}
    for init in sorted((ROOT / FLOORS[package] / package).glob("*/__init__.py")):
        room = init.parent.name
        inner = (node for node in imports_of(init.read_text()) if room not in APART and getattr(node, "level", 0))
        exported = names_in(inner, new=True)
        places = {(1, room), (2, room), (3, room), (0, f"{package}.{room}")}
        used = names_in(node for node in every if isinstance(node, ast.ImportFrom) and (node.level, node.module) in places)
        unused[room] = exported - used - {"packed_run"}  # which a string names
    assert {room: names for room, names in unused.items() if names} == {}


def named_modules() -> list[str]:
    """`module:attribute` for every module that a string names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [*project["scripts"].values(), *(target for group in project["entry-points"].values() for target in group.values())]
    named += [f"aaptvae.cli.{module}:{verb}" for verb, module in app.VERBS.items()]
    named += [f"{stop.PUBLISHING}:abandon"]
    for package in (aaptvae_training, aaptvae_export):
        named += [f"{package.__name__}.{module}:{name}" for name, module in package._HOMES.items()]
    return named


@pytest.mark.parametrize("target", named_modules())
def test_a_module_named_by_a_string_exists(target: str) -> None:
    module, _, attribute = target.partition(":")
    assert hasattr(importlib.import_module(module), attribute)


def definitions(package: str) -> dict[str, list[str]]:
    """Public classes of a floor, with the modules that define them."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sources(package):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(path.relative_to(ROOT)))
    return found


def ambiguous(found: dict[str, list[str]]) -> dict[str, list[str]]:
    """Names that more than one module defines."""
    return {name: places for name, places in found.items() if len(places) > 1}


def test_a_public_class_name_has_one_meaning() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for package in FLOORS:
        for name, places in definitions(package).items():
            found[name] += places
    assert ambiguous(found) == {}
    assert ambiguous({"A": ["x.py", "y.py"], "B": ["x.py"]}) == {"A": ["x.py", "y.py"]}
