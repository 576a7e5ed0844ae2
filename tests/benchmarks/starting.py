"""Cold starts in fresh processes that take turns, and loading in a warm one."""

from collections.abc import Iterator
from functools import partial

import children
import numpy as np
import torch
from lines import Line, compare, duration
from racing import race
from subject import WIDTHS, Subject

import aaptvae

ROUNDS = 15
TORCH_ROUNDS = 5

OURS = "import aaptvae; aaptvae.load({path!r}).encode([[0.0] * {width}])"
BARE = """
import numpy, onnxruntime
for graph in ("encoder", "decoder"):
    onnxruntime.InferenceSession({path!r} + f"/{{graph}}.onnx", providers=["CPUExecutionProvider"])
"""
TORCH = """
import torch
D, H, L = {widths}
class Encoder(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.mu, self.logvar = torch.nn.Linear(D, H), torch.nn.Linear(H, L), torch.nn.Linear(H, L)
    def forward(self, x):
        h = torch.relu(self.hidden(x))
        return self.mu(h), self.logvar(h)
model = Encoder()
model.load_state_dict(torch.load({weights!r}, weights_only=True))
with torch.inference_mode():
    model.eval()(torch.zeros(1, D))
"""


def lines(subject: Subject) -> Iterator[Line]:
    """One row from nothing: ours, the least that onnxruntime needs, torch; and the help page."""
    facts = {"path": str(subject.path), "width": WIDTHS[0], "widths": WIDTHS, "weights": str(subject.path) + ".pt"}
    parts = {"hidden": subject.model.encoder[0], "mu": subject.model.mu, "logvar": subject.model.logvar}
    weights = {f"{name}.{key}": value for name, layer in parts.items() for key, value in layer.state_dict().items()}
    torch.save(weights, facts["weights"])
    ours, bare, other = (partial(children.run, children.PYTHON, "-c", text.format(**facts)) for text in (OURS, BARE, TORCH))
    times = race({"ours": ours, "bare": bare}, ROUNDS)
    title = "cold start to the first row:"
    yield compare(f"{title} against numpy, onnxruntime and two sessions", times["ours"], times["bare"], "at least 0.8x")
    times = race({"ours": ours, "torch": other}, TORCH_ROUNDS)
    yield compare(f"{title} against torch", times["ours"], times["torch"], "6x")
    help_page = partial(children.run, children.PYTHON, "-m", "aaptvae", "--help")
    times = race({"help": help_page, "pass": partial(children.run, children.PYTHON, "-c", "pass")}, ROUNDS)
    yield compare("`aaptvae --help` against `python -c pass`", times["help"], times["pass"], "at least 0.125x")
    rivals = {"load": partial(aaptvae.load, subject.path), "trusting": partial(aaptvae.load, subject.path, golden=False)}
    times = race(rivals, ROUNDS, 3)
    yield compare("load, checked and replayed, against load(golden=False)", times["load"], times["trusting"])
    x = np.zeros((1, WIDTHS[0]), np.float32)
    first = race({"load and encode": lambda: aaptvae.load(subject.path).encode(x)}, ROUNDS)
    yield Line("load and one row in a warm process", duration(first["load and encode"].median), "")
