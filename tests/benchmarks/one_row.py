"""One row at a time: what the checks around the session cost, and what others take."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import rivals
from lines import Line, compare, duration
from racing import race
from subject import Subject

import aaptvae

ROUNDS, CALLS = 101, 50
PAIRS = 301
MOST_OVER_BARE = 8e-6


def lines(subject: Subject) -> Iterator[Line]:
    """encode beside each rival, embed beside encode."""
    vae = aaptvae.load(subject.path)
    x = np.random.default_rng(0).standard_normal((1, vae.input_dim), dtype=np.float32)
    others = {
        "bare session, 1 thread": rivals.bare(subject, 1),
        "torch eager": rivals.torch_eager(subject),
        "numpy": rivals.numpy_only(subject),
        "OpenVINO": rivals.openvino(subject, 1),
    }
    present = {name: encode for name, encode in others.items() if encode}
    entrants = {"encode": vae.encode, "embed": vae.embed} | present
    times = race({name: partial(encode, x) for name, encode in entrants.items()}, ROUNDS, CALLS)
    ours, title = times["encode"], f"1 row, {subject.form}: encode against"
    wanted = {"torch eager": "1.5x"}
    for name in present:
        yield compare(f"{title} {name}", ours, times[name], wanted.get(name, ""))
    pair = race({"ours": partial(vae.encode, x), "bare": partial(present["bare session, 1 thread"], x)}, PAIRS, CALLS)
    over = [a - b for a, b in zip(pair["ours"].seconds, pair["bare"].seconds, strict=True)]
    texts = [duration(max(0.0, value)) for value in (float(np.median(over)), pair["ours"].best - pair["bare"].best)]
    yield Line(
        f"1 row, {subject.form}: encode over the bare session",
        "{}, of best {}".format(*texts),
        "",
        wanted=f"at most {duration(MOST_OVER_BARE)}",
    )
    yield compare(f"1 row, {subject.form}: embed against encode", times["embed"], ours, "1.2x")
