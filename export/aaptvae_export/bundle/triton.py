"""A Triton model repository from the files of a bundle: two models with dynamic batching."""

import os
from collections.abc import Mapping

from aaptvae.bundle.manifest import MANIFEST, Manifest, TensorSpec, encode_manifest, graph_file
from aaptvae.files.publish import publish_folder

_MAX_BATCH = 4096

_CONFIG = """name: "{name}"
backend: "onnxruntime"
max_batch_size: {batch}
default_model_filename: "model.onnx"
input [{inputs}]
output [{outputs}]
dynamic_batching {{ }}
"""


def write_triton(
    manifest: Manifest, files: Mapping[str, bytes], destination: str | os.PathLike[str], *, force: bool = False
) -> None:
    """Write `NAME_encoder` and `NAME_decoder`, each with config.pbtxt and 1/model.onnx, and the manifest."""
    with publish_folder(destination, force=force) as folder:
        (folder / MANIFEST).write_bytes(encode_manifest(manifest))
        for graph in ("encoder", "decoder"):
            model = folder / f"{manifest.name}_{graph}"
            (model / "1").mkdir(parents=True)
            (model / "1" / "model.onnx").write_bytes(files[graph_file(graph)])
            (model / "config.pbtxt").write_text(_write_config(manifest, graph), encoding="utf-8")


def _write_config(manifest: Manifest, graph: str) -> str:
    """`config.pbtxt` of one graph: its tensors without the batch axis, which Triton adds."""
    spec = manifest.encoder if graph == "encoder" else manifest.decoder
    return _CONFIG.format(
        name=f"{manifest.name}_{graph}",
        batch=_MAX_BATCH,
        inputs=", ".join(map(_tensor, spec.inputs)),
        outputs=", ".join(map(_tensor, spec.outputs)),
    )


def _tensor(tensor: TensorSpec) -> str:
    return f'{{ name: "{tensor.name}" data_type: TYPE_{tensor.datatype} dims: [ {tensor.shape[1]} ] }}'
