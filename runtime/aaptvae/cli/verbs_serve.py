"""The verb that answers requests over HTTP: serve."""

import math
from typing import Any

import click

from ..serve.settings import MIB, Limits, Options
from .options import PRECISIONS, examples, printable

DEFAULTS = Limits()
BUSY_POLL = round(Options().busy_poll * 1e6)


class Seconds(click.FloatRange):
    """A finite number; click's own range accepts NaN."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Fail for NaN and infinity."""
        seconds: float = super().convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail(f"{seconds} is not a finite number of seconds.", param, ctx)
        return seconds


@click.command(
    epilog=examples(
        "serve digits/",
        "serve digits/ digits:2=newer.zip hf://owner/name@main --port 9000 --workers 4",
        "serve digits/ --host 0.0.0.0 --token-file token.txt",
    )
)
@click.argument("bundles", metavar="BUNDLE...", nargs=-1, required=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0: any free port.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 1024), help="Processes that share the port.")
@click.option("--threads", type=click.IntRange(1), help="Threads for large requests, per worker. Default: CPUs / workers.")
@click.option("--precision", default="fp32", show_default=True, type=click.Choice(PRECISIONS))
@click.option("--provider", "providers", multiple=True, metavar="NAME", help="onnxruntime provider; repeatable.")
@click.option("--token-file", type=click.Path(), metavar="FILE", help="File with the token that clients must send.")
@click.option(
    "--max-body",
    default=DEFAULTS.body // MIB,
    show_default=True,
    type=click.IntRange(1, 1024),
    help="MiB of a request or an answer.",
)
@click.option("--max-rows", default=DEFAULTS.rows, show_default=True, type=click.IntRange(1), help="Rows of a request.")
@click.option(
    "--queue", default=DEFAULTS.queue, show_default=True, type=click.IntRange(0), help="Requests that wait for a thread."
)
@click.option(
    "--connections", default=DEFAULTS.connections, show_default=True, type=click.IntRange(1), help="Open at once, per worker."
)
@click.option(
    "--timeout",
    default=DEFAULTS.arrival,
    show_default=True,
    type=Seconds(0.1),
    help="Seconds to send a request, or to wait.",
)
@click.option("--drain", default=DEFAULTS.drain, show_default=True, type=Seconds(0), help="Seconds of answers after SIGTERM.")
@click.option(
    "--busy-poll",
    default=BUSY_POLL,
    show_default=True,
    type=click.IntRange(0, 100_000),
    metavar="MICROSECONDS",
    help="After an answer, look for the next request this long before sleeping, while that finds some. 0: sleep at once.",
)
def serve(bundles: tuple[str, ...], host: str, port: int, **chosen: Any) -> None:
    """Answer requests over HTTP, in the Open Inference Protocol V2 (as Triton and KServe).

    A bundle NAME becomes the models NAME_encoder, NAME_decoder, NAME_embed, NAME_reconstruct, NAME_score and NAME_sample.
    Write NAME=BUNDLE or NAME:VERSION=BUNDLE for another name or version. SIGHUP reads the bundles again; SIGTERM ends
    after the requests in progress. Needs the packages httptools and uvloop.
    """
    try:
        from ..serve.workers import Server  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        from ..errors import MissingDependencyError  # noqa: PLC0415

        raise MissingDependencyError(f"serve needs {error.name}: pip install httptools uvloop") from None
    from ..engine import Settings  # noqa: PLC0415
    from ..serve.listening import listen  # noqa: PLC0415
    from ..serve.repository import ServedBundle  # noqa: PLC0415

    settings = Settings(list(chosen["providers"]) or None, 1)
    server = Server([ServedBundle.parse(text) for text in bundles], _options(chosen), chosen["precision"], settings, _say)
    with listen(host, port) as listener:
        server.run(listener)


def _options(chosen: dict[str, Any]) -> Options:
    from ..engine import usable_cpus  # noqa: PLC0415

    limits = Limits(
        body=chosen["max_body"] * MIB,
        rows=chosen["max_rows"],
        queue=chosen["queue"],
        connections=chosen["connections"],
        arrival=chosen["timeout"],
        waiting=chosen["timeout"],
        drain=chosen["drain"],
    )
    threads = chosen["threads"] or max(1, usable_cpus() // chosen["workers"])
    return Options(limits, threads, chosen["workers"], _token(chosen["token_file"]), chosen["busy_poll"] * 1e-6)


def _token(path: str | None) -> bytes | None:
    """The first line of the file; `InputError` unless it holds 16 or more printable characters without spaces."""
    if path is None:
        return None
    from ..errors import InputError  # noqa: PLC0415

    with open(path, "rb") as file:  # noqa: PTH123 - one read
        token = file.readline(4096).strip()
    if len(token) < 16 or not all(33 <= byte < 127 for byte in token):
        raise InputError(f"{path} has a token of {len(token)} bytes: expected 16 or more, of ASCII without spaces")
    return token


def _say(text: str) -> None:
    click.echo(printable(text), err=True)
