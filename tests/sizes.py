"""`make check`: files and functions stay within the sizes that CONTRIBUTING.md names.

A line counts if it holds code: blank lines, comments and docstrings are free, because explaining must cost nothing.
"""

import ast
import io
import statistics
import sys
import tokenize
from pathlib import Path

ROOT = Path(__file__).parent.parent
FLOORS = ("runtime/aaptvae", "training/aaptvae_training", "export/aaptvae_export")
FILE_LINES = 300  # everything counted
MEDIAN, NINTH_TENTH, LONGEST = 8, 20, 40  # of functions
PARAMETERS = 6
LAYOUT = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT, tokenize.ENDMARKER}


def code_lines(source: str) -> int:
    """Lines that hold code."""
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in LAYOUT:
            held.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            held.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(held)


def functions(path: Path) -> list[tuple[str, int, int]]:
    """Name, lines and parameters of every function of a file; commands and constructors of configurations are exempt."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            names = [a.arg for a in node.args.args + node.args.posonlyargs if a.arg not in ("self", "cls")]
            exempt = any("click" in ast.unparse(d) or "option" in ast.unparse(d) for d in node.decorator_list)
            found.append((f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", lines, 0 if exempt else len(names)))
    return found


def main() -> int:
    """Print the sizes; 1 if one is over its budget."""
    over = []
    measured = []
    for floor in FLOORS:
        files = sorted((ROOT / floor).rglob("*.py"))
        total = sum(code_lines(path.read_text()) for path in files)
        print(f"{floor}: {total:,} lines of code in {len(files)} files")
        for path in files:
            if (length := path.read_text().count("\n")) > FILE_LINES:
                over.append(f"{path.relative_to(ROOT)} has {length} lines, over {FILE_LINES}")
            measured += functions(path)
    lengths = sorted(lines for _, lines, _ in measured)
    median, ninth = statistics.median(lengths), lengths[int(0.9 * len(lengths))]
    print(f"{len(lengths)} functions: median {median:g} lines, nine in ten at most {ninth}, longest {lengths[-1]}")
    if median > MEDIAN or ninth > NINTH_TENTH:
        over.append(f"functions are long: median {median:g} of {MEDIAN}, ninth tenth {ninth} of {NINTH_TENTH}")
    over += [f"{name} has {lines} lines, over {LONGEST}" for name, lines, _ in measured if lines > LONGEST]
    over += [f"{name} takes {count} parameters, over {PARAMETERS}" for name, _, count in measured if count > PARAMETERS]
    for line in over:
        print(f"over: {line}", file=sys.stderr)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
