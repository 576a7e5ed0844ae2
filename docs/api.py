"""`make docs` writes docs/api.txt by running this file: names and signatures of the public API, one a line.

They are taken from the source, so that they do not depend on the versions of Python and numpy. `tests/docs/test_api.py`
compares: a change of the API is a change of a committed file.
"""

import ast
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PACKAGES = ("aaptvae", "aaptvae_training", "aaptvae_export", "aaptvae_training.report")
CLASSES = (
    "aaptvae.scores.Scores",
    "aaptvae.sklearn.BundleTransformer",
    "aaptvae_training.sklearn.VAETransformer",
)  # in no __all__
FILE = Path(__file__).with_name("api.txt")


def lines() -> list[str]:
    """The whole API, by package and name."""
    paths = [f"{package}.{name}" for package in PACKAGES for name in sorted(importlib.import_module(package).__all__)]
    return [line for path in [*paths, *CLASSES] for line in described(path, _imported(path))]


def _imported(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def described(path: str, value: Any) -> Iterator[str]:
    """The line of a function, or those of a class and of its public members."""
    if not callable(value):
        yield f"{path}: {type(value).__name__}"
        return
    node = ast.parse(textwrap.dedent(inspect.getsource(value))).body[0]
    if isinstance(node, ast.FunctionDef):
        yield f"{path}{_signature(node)}"
    elif isinstance(node, ast.ClassDef):
        yield f"class {path}({', '.join(map(ast.unparse, node.bases))})"
        yield from filter(None, (_member(part) for part in [*inherited(value), *node.body]))


def inherited(value: type) -> list[ast.stmt]:
    """Members that a class has from a base of ours that no package exports."""
    ours = [base for base in value.__mro__[1:] if base.__module__.startswith("aaptvae")]
    hidden = [base for base in ours if base.__name__ not in importlib.import_module("aaptvae").__all__]
    sources = (ast.parse(textwrap.dedent(inspect.getsource(base))).body[0] for base in reversed(hidden))
    return [part for node in sources if isinstance(node, ast.ClassDef) for part in node.body]


def _member(node: ast.stmt) -> str | None:
    """A field, a constructor, a method or a property; None if it is private."""
    if isinstance(node, ast.AnnAssign):
        return None if ast.unparse(node.target).startswith("_") else f"    {ast.unparse(node)}"
    if not isinstance(node, ast.FunctionDef) or (node.name.startswith("_") and node.name != "__init__"):
        return None
    marks = "".join(f"@{ast.unparse(mark)} " for mark in node.decorator_list)
    return f"    {marks}{node.name}{_signature(node)}"


def _signature(node: ast.FunctionDef) -> str:
    return f"({ast.unparse(node.args)})" + (f" -> {ast.unparse(node.returns)}" if node.returns else "")


if __name__ == "__main__":
    FILE.write_text("\n".join(lines()) + "\n")
