"""The verb that publishes a bundle on the Hugging Face Hub: push."""

import click

from .options import examples


@click.command(epilog=examples("push digits/ hf://you/digits --license cc-by-4.0 --private"))
@click.argument("bundle", type=click.Path())
@click.argument("address", metavar="hf://OWNER/NAME")
@click.option(
    "--license", "licence", metavar="ID", help="Licence in the pushed model card, as the Hub names it: mit, apache-2.0."
)
@click.option("--private", is_flag=True, help="Create a private repository; refuse an existing public one.")
@click.option("--revision", metavar="BRANCH", help="Branch to commit to, created if it does not exist. Default: main.")
def push(bundle: str, address: str, licence: str | None, private: bool, revision: str | None) -> None:
    """Upload a bundle to the Hugging Face Hub, after checking it.

    Needs huggingface_hub and a login (`hf auth login` or HF_TOKEN). Prints the address with the new commit.
    """
    from ..push import push as upload  # noqa: PLC0415 - only when the verb runs

    if revision is not None:
        if "@" in address:
            raise click.UsageError(f"{address} names a revision and so does --revision: give one of them")
        address = f"{address}@{revision}"
    pushed = upload(bundle, address, licence=licence, private=private)
    click.echo(pushed.address)
    click.echo(f"sha256 {pushed.digest}", err=True)
