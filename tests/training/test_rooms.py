"""Rooms of the training floor import only rooms below them, so there are no circles between rooms."""

import ast
from pathlib import Path

import pytest

import aaptvae_training

FLOOR = Path(aaptvae_training.__file__).parent

# What each room, or module beside the rooms, may import. Modules that are not named here are at the bottom.
BELOW = {
    "features": set(),
    "model": set(),
    "linear": {"features", "model"},
    "run": {"linear", "model"},
    "loop": {"features", "model", "run"},
    "evaluation": {"features", "linear", "model"},
    "diagnosis": {"features", "linear"},
    "report": {"evaluation", "linear", "model", "run"},
    "evaluate_run": {"evaluation", "features", "model", "report", "run"},
    "finish": {"evaluate_run", "evaluation", "features", "model", "run"},
    "train_run": {"features", "finish", "linear", "loop", "model", "report", "run"},
    "cli": {"diagnosis", "evaluate_run", "run", "train_run"},
}


def imported(path: Path) -> set[str]:
    """Rooms and modules of the floor that a module imports from outside its own room."""
    inside = path.relative_to(FLOOR).parts
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == len(inside):
            names = [node.module] if node.module else [alias.name for alias in node.names]
            found |= {name.split(".")[0] for name in names}
    return found & BELOW.keys()


def test_the_order_of_rooms_has_no_circle() -> None:
    order: list[str] = []
    while len(order) < len(BELOW):
        free = [room for room, below in BELOW.items() if room not in order and below <= set(order)]
        assert free, f"a circle among {BELOW.keys() - set(order)}"
        order += free


@pytest.mark.parametrize("room", BELOW)
def test_a_room_imports_only_rooms_below(room: str) -> None:
    sources = [FLOOR / f"{room}.py"] if (FLOOR / f"{room}.py").exists() else sorted((FLOOR / room).glob("*.py"))
    for path in sources:
        assert imported(path) <= BELOW[room], path


def test_every_room_has_its_place_in_the_order() -> None:
    assert {path.parent.name for path in FLOOR.glob("*/__init__.py")} <= BELOW.keys()
