"""The graphs of bundles on other runtimes, within the tolerance of the golden vectors: OpenVINO, and ONNX Runtime in Node.

`make engines` installs both; runtime/web's tests run the whole bundle in Node and in a browser.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import aaptvae
from aaptvae.bundle.golden import Golden, Replay
from aaptvae.bundle.manifest import GOLDEN, graph_file
from aaptvae.bundle.reading import read_bundle

ROOT = Path(__file__).parents[2]
BUNDLES = ("artifacts/digits", "tests/runtime/tiny", "tests/fixtures/schema1/bundle", "tests/web/bounded")
NODE_MODULES = ROOT / "runtime/web/node_modules/onnxruntime-node"
NODE = """
const [graph, input, columns, ...outputs] = process.argv.slice(1), fs = require("fs");
const ort = require("onnxruntime-node");
(async () => {
  const session = await ort.InferenceSession.create(graph), bytes = fs.readFileSync(input + ".f32");
  const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const found = await session.run({ [input]: new ort.Tensor("float32", values, [values.length / columns, +columns]) });
  for (const name of outputs) fs.writeFileSync(name + ".f32", Buffer.from(found[name].data.buffer));
})();
"""

Run = Callable[[str, np.ndarray], list[np.ndarray]]  # a graph's name and its input -> its outputs


def replayed(bundle: Path, run: Run) -> tuple[Replay, ...]:
    """The differences from torch's results that `aaptvae verify` allows on the processor."""
    found, unit = read_bundle(bundle), aaptvae.load(bundle).observation.unit
    golden = Golden.read(found.files[GOLDEN], found.manifest, unit)
    return golden.replay(lambda x, _: run("encoder", x), lambda z, _: run("decoder", z)[0], "fp32")


@pytest.mark.parametrize("bundle", BUNDLES)
def test_openvino_with_the_f32_hint_confirms_the_golden_vectors(bundle: str) -> None:
    """Without the hint, processors with bf16 compute in bf16."""
    openvino = pytest.importorskip("openvino", reason="openvino is not installed: make engines")
    core = openvino.Core()

    def run(graph: str, values: np.ndarray) -> list[np.ndarray]:
        model = core.compile_model(ROOT / bundle / graph_file(graph), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return [*model([values]).values()]

    for replay in replayed(ROOT / bundle, run):
        replay.require()


@pytest.mark.skipif(shutil.which("node") is None or not NODE_MODULES.is_dir(), reason="no node or onnxruntime-node: make web")
@pytest.mark.parametrize("bundle", BUNDLES)
def test_onnxruntime_in_node_confirms_the_golden_vectors(bundle: str, tmp_path: Path) -> None:
    def run(graph: str, values: np.ndarray) -> list[np.ndarray]:
        names = {"encoder": ("x", "mu", "logvar"), "decoder": ("z", "reconstruction")}[graph]
        (tmp_path / f"{names[0]}.f32").write_bytes(values.tobytes())
        command = ["node", "-e", NODE, ROOT / bundle / graph_file(graph), names[0], str(values.shape[1]), *names[1:]]
        subprocess.run(command, cwd=tmp_path, env=os.environ | {"NODE_PATH": str(NODE_MODULES.parent)}, check=True)
        return [
            np.frombuffer((tmp_path / f"{name}.f32").read_bytes(), np.float32).reshape(len(values), -1) for name in names[1:]
        ]

    for replay in replayed(ROOT / bundle, run):
        replay.require()
