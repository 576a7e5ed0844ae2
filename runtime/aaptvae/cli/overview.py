"""Which verbs there are and the page that lists them. Imports nothing, so that help comes at once."""

import os
import sys

VERBS = {
    "encode": ("verbs_rows", "Features to latents: the posterior means."),
    "decode": ("verbs_rows", "Latents to features."),
    "reconstruct": ("verbs_rows", "Features to latents and back."),
    "score": ("verbs_rows", "Reconstruction error, KL divergence and ELBO of each row."),
    "sample": ("verbs_generate", "New rows from the prior."),
    "interpolate": ("verbs_generate", "Walk through latent space from row to row."),
    "info": ("verbs_bundle", "What a bundle says about itself."),
    "verify": ("verbs_bundle", "Check a bundle and replay its golden vectors on this machine."),
    "bench": ("verbs_bundle", "Latency and rows per second on this machine."),
}
EXTRA = 'pip install "aaptvae[train]"'

_PAGE = """Usage: aaptvae VERB [OPTIONS] ...

  Encode, decode and sample with a trained variational autoencoder, on numpy and onnxruntime alone.

Verbs:
{verbs}

With {extra}:
  {plugins}

Options:
  --version  Versions of aaptvae and onnxruntime.
  --help     This page; aaptvae VERB --help explains a verb, with examples.

Results go to stdout or to the file named by -o, talk goes to stderr. Exit status: 0 done, 1 refused, 2 wrong usage.
Completion in bash (zsh and fish alike): eval "$(_AAPTVAE_COMPLETE=bash_source aaptvae)"
"""


def page() -> str:
    """The page of `aaptvae --help`."""
    verbs = "\n".join(f"  {verb:<12} {text}" for verb, (_, text) in VERBS.items())
    return _PAGE.format(verbs=verbs, extra=EXTRA, plugins=", ".join(sorted(plugins())) or "(none installed)")


def plugins() -> dict[str, str]:
    """Verbs that installed packages named aaptvae* add, as `module:attribute`.

    Reads their entry points of the group aaptvae.commands; importlib.metadata takes longer than all the rest of help.
    """
    found: dict[str, str] = {}
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")  # noqa: PTH208 - pathlib is not imported yet
        except OSError:
            continue
        for name in names:
            if name.startswith("aaptvae") and name.endswith(".dist-info"):
                found = _commands(f"{folder or '.'}/{name}/entry_points.txt") | found
    return {verb: target for verb, target in found.items() if verb not in VERBS}


def _commands(path: str) -> dict[str, str]:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            lines = [line.strip() for line in file]
    except OSError:
        return {}
    section, found = "", {}
    for line in lines:
        section = line if line.startswith("[") else section
        verb, equals, target = line.partition("=")
        if equals and section == "[aaptvae.commands]":
            found[verb.strip()] = target.strip()
    return found
