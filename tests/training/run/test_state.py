"""Checkpoints with wrong headers are refused before memory is allocated for what they declare."""

import json
from pathlib import Path

import pytest
import torch

from aaptvae_training.errors import RunError
from aaptvae_training.model import AAPTVAE
from aaptvae_training.run.state import load_into, read_state, write_state

LIES = {
    "a huge shape": {"shape": [1 << 40, 1 << 20]},
    "bytes beyond the file": {"data_offsets": [0, 1 << 50]},
    "bytes of another tensor": {"data_offsets": [0, 20]},
    "offsets in the wrong order": {"data_offsets": [48, 0]},
    "another type": {"dtype": "F64"},
    "an unknown type": {"dtype": "X9"},
}


@pytest.mark.parametrize("name", LIES)
def test_a_header_with_wrong_sizes_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "state.safetensors"
    write_state(path, {"a": torch.ones(3, 4), "b": torch.ones(5)}, {"epoch": 3})
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["a"] |= LIES[name]
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])
    with pytest.raises(RunError, match=r"state\.safetensors is damaged .*: train again, or restore the file"):
        read_state(path)


def test_weights_without_a_mask_take_it_from_scales() -> None:
    """Version 0.1.0 gave constant columns the scale 1 and stored no mask."""
    weights = AAPTVAE(4, 2, 3).state_dict()
    del weights["scaler.constant"]
    weights["scaler.scale"] = torch.tensor([1.0, 2.0, 1.0, 0.5], dtype=torch.float64)
    model = AAPTVAE(4, 2, 3)
    load_into(model, weights, Path("best.safetensors"))
    assert model.scaler.constant.tolist() == [True, False, True, False]
