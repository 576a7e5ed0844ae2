"""The click group behind the verbs, and how every run of the command line ends: exit status, one line, no traceback."""

import importlib
import os
import sys
from typing import NoReturn

import click

from ..errors import AaptvaeError, MissingDependencyError
from .options import printable
from .overview import EXTRA, VERBS, page, plugins
from .stop import STOP


class Verbs(click.Group):
    """Every verb is imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Our verbs, then those of other packages."""
        return [*VERBS, *sorted(plugins())]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The verb called `name`; where its packages are missing, one that says so."""
        target = f"aaptvae.cli.{VERBS[name][0]}:{name}" if name in VERBS else plugins().get(name)
        if target is None:
            return None
        module, _, attribute = target.partition(":")
        try:
            command = getattr(importlib.import_module(module), attribute)
        except ImportError as error:
            command = _missing(name, error)
        return command if isinstance(command, click.Command) else None

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The same page that is printed without click."""
        formatter.write(page().rstrip("\n"))


def _missing(name: str, error: ImportError) -> click.Command:
    @click.command(name, context_settings={"ignore_unknown_options": True}, add_help_option=False, hidden=True)
    @click.argument("rest", nargs=-1)
    def missing(rest: tuple[str, ...]) -> NoReturn:
        raise MissingDependencyError(f"{name} needs a package that is not installed ({error.name or error}): {EXTRA}")

    return missing


def _version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # noqa: PLC0415 - slow, and only needed here

        from ..engine.network import onnxruntime  # noqa: PLC0415

        click.echo(f"aaptvae {version('aaptvae')} (onnxruntime {onnxruntime().__version__})")
        ctx.exit()


@click.command(cls=Verbs, name="aaptvae", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version)
def app() -> None:
    """Encode, decode and sample with a trained variational autoencoder."""


def run(arguments: list[str]) -> NoReturn:
    """Run a verb and exit: 0 done, 1 refused, 2 usage, 130 SIGINT, 143 SIGTERM."""
    try:
        try:
            status = app.main(arguments, prog_name="aaptvae", standalone_mode=False) or 0
            sys.stdout.flush()
        finally:
            if STOP.number:  # whatever a library has made of it on the way
                STOP.end()
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except AaptvaeError as error:
        status = _end(f"error: {error}", 1)
    except ModuleNotFoundError as error:
        status = _end(f"error: {arguments[0]} needs {error.name}, which is not installed: {EXTRA}", 1)
    except BrokenPipeError:
        status = 1  # the reader has gone, there is nobody to tell
    except OSError as error:
        status = _end(f"error: {error.filename or 'system'}: {error.strerror or error}", 1)
    except MemoryError:
        status = _end("error: out of memory: give it less at once, with a smaller --batch-size", 1)
    _hang_up(status if isinstance(status, int) else 0)


def _end(words: str, status: int) -> int:
    click.echo(printable(words), err=True)
    return status


def _hang_up(status: int) -> NoReturn:
    """Exit without the complaint of a closed pipe that Python would print on the way out."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = status or 1
    sys.exit(status)
