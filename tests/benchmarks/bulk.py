"""100,000 rows from memory, checks included, against the best chunking of others: in place, and with fresh results."""

import itertools
from collections.abc import Iterator

import numpy as np
import rivals
from lines import Line, compare
from racing import race
from subject import Subject

import aaptvae
from aaptvae.engine.cpus import usable_cpus

ROWS, ROUNDS = 100_000, 5
SWEEP_ROWS, SWEEP_ROUNDS = 4_096, 3
CHUNKS = (128, 256, 512, 2048)


def lines(subject: Subject) -> Iterator[Line]:
    """encode and embed beside each rival at its best chunk, and threads for onnxruntime."""
    vae = aaptvae.load(subject.path)
    x = np.random.default_rng(0).standard_normal((ROWS, vae.input_dim), dtype=np.float32)
    out = (np.zeros((ROWS, vae.latent_dim), np.float32), np.zeros((ROWS, vae.latent_dim), np.float32))
    found = {
        "bare session": rivals.bare(subject, usable_cpus()),
        "bare session on 1 thread": rivals.bare(subject, 1),
        "torch eager": rivals.torch_eager(subject),
        "numpy": rivals.numpy_only(subject),
        "OpenVINO": rivals.openvino(subject, usable_cpus()),
    }
    encoders = {name: encode for name, encode in found.items() if encode}
    best = _best_chunks(encoders, x[:SWEEP_ROWS])
    entrants = {name: rivals.in_chunks(encode, x, best[name]) for name, encode in encoders.items()}
    size, width, whole = best["bare session"], vae.latent_dim, "torch eager in one call"
    entrants |= {
        "encode": lambda: vae.encode(x),
        "in place": lambda: vae.encode(x, out=out),
        "embed": lambda: vae.embed(x),
        whole: lambda: encoders["torch eager"](x),
        "kept": rivals.kept(encoders["bare session"], x, size, width),
    }
    times = race(entrants, ROUNDS)
    title, wanted = f"{ROWS:,} rows, {subject.form}:", {"bare session": "0.93x", "OpenVINO": "1x"}
    for name in encoders:
        others = f"encode(out=) against {name} in {best[name]}s, results dropped"
        yield compare(f"{title} {others}", times["in place"], times[name], wanted.get(name, ""), ROWS)
    yield compare(f"{title} encode(out=) against {whole}", times["in place"], times[whole], "1.5x", ROWS)
    yield compare(f"{title} encode against bare session, results kept", times["encode"], times["kept"], "0.93x", ROWS)
    yield compare(f"{title} embed against encode", times["embed"], times["encode"], "1.2x", ROWS)


def _best_chunks(encoders: dict[str, rivals.Encode], x: rivals.Rows) -> dict[str, int]:
    """Rows at once at which each rival was fastest."""
    entrants = {
        f"{name}\t{size}": rivals.in_chunks(encode, x, size)
        for (name, encode), size in itertools.product(encoders.items(), CHUNKS)
    }
    times = race(entrants, SWEEP_ROUNDS)
    return {name: min(CHUNKS, key=lambda size: times[f"{name}\t{size}"].best) for name in encoders}
