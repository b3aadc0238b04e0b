"""The loop: batches of rows, their losses, a step of Adam, a look at validation pairs, until the watch says stop.

    minimise  L_sen + lambda L_ben + mu L_contrast

L_sen: the refusal prefix after a sensitive question; L_ben: the base model's own first words after its benign twin; L_contrast: the own
first words where the same attribute words are harmless. A method supplies what differs: the tensors, and what becomes of their gradient.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor, nn

from neuralgate.edit_settings import TrainedConfig
from neuralgate.errors import UserError
from neuralgate.locate.gate import Gate
from neuralgate.lvlm.fast.below import Below
from neuralgate.lvlm.fast.packing import Packed
from neuralgate.lvlm.forward import check_gradient
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import Example
from neuralgate.pairs.schema import PairSet
from neuralgate.training.batches import Inputs, Unpacked, inputs_of
from neuralgate.training.losses import HALF_SCALE, answer_logits, answer_losses, held_losses, row_weights
from neuralgate.training.masks import SHARE_NAMES, flow_recorded, flow_shares
from neuralgate.training.masters import Masters
from neuralgate.training.objectives import REFUSE, Objective
from neuralgate.training.reached import Reached
from neuralgate.training.rows import BENIGN, CONTRAST, SENSITIVE, Row, schedule
from neuralgate.training.watch import Watch

#: What is around a batch's forward pass, so that of its gradient only a part reaches the trained tensors.
Gating = Callable[[Packed | Unpacked, Sequence[Row]], AbstractContextManager[None]]

Picking = Callable[[dict[str, Tensor]], dict[str, Tensor]]


class Diverged(UserError):
    """The loss became no finite number."""


class Trainer:
    """Trains ``parameters`` (role -> parameter of decoder layers ``layers``) on training pairs with their targets; everything else in
    the model is frozen.

    Args:
        gating: what is around a batch's forward pass; nothing where the whole gradient passes.
        picking: from the first step's gradients (role -> tensor) to the values that are trained (role -> booleans); else all are.
        inputs: those of another edit of the same model with the same lowest layer, to compute nothing twice.
        objective: what is taught about the sensitive questions of edited subjects.
        still: roles that have no gradient at the first step, by their nature.
        gate: what ``gating`` hangs on beside the settings.

    Raises:
        UserError: a parameter cannot be trained.
    """

    def __init__(
        self,
        lvlm: LVLM,
        pairs: PairSet,
        config: TrainedConfig,
        parameters: dict[str, nn.Parameter],
        layers: Sequence[int],
        gating: Gating | None = None,
        picking: Picking | None = None,
        inputs: Inputs | None = None,
        objective: Objective = REFUSE,
        still: Collection[str] = (),
        gate: Gate | None = None,
    ) -> None:
        self.lvlm, self.pairs, self.config, self.layers = lvlm, pairs, config, list(layers)
        self.masters = Masters(parameters)
        self.gating = gating or (lambda _batch, _rows: nullcontext())
        self.picking, self.picked = picking, dict[str, Tensor]()
        self.inputs = inputs or inputs_of(lvlm, min(layers))
        self.below = Below(lvlm, min(layers))
        self.fitting = lvlm.batches(4 * config.batch_size, "training rows")
        self.rng = np.random.default_rng([config.seed, 3])
        self.weights = {SENSITIVE: 1.0, BENIGN: config.lambda_benign, CONTRAST: config.contrast_weight}
        self.objective, self.base_losses = objective, dict[Example, float]()
        self.still, self.gate = still, gate
        self.is_below_top = max(layers) < len(lvlm.layers) - 1
        self.begun = False  # whether a gradient has been taken

    def losses_of(self, batch: Packed | Unpacked, count: int) -> Tensor:
        """The losses of a batch's ``count`` examples as the model gives them, ``(N,)``."""
        return answer_losses(self.lvlm, batch, count, self.is_below_top)

    def row_losses(self, rows: Sequence[Row], is_gated: bool = True) -> Tensor:
        """The NLL of each row, nats a token, ``(N,)``, with its gradient, the gated one, attached; or the divergence where that is to be
        held."""
        batch = self.inputs.batch([row.example for row in rows])
        base_TV = self.base_logits(batch) if self.objective.divergence_weight else None
        with self.gating(batch, rows) if is_gated else nullcontext():
            if base_TV is None:
                return self.losses_of(batch, len(rows))
            taught_N = torch.tensor([row.part == SENSITIVE for row in rows], device=batch.labels_BT.device)
            weights = (self.objective.answer_weight, self.objective.divergence_weight, self.objective.most)
            return held_losses(self.lvlm, batch, base_TV, taught_N, weights, self.is_below_top)

    @torch.no_grad()
    def base_logits(self, batch: Packed | Unpacked) -> Tensor:
        """Those of the base model at a batch's target tokens, ``(T, V)``."""
        with self.masters.at(self.masters.base):
            return answer_logits(self.lvlm, batch, self.is_below_top)[0]

    def target_counts(self, rows: Sequence[Row]) -> Tensor:
        """The number of target tokens of each row, ``(N,)``."""
        batch = self.inputs.batch([row.example for row in rows])
        return torch.bincount(batch.examples_BT[batch.labels_BT >= 0], minlength=len(rows))

    def known_losses(self, rows: Sequence[Row]) -> Tensor:
        """The base model's NLL of each row, ``(N,)``, nats in all; a row's is computed once."""
        missing = {row.example: row for row in rows if row.example not in self.base_losses}
        if missing:
            fresh = list(missing.values())
            with torch.no_grad(), self.masters.at(self.masters.base):
                losses_N = self.losses_of(self.inputs.batch(list(missing)), len(fresh)) * self.target_counts(fresh)
            self.base_losses.update(zip(missing, losses_N.tolist(), strict=True))
        return torch.tensor([self.base_losses[row.example] for row in rows], device=self.lvlm.device)

    def unit_losses(self, units: Sequence[Sequence[Row]], is_gated: bool = True) -> Tensor:
        """The loss of each unit of the objective, ``(U,)``, with its gradient attached."""
        rows = [row for unit in units for row in unit]
        base_N = self.known_losses(rows) if self.objective.compares else None
        losses_N = self.row_losses(rows, is_gated=is_gated)
        if base_N is not None:
            counts_N = self.target_counts(rows).to(losses_N)
            taught_N = torch.tensor([row.part == SENSITIVE for row in rows], device=losses_N.device)
            losses_N = torch.where(taught_N, losses_N * counts_N, losses_N)
        return torch.stack(self.objective.losses(units, losses_N, None if base_N is None else base_N.to(losses_N)))

    def gradients(self, rows: Sequence[Row]) -> tuple[float, dict[str, float]]:
        """Leave the gradient of a batch in the masters; return its total loss and the mean of each part. As many units at a
        time as fit into memory, which changes nothing but the order of sums.

        Raises:
            Diverged: the loss is no finite number.
            UserError: nothing gets a gradient at the first step.
        """
        units = self.objective.units(rows)
        firsts = [unit[0] for unit in units]
        means = dict.fromkeys((row.part for row in firsts), 0.0)
        counts = Counter(row.part for row in firsts)
        parameters, copies = list(self.masters.parameters.values()), self.masters.copies
        totals = [torch.zeros_like(copy) for copy in copies.values()]
        scale = HALF_SCALE if self.masters.are_half else 1.0

        def work(chosen: Sequence[tuple[tuple[Row, ...], float]]) -> float:
            losses_U = self.unit_losses([unit for unit, _ in chosen])
            total = (losses_U * losses_U.new_tensor([weight for _, weight in chosen])).sum()
            parts = torch.autograd.grad(scale * total, parameters, allow_unused=True) if total.requires_grad else [None] * len(parameters)
            for sum_DF, part_DF in zip(totals, parts, strict=True):
                if part_DF is not None:  # zeros are looked at below
                    sum_DF += part_DF.to(sum_DF.dtype) / scale
            for (unit, _), loss in zip(chosen, losses_U.tolist(), strict=True):
                means[unit[0].part] += loss / counts[unit[0].part]
            return total.item()

        total = sum(self.fitting.run(work, list(zip(units, row_weights(firsts, self.weights), strict=True))))
        if not math.isfinite(total):
            raise Diverged(f"The loss of the edit became {total}; lower edit.rate ({self.config.rate} now).")
        gradients = dict(zip(copies, totals, strict=True))
        if not self.begun:
            for role, gradient in gradients.items():
                if role not in self.still:
                    check_gradient(gradient, f"The edited weights of {role}")
            self.picked = self.picking(gradients) if self.picking else {}
        for role, copy in copies.items():  # Adam leaves a value that never had a gradient where it is
            copy.grad = torch.where(self.picked[role], gradients[role], 0) if self.picked else gradients[role]
        self.begun = True
        return total, means

    def optimizer(self) -> torch.optim.Optimizer:
        if self.config.rate == "auto":
            raise UserError("The edit has no rate yet; set edit.rate, or call edit(), which finds one.")
        return torch.optim.Adam(list(self.masters.copies.values()), lr=self.config.rate, eps=self.config.eps)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """One optimiser step on the masters, rounded into the model."""
        optimizer.step()
        self.masters.round_in()

    def gradient_share(self, rows: Sequence[Row]) -> dict[str, float]:
        """Where the gradient of a batch arrives at the FFN's output projection of the highest trained layer, before any gate."""

        def shares(chosen: Sequence[tuple[Row, ...]]) -> dict[str, float]:
            store: dict[str, Tensor] = {}
            batch = self.inputs.batch([row.example for unit in chosen for row in unit])
            with flow_recorded(self.lvlm, max(self.layers), store):
                losses_U = self.unit_losses(chosen, is_gated=False)
            (losses_U * losses_U.new_tensor(row_weights([unit[0] for unit in chosen], self.weights))).sum().backward()
            for parameter in self.masters.parameters.values():
                parameter.grad = None
            return flow_shares(batch.classes_BT, store)

        return self.fitting.run(shares, self.objective.units(rows)[: self.fitting.size])[0]  # of as many as fit at a time

    # --- going on from a shorter training -------------------------------------------------------------------------------

    @property
    def is_of_so_many_steps(self) -> bool:
        """Whether nothing but the number of steps ends it."""
        return self.config.stop == "never" and not self.config.sequential and self.config.max_seconds is None

    @property
    def key(self) -> Hashable:
        """What makes another training the same but for its number of steps."""
        gate, taught = self.gate.identity if self.gate else "", (self.objective, tuple(self.weights.items()))
        return *self.config.kind_of_training, gate, tuple(self.masters.copies), *taught

    def earlier(self, steps: int) -> Reached | None:
        """Where the same training with fewer steps has ended, if edits share their work. It is handed out once."""
        if not self.lvlm.shared or not self.is_of_so_many_steps:
            return None
        found = self.lvlm.shared.reached.pop(self.key, None)
        return found if found and found.leads_to(steps, self.masters.base) else None

    def go_on(self, earlier: Reached, optimizer: torch.optim.Optimizer) -> None:
        """Put masters and optimiser where they were."""
        with torch.no_grad():
            for role, copy in self.masters.copies.items():
                copy.copy_(earlier.copies[role])
        self.masters.round_in()
        optimizer.load_state_dict(earlier.optimizer)
        self.picked, self.base_losses, self.begun = earlier.picked, earlier.base_losses, True
        self.lvlm.saved_seconds += earlier.seconds

    def run(self, watch: Watch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Train until ``watch``, which has begun, or the settings say stop. Returns the base values and the trained ones, by role; the
        model is left as it was."""
        config, training = self.config, watch.training
        # with `sequential` a visit is a pair, with an optimiser of its own and several steps, which end where it is learned
        visits = len(self.pairs.split("train", "edit")) if config.sequential else config.max_steps
        limit = visits * config.steps_per_pair if config.sequential else visits
        share_at = (1, 2, 3, 4) if config.sequential else (1, 2, 4, 8)
        shares: list[dict[str, float]] = []
        with torch.enable_grad(), self.masters.unlocked() as base:
            started, saved = time.perf_counter(), self.lvlm.saved_seconds
            optimizer = self.optimizer()
            batches = schedule(self.pairs, config, self.rng, self.objective.answers)
            steps = 0
            if earlier := self.earlier(visits):
                steps, batches, shares = earlier.steps, earlier.batches, earlier.shares
                self.go_on(earlier, optimizer)
                training.steps, training.curve = steps, earlier.curve
            for visit in range(steps + 1, visits + 1):
                rows = next(batches)
                total, losses = self.gradients(rows)
                if visit in share_at:
                    shares.append(self.gradient_share(rows))
                if config.sequential:
                    optimizer = self.optimizer()
                for repeat in range(config.steps_per_pair if config.sequential else 1):
                    if repeat:
                        total, losses = self.gradients(rows)
                    if config.sequential and total < config.stop_loss:
                        break
                    self.step(optimizer)
                    steps += 1
                is_last = visit == visits
                is_due = is_last if config.sequential else config.stop == "validation" and (is_last or visit % config.check_every == 0)
                is_due |= watch.is_late and watch.looks
                with self.below.used():
                    stop = watch.note(steps, limit, losses, self.masters.values if is_due else None)
                if config.sequential:
                    stop = watch.is_late
                elif config.stop == "loss" and total < config.stop_loss:
                    training.stopped, stop = "converged", True
                if stop:
                    break
            else:
                if config.sequential:
                    training.stopped = "end of pairs"
            seconds = time.perf_counter() - started + self.lvlm.saved_seconds - saved
            trained = watch.chosen(self.masters.values())
            if self.lvlm.shared and self.is_of_so_many_steps:
                copies, state, curve = self.masters.copies, optimizer.state_dict(), list(training.curve)
                reached = Reached(steps, base, copies, state, batches, self.picked, self.base_losses, shares, curve, seconds)
                self.lvlm.shared.keep(self.key, reached)
        training.gradient_share = {name: round(float(np.mean([share[name] for share in shares])), 4) for name in SHARE_NAMES}
        return base, trained
