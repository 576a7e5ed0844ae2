"""Licences of all distributions that this interpreter's environment holds, one a line; run by that interpreter.

What the wheel itself ships comes first. A distribution that states no licence is an error.
"""

import sys
from importlib.metadata import Distribution, distributions

OWN = "aaptvae"
SHIPPED = "aaptvae_training/data (handwritten digits, shipped in the wheel): CC-BY-4.0"


def licence(distribution: Distribution) -> str:
    """The stated licence: an SPDX expression, else a short free text, else trove classifiers; empty if none is stated."""
    about = distribution.metadata
    stated = [about[key].strip() for key in ("License-Expression", "License") if key in about]
    text = next(filter(None, stated), "")
    if text and "\n" not in text:
        return text
    trove = [word.rpartition(":: ")[2] for word in about.get_all("Classifier") or [] if word.startswith("License ::")]
    return ", ".join(trove) or text.partition("\n")[0]


def main() -> int:
    """Print the list; 1 if a distribution states no licence."""
    found = sorted(distributions(), key=lambda one: (one.name != OWN, one.name.lower()))
    for distribution in found:
        print(f"{distribution.name} {distribution.version}: {licence(distribution) or 'NONE STATED'}")
        if distribution.name == OWN:
            print(SHIPPED)
    return int(not all(map(licence, found)))


if __name__ == "__main__":
    sys.exit(main())
