"""The generated parts of the documentation. `make docs` lets cog write them between its markers; `make check` compares.

A marker calls one function of this module, which returns Markdown:

    <!-- [[[cog import cog, generate; cog.out(generate.verbs()) ]]] -->
    <!-- [[[end]]] -->
"""

import ast
import importlib
import inspect
import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import click
import msgspec
from api import inherited
from click.testing import CliRunner

from aaptvae.bundle import graph_check
from aaptvae.bundle.manifest import Manifest
from aaptvae.cli.app import app

ROOT = Path(__file__).parent.parent
FLOORS = ("runtime/aaptvae", "training/aaptvae_training", "export/aaptvae_export")
BESIDE = {"aaptvae": ("aaptvae.scores.Scores", "aaptvae.batches.BatchEncoder")}  # public classes that no package exports
MADE = ("aaptvae.VAE",)  # classes whose constructor is private: a function returns them
WIDTH = 80  # of help pages, whatever the terminal
LINE = 100  # of signatures


def verbs() -> str:
    """Help pages of the command line: the overview, then every verb."""
    names = ["", *app.list_commands(click.Context(app))]
    return "\n".join(f"## aaptvae {name}".rstrip() + f"\n\n{_fenced(_help(name))}" for name in names)


def _help(name: str) -> str:
    """The page that `aaptvae NAME --help` prints."""
    result = CliRunner().invoke(app, [*name.split(), "--help"], prog_name="aaptvae", terminal_width=WIDTH)
    if result.exit_code:
        raise SystemExit(f"aaptvae {name} --help ended with {result.exit_code}: {result.output}")
    return result.output.rstrip()


def python(package: str) -> str:
    """Public names of a package with signatures and docstrings."""
    module = importlib.import_module(package)
    names = [(f"{package}.{name}", getattr(module, name)) for name in module.__all__ if name != "__version__"]
    names += [(path, _imported(path)) for path in BESIDE.get(package, ())]
    return "\n".join(_described(path, value) for path, value in sorted(names, key=lambda item: item[0].lower()))


def _imported(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _described(path: str, value: Any) -> str:
    node = ast.parse(textwrap.dedent(inspect.getsource(value))).body[0]
    if isinstance(node, ast.FunctionDef):
        return f"### {path}\n\n{_stub(node)}\n{inspect.getdoc(value)}\n"
    if not isinstance(node, ast.ClassDef):
        raise TypeError(f"{path} is neither a function nor a class")
    body = [*inherited(value), *node.body]
    methods = [part for part in body if isinstance(part, ast.FunctionDef) and not part.name.startswith("_")]
    described = [f"\n{_stub(method)}\n{inspect.cleandoc(ast.get_docstring(method) or '')}\n" for method in methods]
    return f"### {path}\n\n{_stub(_class_head(node, path))}\n{inspect.getdoc(value)}\n{''.join(described)}"


def _class_head(node: ast.ClassDef, path: str) -> ast.ClassDef:
    """The class with its fields and its constructor, unless another function makes it."""
    kept = [part for part in node.body if isinstance(part, ast.AnnAssign)]
    kept += [part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__" and path not in MADE]
    head = ast.ClassDef(node.name, node.bases, [], [_bodiless(part) for part in kept] or [ast.Expr(ast.Constant(...))], [])
    return ast.fix_missing_locations(head)


def _bodiless(node: ast.stmt) -> ast.stmt:
    if not isinstance(node, ast.FunctionDef):
        return node
    shown = [mark for mark in node.decorator_list if isinstance(mark, ast.Name)]
    stub = ast.FunctionDef(node.name, node.args, [ast.Expr(ast.Constant(...))], shown, node.returns)
    return ast.copy_location(stub, node)


def _stub(node: ast.stmt) -> str:
    """A definition without its body, one line or one line for each parameter."""
    source = ast.unparse(ast.fix_missing_locations(_bodiless(node)))
    command = [str(Path(sys.executable).parent / "ruff"), "format", "--isolated", "--line-length", str(LINE), "-"]
    formatted = subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout  # noqa: S603
    return _fenced(formatted.rstrip(), "py")


def rooms() -> str:
    """Every module of the three packages with the first sentence of its docstring, room by room."""
    text = []
    for floor in FLOORS:
        for folder in sorted({path.parent for path in (ROOT / floor).rglob("*.py")}):
            room = folder.relative_to(ROOT / floor).as_posix()
            heading = f"## {floor}" if room == "." else f"### {room}"
            names = sorted(path.name for path in folder.glob("*.py") if path.name != "__init__.py")
            rows = [f"| `{name}` | {_first_sentence(folder / name)} |" for name in names]
            table = "\n".join(["| module | content |", "|---|---|", *rows])
            text.append(f"{heading}\n\n{_first_sentence(folder / '__init__.py')}.\n\n{table}\n")
    return "\n".join(text)


def _first_sentence(path: Path) -> str:
    paragraph = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n\n")[0]
    sentence = re.split(r"(?<=[a-z)\"'`\]])(?<! al)[.;]\s", paragraph, maxsplit=1)[0]
    return " ".join(sentence.split()).rstrip(".").replace("|", "\\|")


def operators() -> str:
    """Operators that a graph may hold, by precision."""
    allowed = graph_check.OPERATORS
    base = sorted(allowed["fp32"])
    rows = [f"| fp32 | {', '.join(base)} |"]
    rows += [
        f"| {name} | those of fp32, and {', '.join(sorted(allowed[name] - allowed['fp32']))} |" for name in ("fp16", "int8")
    ]
    return "\n".join(["| precision | operators |", "|---|---|", *rows]) + "\n"


def manifest_schema() -> str:
    """JSON Schema of manifest.json."""
    schema = msgspec.json.schema(Manifest)
    return _fenced(json.dumps(schema, indent=1), "json")


def _fenced(text: str, language: str = "text") -> str:
    return f"```{language}\n{text}\n```\n"
