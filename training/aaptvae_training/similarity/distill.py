"""Training of a similarity head: within batches, its similarities are made to match those of the full vectors.

Similarity distillation: KL(softmax(similarities of the full vectors) || softmax(similarities of the head)) per row, plus the
squared error of the similarities. A cosine is compared through the squared distance 2 - 2 cos of normalised vectors, so
that one loss serves both geometries.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from aaptvae.rows import Rows

from .head import SimilarityHead
from .recall import NEIGHBOURS, Geometry

EPOCHS = 150  # with DECAY, more steps find more neighbours of unseen rows too
STEPS = (30, 3_000)  # least and most
BATCH_ROWS = 512
RATE = 1e-3  # peak; it falls to zero along a half cosine
DECAY = 3.0  # of weights: without it, the head finds neighbours of rows that it trained on better than those of others
WARMUP = 20  # steps
BANDWIDTH = 0.1  # of a row's squared distance to its 10th neighbour in the batch: the temperature of the softmax
SQUARED_ERROR = 1.0  # weight of the squared error, of distances in units of their mean: 10 finds fewer neighbours
FAR = 1e4  # logit of a row with itself, negated


def distill(head: SimilarityHead, x: Rows, geometry: Geometry, seed: int, tick: Callable[[int], object]) -> None:
    """Train `head` in place on raw rows `x` [N, D]; deterministic for a seed and a number of threads."""
    generator = torch.Generator().manual_seed(seed)
    size = min(BATCH_ROWS, len(x))
    # A cosine ignores the size of the linear map, so that it may decay too; distances do not.
    free = [] if geometry == "cosine" else list(head.linear.parameters())
    decayed = [parameter for parameter in head.parameters() if not any(parameter is other for other in free)]
    groups = [{"params": decayed, "weight_decay": DECAY}, {"params": free, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW([group for group in groups if group["params"]], lr=RATE)
    with torch.no_grad():
        inputs = head.standardise(torch.from_numpy(x).double()).float()
        targets = F.normalize(torch.from_numpy(x), dim=1) if geometry == "cosine" else inputs
    order, at, steps = torch.randperm(len(x), generator=generator), 0, steps_of(len(x))
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / WARMUP) * 0.5 * (1 + math.cos(math.pi * step / steps))
        if at + size > len(x):
            order, at = torch.randperm(len(x), generator=generator), 0
        rows = order[at : at + size]
        at += size
        y = head.learned(inputs[rows])
        loss = similarity_loss(targets[rows], F.normalize(y, dim=1) if geometry == "cosine" else y)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch has no annotation here
        optimizer.step()
        tick(1)


def steps_of(rows: int) -> int:
    """Training steps for a table of this many rows."""
    least, most = STEPS
    return min(max(least, EPOCHS * rows // min(BATCH_ROWS, rows)), most)


def similarity_loss(full: Tensor, short: Tensor) -> Tensor:
    """How far the similarities among `short` [N, S] are from those among `full` [N, D]: a scalar."""
    wanted, found = squared_distances(full), squared_distances(short)
    own = torch.eye(len(full), dtype=torch.bool)
    with torch.no_grad():
        kth = min(NEIGHBOURS + 1, len(full))  # the row itself is the first
        scale = (BANDWIDTH * wanted.kthvalue(kth, dim=1).values[:, None]).clamp(min=1e-6)
        target = F.log_softmax((-wanted / scale).masked_fill(own, -FAR), dim=1)
        unit = wanted.mean().clamp(min=1e-12)
    predicted = F.log_softmax((-found / scale).masked_fill(own, -FAR), dim=1)
    divergence = (target.exp() * (target - predicted)).sum(dim=1).mean()
    return divergence + SQUARED_ERROR * ((wanted - found) / unit).square().mean()


def squared_distances(rows: Tensor) -> Tensor:
    """Squared Euclidean distances among rows [N, D]: [N, N]."""
    squares = rows.square().sum(dim=1)
    return (squares[:, None] + squares - 2 * rows @ rows.T).clamp(min=0)
