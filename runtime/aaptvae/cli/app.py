"""The click group of the verbs, and how every command ends: an exit status and at most one line, no traceback."""

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from typing import NoReturn

import click

from ..errors import AaptvaeError, MissingDependencyError
from .options import printable
from .stop import STOP

VERBS = {
    "encode": "verbs_rows",
    "decode": "verbs_rows",
    "reconstruct": "verbs_rows",
    "score": "verbs_rows",
    "sample": "verbs_generate",
    "interpolate": "verbs_generate",
    "info": "verbs_bundle",
    "verify": "verbs_bundle",
    "bench": "verbs_bundle",
    "explore": "verbs_explore",
    "push": "verbs_hub",
    "serve": "verbs_serve",
}  # in this folder
EXTRA = "pip install torch onnx safetensors matplotlib"
STRIPPED = "Python removed the description, which is a docstring: run it without -OO."
_EPILOG = """
Results go to the file named by -o (`-o -` for stdout), messages to stderr. Exit status: 0 done, 1 refused, 2 wrong usage.

\b
Completion in bash (zsh and fish alike):
  eval "$(_AAPTVAE_COMPLETE=bash_source aaptvae)"
"""


class Verbs(click.Group):
    """A group that imports each verb on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The runtime's verbs, then those of training and export."""
        return [*VERBS, *sorted(installed_verbs())]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The verb called `name`; if its imports fail, a command that raises `MissingDependencyError`."""
        target = f"aaptvae.cli.{VERBS[name]}:{name}" if name in VERBS else installed_verbs().get(name)
        if target is None:
            return None
        module, _, attribute = target.partition(":")
        try:
            command = getattr(importlib.import_module(module), attribute)
        except ImportError as error:
            command = _missing(name, error)
        if not isinstance(command, click.Command):
            return None
        command.help = command.help or (STRIPPED if sys.flags.optimize > 1 else None)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The first sentence of each verb's docstring."""
        for title, names in (("Verbs", list(VERBS)), ("With torch and onnx", sorted(installed_verbs()))):
            commands = [command for name in names if (command := self.get_command(ctx, name)) and not command.hidden]
            if commands:
                with formatter.section(title):
                    formatter.write_dl([(str(command.name), command.get_short_help_str(100)) for command in commands])


def installed_verbs() -> dict[str, str]:
    """Verbs that entry points of this distribution add, as `module:attribute`; never a name in `VERBS`."""
    return {name: target for name, target in entry_points("aaptvae.commands").items() if name not in VERBS}


def entry_points(group: str) -> dict[str, str]:
    """Functions of training and export that this distribution names in a group, as `module:attribute`."""
    return dict(_entries(group))


def _entries(group: str) -> Iterator[tuple[str, str]]:
    """Read the file itself where it is in a folder: importlib.metadata imports email, which takes as long as click."""
    for folder in sys.path:
        with contextlib.suppress(OSError):
            for name in os.listdir(folder or "."):  # noqa: PTH208
                if name.startswith("aaptvae-") and name.endswith(".dist-info"):
                    with open(os.path.join(folder, name, "entry_points.txt"), encoding="utf-8") as file:  # noqa: PTH118, PTH123
                        _, _, section = file.read().partition(f"[{group}]\n")
                    lines = (line.partition("=") for line in section.partition("[")[0].splitlines())
                    yield from ((verb.strip(), target.strip()) for verb, equals, target in lines if equals)
                    return
    from importlib.metadata import PackageNotFoundError, distribution  # noqa: PLC0415 - slow; for code in an archive

    with contextlib.suppress(PackageNotFoundError):
        yield from ((entry.name, entry.value) for entry in distribution("aaptvae").entry_points.select(group=group))


def _missing(name: str, error: ImportError) -> click.Command:
    @click.command(name, context_settings={"ignore_unknown_options": True}, add_help_option=False, hidden=True)
    @click.argument("rest", nargs=-1)
    def missing(rest: tuple[str, ...]) -> NoReturn:
        raise MissingDependencyError(f"{name} needs a package that is not installed ({error.name or error}): {EXTRA}")

    return missing


def _version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # noqa: PLC0415 - slow, and only needed here

        from ..engine import onnxruntime  # noqa: PLC0415

        click.echo(f"aaptvae {version('aaptvae')} (onnxruntime {onnxruntime().__version__})")
        ctx.exit()


@click.command(cls=Verbs, name="aaptvae", context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the versions of aaptvae and onnxruntime.",
)
def app() -> None:
    """Encode, decode and sample with a trained variational autoencoder, on numpy and onnxruntime alone."""


def run(arguments: list[str]) -> NoReturn:
    """Run a verb and exit: 0 done, 1 refused, 2 usage, 130 SIGINT, 143 SIGTERM."""
    try:
        try:
            status = app.main(arguments or ["--help"], prog_name="aaptvae", standalone_mode=False) or 0
            sys.stdout.flush()
        finally:
            if STOP.number:  # also where a library replaced SystemExit by its own error
                STOP.end()
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except AaptvaeError as error:
        status = _report(f"error: {error}", 1)
    except ModuleNotFoundError as error:
        status = _report(f"error: {arguments[0]} needs {error.name}, which is not installed: {EXTRA}", 1)
    except BrokenPipeError:
        status = 1  # the reader of stdout is gone
    except OSError as error:
        status = _report(f"error: {error.filename or 'system'}: {error.strerror or error}", 1)
    except MemoryError:
        status = _report("error: out of memory: pass a smaller --batch-size", 1)
    _exit(status if isinstance(status, int) else 0)


def _report(words: str, status: int) -> int:
    click.echo(printable(words), err=True)
    return status


def _exit(status: int) -> NoReturn:
    """Exit; at its own flush Python would print an error about a closed stdout, and exit with 120 for a full stderr."""
    for stream, failed in ((sys.stdout, 1), (sys.stderr, 0)):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            status = status or failed
    sys.exit(status)
