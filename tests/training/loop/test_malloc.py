"""Page faults of a training step, which freed memory causes, measured in a fresh process."""

import sys

import pytest
from forked import script

FAULTS = """
import resource, tempfile
from pathlib import Path
import torch
from aaptvae_training.loop import trainer
from aaptvae_training.loop.malloc import freed_memory_kept
from aaptvae_training.loop.batches import ResidentBatches
from aaptvae_training.config import TrainConfig
from aaptvae_training.loop.processes import World
from aaptvae_training.model.network import AAPTVAE
from aaptvae_training.progress import TrainingProgress
world = World(0, 1, torch.device("cpu"))
batches = ResidentBatches(torch.randn(1024, 512), 128, 0, world)
config = TrainConfig(latent_dim=256, epochs=100)
loop = trainer.Trainer(trainer.Objective(AAPTVAE(linear_skip=True)), batches, batches.table[:1], config, Path(), world)
def epoch():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    loop.train_epoch(TrainingProgress())
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
with freed_memory_kept():
    print(sorted(epoch() for _ in range(7))[3] / batches.steps)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc can be told")
def test_a_step_causes_few_page_faults() -> None:
    assert float(script(FAULTS)) < 50  # thousands where freed memory is returned at once, as some versions of glibc do


KEPT = """
from pathlib import Path
import torch
from aaptvae_training.loop.malloc import freed_memory_kept
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
before = resident()
with freed_memory_kept():
    blocks = [torch.ones(5_000_000) for _ in range(20)]
    last = torch.ones(1_000_000)
    del blocks
    within = resident() - before
print(within, resident() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc can be told")
def test_kept_memory_is_returned_after_training() -> None:
    within, after = map(int, script(KEPT).split())
    assert within > 300e6 and after < 50e6
