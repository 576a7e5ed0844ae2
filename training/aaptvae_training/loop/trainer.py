"""The training loop: AdamW on the negative ELBO, best weights by the unweighted validation ELBO, exact resume.

Nothing random outlives an epoch: order and noise are drawn from (seed, epoch, rank), so a checkpoint is weights,
optimiser state and a few numbers.
"""

import copy
import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..config import TrainConfig
from ..errors import RunError
from ..model.network import silenced
from ..model.objective import Objective
from ..progress import TrainingProgress
from ..run.layout import BEST, LAST
from ..run.state import Tensors, damaged, load_into, read_state, write_metrics, write_state
from .batches import Batches
from .malloc import freed_memory_kept
from .optimizer import make_optimizer
from .processes import World, wants_bf16
from .schedule import kl_weight, learning_rate
from .stopping import out_of_patience
from .validation import Gain, Validation, seed_noise

SMALLER_RATE = 0.1  # factor on the learning rate after an objective that is not finite
LEAST_FIDELITY = 0.25  # first weight of squared error where reconstructions are worse than PCA's; doubled after each epoch
MOST_FIDELITY = 64.0  # largest weight; without a limit, gradients overflow after 70 epochs
SAVE_EVERY = 5.0  # seconds between checkpoints, and so the most training that a kill loses beside the current epoch


@dataclass
class TrainingState:
    """Where a training has got to; saved in the same file as the weights."""

    epoch: int = 0  # epochs done
    best_epoch: int = -1
    best_elbo: float = -math.inf
    best_faithful: bool = False
    rate_scale: float = 1.0
    fidelity: float = 0.0  # factor of the squared error in standardised units
    own_fidelity: float = 0.0  # and in the features' own units
    done: bool = False
    promising_epoch: int = -1  # of the highest score so far, significant or not
    promising: float = -math.inf
    history: list[dict[str, int | float]] = field(default_factory=list)


class Trainer:
    """Fits a model to batches; `run` continues from the last checkpoint of `folder` if there is one."""

    def __init__(
        self,
        objective: Objective,
        batches: Batches,
        validation: Tensor,
        config: TrainConfig,
        folder: Path,
        world: World,
    ) -> None:
        self.model = model = objective.model
        self.batches, self.config, self.folder, self.world = batches, config, folder, world
        self.validation = Validation(validation, config.seed, world)
        self.state = TrainingState()
        self.best: Tensors = {}
        self.saved_at = 0.0
        self.epochs = config.epochs or 1
        self.steps = self.epochs * batches.steps
        self.plain = objective
        self.objective: nn.Module = objective if world.size == 1 else DistributedDataParallel(objective)
        self.average = copy.deepcopy(model).eval()  # of the weights over about one epoch: what is judged and kept
        self.bf16 = wants_bf16(config.precision, world.device)
        self.linear = self.validation.linear_start(model, objective.goal) if model.bounded else None

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        """Made when it is needed: the first one of a process imports torch's compiler, a second after the start is known."""
        return make_optimizer(self.model, self.config)

    def begin(self) -> int:
        """Go back to the last checkpoint, if there is one and that was not done yet; how many epochs are done."""
        if not self.state.history and (self.folder / LAST).exists():
            self.restore()
        return self.state.epoch

    @freed_memory_kept()
    def run(self, progress: TrainingProgress | None = None) -> TrainingState:
        """Train to the end and show `progress`; `RunError` if the objective cannot be kept finite."""
        progress = progress or TrainingProgress()
        self.begin()
        if not self.state.history:
            self.validate({})
            self.show_epoch(progress)
            self.save()
        while not self.state.done:
            figures = self.train_epoch(progress)
            self.state.epoch += 1
            self.validate(figures)
            self.state.done = self.state.epoch >= self.epochs or self.world.any(self.stops_early())
            if self.state.done or self.world.any(time.monotonic() - self.saved_at > SAVE_EVERY):
                self.save()
            self.show_epoch(progress)
        return self.state

    def show_epoch(self, progress: TrainingProgress) -> None:
        """Show the figures of the latest epoch."""
        progress.epoch(self.state.history[-1])

    def train_epoch(self, progress: TrainingProgress) -> dict[str, float]:
        """One pass over the rows; starts over at a lower rate, once, when the objective stops being finite."""
        # A copy, because the last checkpoint may be older, depending on the clock; a resumed training must give the same bits.
        good = {name: tensor.clone() for name, tensor in self.tensors().items()}
        while True:
            bad = self._pass(progress)
            if isinstance(bad, dict):
                return bad
            if self.state.rate_scale < 1:
                raise RunError(bad)
            self.load(good, self.folder / LAST)
            self.state.rate_scale = SMALLER_RATE

    def _pass(self, progress: TrainingProgress) -> dict[str, float] | str:
        """Figures of a finished pass, or the error message of one whose objective is not finite."""
        epoch = self.state.epoch
        self.model.train()
        self.plain.fidelity = (self.state.fidelity, self.state.own_fidelity)[: len(self.plain.goal.tolerated)]
        seed_noise(self.config.seed, epoch, self.world.rank)
        totals = torch.zeros(3, dtype=torch.float64)
        rate = 0.0
        for number, x in enumerate(self.batches.epoch(epoch)):
            step = epoch * self.batches.steps + number
            rate = self.set_rate(step)
            objective, nll, kl = self.step_loss(x, kl_weight(self.config, step, self.steps))
            finite = self.step(objective)
            if self.world.any(not finite):
                return self.explain_nan(step, x)
            totals += torch.stack([nll.detach().sum(), kl.detach().sum(), nll.new_tensor(len(x))]).double().cpu()
            progress.advance(1)
            del x  # a view of a buffer, which would outlive it
        nll_sum, kl_sum, rows = (float(t) for t in self.world.total(*totals))
        return {"learning_rate": rate, "train_elbo": -(nll_sum + kl_sum) / rows, "train_kl": kl_sum / rows}

    def step_loss(self, x: Tensor, beta: float) -> tuple[Tensor, Tensor, Tensor]:
        """The objective of a batch, in bf16 where that is wanted."""
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.bf16):
            objective: tuple[Tensor, Tensor, Tensor] = self.objective(x, beta)
        return objective

    def step(self, objective: Tensor) -> bool:
        """One update of the weights; False, and no update, when a gradient is not finite."""
        self.optimizer.zero_grad(set_to_none=True)
        objective.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        if not torch.isfinite(norm):
            return False
        self.optimizer.step()
        self.update_average()
        return True

    @torch.no_grad()
    def update_average(self) -> None:
        """Move the averaged weights towards the current ones, over about an epoch."""
        share = 1 / max(1, self.batches.steps)
        for mean, parameter in zip(self.average.parameters(), self.model.parameters(), strict=True):
            mean.lerp_(parameter, share)

    def set_rate(self, step: int) -> float:
        """Give the optimizer the learning rate of a step, and return it."""
        rate = self.state.rate_scale * learning_rate(self.config, step, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        return rate

    def explain_nan(self, step: int, x: Tensor) -> str:
        """The error message for an objective that is not finite."""
        return (
            f"the objective is not finite at step {step} (epoch {self.state.epoch + 1}), also at a tenth of the learning "
            f"rate; the largest feature of that batch is {self.farthest(x)}: try a lower --learning-rate, --precision fp32, "
            "or drop that column"
        )

    def farthest(self, x: Tensor) -> str:
        """The largest standardised feature of scaled rows [n, D] and its column, as the user's table has them."""
        extreme, column = self.model.scaler.to_standardised(x.double()).abs().amax(dim=0).max(dim=0)
        return f"{float(extreme):.3g} standard deviations out, in column {int(column)}"

    @torch.no_grad()
    def validate(self, figures: dict[str, float]) -> None:
        """Record the unweighted ELBO of the validation rows, with the same noise every time; keep the best weights."""
        for kept, buffer in zip(self.average.buffers(), self.model.buffers(), strict=True):
            kept.copy_(buffer)
        goal, bounds = self.plain.goal, self.validation.bounds(self.average)
        squares = self.validation.squared_errors(self.average, goal)
        rows = bounds.new_tensor(float(bounds.shape[1]))
        nll, kl, count, *totals = map(float, self.world.total(*bounds.sum(dim=1), rows, *squares.sum(dim=1)))
        reached = goal.reached([total / count for total in totals])
        if self.linear is not None:  # errors that are below PCA's by chance alone are no reason to lower their weight
            close = self.validation.as_close_as_pca(squares, self.linear.squares, self.model.scaler, goal)
            reached = [below and sure for below, sure in zip(reached, close, strict=True)]
        faithful = self.adjust_fidelity(reached)
        elbo = -(nll + kl) / count
        if not math.isfinite(elbo):
            where = f"; their largest feature is {self.farthest(self.validation.rows)}" if len(bounds[0]) else ""
            raise RunError(f"the validation ELBO is {elbo}{where}: drop such rows, or clip that column")
        state = self.state
        state.history.append({"epoch": state.epoch, "validation_elbo": elbo, "validation_kl": kl / count} | figures)
        if self.linear is None:
            # Weights that reconstruct as well as PCA are preferred, unless their likelihood is below that of the start.
            self.keep_best(faithful and elbo >= state.history[0]["validation_elbo"], elbo, eligible=True)
        elif state.epoch == 0:
            state.best_epoch = state.promising_epoch = 0
            state.best_elbo = state.promising = 0.0
            self.best = {name: tensor.clone() for name, tensor in silenced(self.average).state_dict().items()}
        else:
            gain = Gain.of(self.linear.losses - bounds.sum(dim=0), self.world)
            self.keep_best(faithful, gain.score, eligible=gain.beyond_chance and all(close))

    def keep_best(self, faithful: bool, score: float, *, eligible: bool) -> None:
        """Keep the averaged weights if they are `eligible`, past the warm-up, and better than the best so far."""
        state = self.state
        if state.epoch < self.config.kl_warmup * self.epochs:
            return
        if score > state.promising:
            state.promising, state.promising_epoch = score, state.epoch
        if eligible and (faithful, score) > (state.best_faithful, state.best_elbo):
            state.best_faithful, state.best_elbo, state.best_epoch = faithful, score, state.epoch
            self.best = {name: tensor.clone() for name, tensor in self.average.state_dict().items()}

    def adjust_fidelity(self, reached: Sequence[bool]) -> bool:
        """Raise the weight of squared error in each unit [U] in which PCA's is not reached, else lower it; whether all are."""
        before = self.state.fidelity, self.state.own_fidelity
        after = [
            f / 2 if met else min(max(LEAST_FIDELITY, 2 * f), MOST_FIDELITY) for f, met in zip(before, reached, strict=False)
        ]
        self.state.fidelity, self.state.own_fidelity = (*after, 0.0)[:2]
        return all(reached)

    def stops_early(self) -> bool:
        """Whether the validation ELBO has not improved for the configured share of the run."""
        improved = max(self.state.best_epoch, self.state.promising_epoch)
        return out_of_patience(self.config, self.epochs, self.state.epoch, improved)

    def save(self) -> None:
        """Write best weights and figures, then everything that a resumed training needs, each in one step.

        A kill between them is harmless: the resumed training computes the same weights and figures again.
        """
        self.saved_at = time.monotonic()
        if self.world.leads:
            facts = {"epoch": self.state.best_epoch} | ({} if self.linear is None else {"gain": self.state.best_elbo})
            write_state(self.folder / BEST, self.best, facts)
            write_metrics(self.folder, self.state.history)
            write_state(self.folder / LAST, self.tensors(), vars(self.state))
        self.world.wait()

    def tensors(self) -> Tensors:
        """Weights, their average and the state of the optimiser."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"average.{name}": tensor for name, tensor in self.average.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in state.items()}
        return tensors

    def restore(self) -> None:
        """Go back to the last checkpoint."""
        path = self.folder / LAST
        self.best, _ = read_state(self.folder / BEST)
        tensors, facts = read_state(path)
        self.load(tensors, path)
        try:
            self.state = msgspec.convert(facts, TrainingState)
        except msgspec.ValidationError as error:
            raise damaged(path, error) from None

    def load(self, tensors: Tensors, path: Path) -> None:
        """Take these weights, averages and optimiser state; errors name `path`."""
        for prefix, model in (("model.", self.model), ("average.", self.average)):
            weights = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
            load_into(model, weights, path)
        state: dict[int, dict[str, Any]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                found = re.fullmatch(r"optimizer\.(\d{1,9})\.(\w+)", name)
                if found is None:
                    raise damaged(path, f"{name} is no state of an optimiser")
                state.setdefault(int(found[1]), {})[found[2]] = tensor
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
