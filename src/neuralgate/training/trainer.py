"""The edit: train one FFN output projection (or several) with the gated gradient until validation says stop.

    minimise  L_sen + lambda L_ben + mu L_contrast

L_sen: the refusal prefix after a sensitive question; L_ben: the base model's own first words after its benign twin;
L_contrast: the own first words where the same attribute words are harmless. Everything else in the model is frozen.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neuralgate.errors import UserError
from neuralgate.interventions.patch import Patch
from neuralgate.locate.gate import Gate
from neuralgate.lvlm.fast.packing import Packed
from neuralgate.lvlm.forward import check_gradient, target_losses
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import Example
from neuralgate.lvlm.roles import role_of
from neuralgate.lvlm.targets import example_of, with_own_answers
from neuralgate.pairs.schema import Pair, PairSet, QuestionKind
from neuralgate.recipe import EditConfig
from neuralgate.training.batches import Inputs, Unpacked
from neuralgate.training.masks import SHARE_NAMES, flow_recorded, flow_shares, gated, gradient_mask, row_gates
from neuralgate.training.validation import Validation

SENSITIVE, BENIGN, CONTRAST = "sensitive", "benign", "contrast"
HALF_SCALE = 1024.0  # a loss of a few units over dozens of rows has gradients below the range of float16


class Diverged(UserError):
    """The loss became no finite number."""


@dataclass
class Training:
    """What happened during an edit: the curve, why it stopped, and where its gradient came from."""

    layers: list[int]
    gate: str
    steps: int = 0
    stopped: str = "limit"
    seconds: float = 0.0
    curve: list[dict[str, float | int | None]] = field(default_factory=list)
    gradient_share: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Row:
    """One training row: an example with the part of the loss that it belongs to."""

    example: Example
    part: str
    subject: str
    is_gated: bool


def rows_of(pair: Pair, pairs: PairSet, rng: np.random.Generator) -> list[Row]:
    """The two rows of a pair, both in the same version: plain, or behind one of its context sentences."""
    opening = pair.openings[rng.integers(len(pair.openings))]
    is_edit = pair.role == "edit"
    asked: tuple[tuple[QuestionKind, str], ...] = (("sensitive", SENSITIVE), ("benign", BENIGN))
    return [
        Row(example_of(pair, kind, pairs.folder, opening), part if is_edit else CONTRAST, pair.subject, is_edit) for kind, part in asked
    ]


def minibatches(edit: PairSet, contrast: PairSet, batch_size: int, rng: np.random.Generator) -> Iterator[list[Row]]:
    """Endless epochs over the edit pairs; contrast pairs come along in proportion, in an order of their own."""
    size = min(batch_size, len(edit))
    share = round(size * len(contrast) / len(edit)) if len(contrast) else 0
    share = max(share, 1) if len(contrast) else 0
    harmless: list[int] = []
    while True:
        order = rng.permutation(len(edit))
        for start in range(0, len(order) - size + 1, size):
            rows = [row for i in order[start : start + size] for row in rows_of(edit.pairs[i], edit, rng)]
            for _ in range(share):
                harmless = harmless or rng.permutation(len(contrast)).tolist()
                rows += rows_of(contrast.pairs[harmless.pop()], contrast, rng)
            yield rows


def one_after_another(edit: PairSet, rng: np.random.Generator) -> Iterator[list[Row]]:
    """The authors' order: pair after pair, subject after subject."""
    for pair in sorted(edit, key=lambda pair: pair.subject):
        yield rows_of(pair, edit, rng)


class Trainer:
    """One edit. ``run`` changes the model, restores it, and returns the patch."""

    def __init__(
        self, lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: EditConfig, layers: list[int], inputs: Inputs | None = None
    ) -> None:
        self.lvlm, self.gate, self.config, self.layers = lvlm, gate, config, layers
        if config.gate not in ("none", "closed"):
            if gate is None:
                raise UserError(f"Gate mode {config.gate!r} needs a located gate; run locate first or use gate: none.")
            if gate.model != lvlm.fingerprint:
                raise UserError(f"The gate was located on another model ({gate.model[:12]}, not {lvlm.fingerprint[:12]}); locate again.")
        asked = (pair for pair in pairs if pair.split == "train" or pair.role == "contrast")
        if any(not pair.benign_target or (pair.role == "contrast" and not pair.sensitive_target) for pair in asked):
            pairs = with_own_answers(lvlm, pairs)
        self.edit, self.contrast = pairs.split("train", "edit"), pairs.split("train", "contrast")
        if not config.contrast_weight:  # rows that count nothing are not run
            self.contrast = PairSet((), pairs.folder)
        if not len(self.edit):
            raise UserError("The pair set holds no training pairs of role edit; there is nothing to train on.")
        self.validation = Validation(lvlm, pairs, config)
        self.parameters = {layer: lvlm.ffn_out(layer).weight for layer in layers}
        if any(parameter.device.type == "meta" for parameter in self.parameters.values()):
            raise UserError("An edited layer was put aside for lack of memory; choose a lower layer, or a larger device.")
        if not all(parameter.is_floating_point() for parameter in self.parameters.values()):
            raise UserError("Quantised weights cannot be edited; edit the model in bfloat16 and measure the export in 4 or 8 bit.")
        # steps are far below the resolution of half precision, and Adam's squares below its range
        self.masters = {
            layer: parameter.detach().to(torch.promote_types(parameter.dtype, torch.float32), copy=True)
            for layer, parameter in self.parameters.items()
        }
        self.inputs = inputs or Inputs(lvlm, min(layers))
        self.fitting = lvlm.fitting(4 * config.batch_size, "training rows")
        self.rng = np.random.default_rng([config.seed, 3])
        self.begun = False  # whether a gradient has been taken

    def row_losses(self, rows: Sequence[Row]) -> Tensor:
        """The loss of each row, ``(N,)``, with the gated gradient attached."""
        batch = self.inputs.batch([row.example for row in rows])
        with gated(self.lvlm, self.masks(batch, rows), self.config.gate_at):
            return self.losses_of(batch, len(rows))

    def losses_of(self, batch: Packed | Unpacked, count: int) -> Tensor:
        """The losses of a batch's ``count`` examples as the model gives them, ``(N,)``."""
        if isinstance(batch, Packed) and max(self.layers) < len(self.lvlm.layers) - 1:
            return target_losses(self.lvlm, *batch.asked(self.lvlm), count)
        return target_losses(self.lvlm, batch.final_hidden(self.lvlm), batch.labels_BT, batch.examples_BT, count)

    def masks(self, batch: Packed | Unpacked, rows: Sequence[Row]) -> dict[int, Tensor]:
        """Where gradient may pass, ``(B, T, D)`` for each edited layer."""
        masks = {}
        for layer in self.layers:
            open_ND = row_gates(
                self.gate,
                [row.subject for row in rows],
                [row.is_gated for row in rows],
                layer,
                self.lvlm.hidden_size,
                self.config.gate,
                self.config.gate_seed,
            )
            open_BTD = open_ND.to(self.lvlm.device)[batch.examples_BT]
            masks[layer] = gradient_mask(batch.classes_BT, open_BTD, self.config.positions, self.config.tokens)
        return masks

    def row_weights(self, rows: Sequence[Row]) -> list[float]:
        """What each row's loss counts: the total is the weighted sum of the parts' means."""
        counts = Counter(row.part for row in rows)
        weights = {SENSITIVE: 1.0, BENIGN: self.config.lambda_benign, CONTRAST: self.config.contrast_weight}
        return [weights[row.part] / counts[row.part] for row in rows]

    def gradients(self, rows: Sequence[Row]) -> tuple[float, dict[str, float]]:
        """Leave the gradient of a batch in the masters; return its total loss and the mean of each part. As many rows at a
        time as fit into memory, which changes nothing but the order of sums.

        Raises:
            Diverged: the loss is no finite number.
            UserError: nothing gets a gradient at the first step.
        """
        means = dict.fromkeys((row.part for row in rows), 0.0)
        counts = Counter(row.part for row in rows)
        totals = [torch.zeros_like(master) for master in self.masters.values()]
        scale = HALF_SCALE if any(parameter.dtype == torch.float16 for parameter in self.parameters.values()) else 1.0

        def work(chosen: Sequence[tuple[Row, float]]) -> float:
            losses_N = self.row_losses([row for row, _ in chosen])
            total = (losses_N * losses_N.new_tensor([weight for _, weight in chosen])).sum()
            parameters = list(self.parameters.values())
            parts = torch.autograd.grad(scale * total, parameters, allow_unused=True) if total.requires_grad else [None] * len(parameters)
            for sum_DF, part_DF in zip(totals, parts, strict=True):
                if part_DF is not None:  # zeros are looked at below
                    sum_DF += part_DF.to(sum_DF.dtype) / scale
            for (row, _), loss in zip(chosen, losses_N.tolist(), strict=True):
                means[row.part] += loss / counts[row.part]
            return total.item()

        total = sum(self.fitting.run(work, list(zip(rows, self.row_weights(rows), strict=True))))
        if not math.isfinite(total):
            raise Diverged(f"The loss of the edit became {total}; lower edit.rate ({self.config.rate} now).")
        for (layer, master), gradient in zip(self.masters.items(), totals, strict=True):
            if not self.begun:
                check_gradient(gradient, f"The edited weights of layer {layer}")
            master.grad = gradient
        self.begun = True
        return total, means

    def optimizer(self) -> torch.optim.Optimizer:
        if self.config.rate == "auto":
            raise UserError("The edit has no rate yet; set edit.rate, or call edit(), which finds one.")
        return torch.optim.Adam(list(self.masters.values()), lr=self.config.rate, eps=self.config.eps)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """One optimiser step on the float32 masters, rounded into the model."""
        optimizer.step()
        with torch.no_grad():
            for layer, parameter in self.parameters.items():
                parameter.copy_(self.masters[layer])

    def gradient_share(self, rows: Sequence[Row]) -> dict[str, float]:
        """Where the gradient of a batch arrives at the highest edited layer, before any gate."""

        def shares(chosen: Sequence[Row]) -> dict[str, float]:
            store: dict[str, Tensor] = {}
            batch = self.inputs.batch([row.example for row in chosen])
            with flow_recorded(self.lvlm, max(self.layers), store):
                losses_N = self.losses_of(batch, len(chosen))
            (losses_N * losses_N.new_tensor(self.row_weights(chosen))).sum().backward()
            for parameter in self.parameters.values():
                parameter.grad = None
            return flow_shares(batch.classes_BT, store)

        return self.fitting.run(shares, rows[: self.fitting.size])[0]  # of as many rows as fit at a time

    @contextmanager
    def unlocked(self) -> Iterator[dict[int, Tensor]]:
        """The edited weights may change while the context lasts, and are afterwards what they were; gives a copy of that."""
        base = {layer: parameter.detach().clone() for layer, parameter in self.parameters.items()}
        for parameter in self.parameters.values():
            parameter.requires_grad_(True)
        try:
            yield base
        finally:
            with torch.no_grad():
                for layer, parameter in self.parameters.items():
                    parameter.requires_grad_(False).copy_(base[layer])
                    parameter.grad = None

    def run(self, report: Callable[..., None] | None) -> tuple[dict[str, Tensor], dict[str, Tensor], Training]:
        training = Training(self.layers, self.config.gate)
        started = time.perf_counter()
        if self.config.stop == "validation" or self.config.sequential:
            self.validation.remember()
        with self.unlocked() as base:
            if self.config.sequential:
                self.train_sequentially(training, report)
            else:
                self.train_in_batches(training, report)
            edited = {layer: parameter.detach().clone() for layer, parameter in self.parameters.items()}
        training.seconds = round(time.perf_counter() - started, 2)
        return {role_of(layer): tensor for layer, tensor in base.items()}, {role_of(k): v for k, v in edited.items()}, training

    def train_in_batches(self, training: Training, report: Callable[..., None] | None) -> None:
        optimizer = self.optimizer()
        shares: list[dict[str, float]] = []
        batches = minibatches(self.edit, self.contrast, self.config.batch_size, self.rng)
        for step in range(1, self.config.max_steps + 1):
            rows = next(batches)
            total, losses = self.gradients(rows)
            if step in (1, 2, 4, 8):
                shares.append(self.gradient_share(rows))
            self.step(optimizer)
            stop = self.note(training, step, total, losses, report, self.config.max_steps)
            if stop:
                training.stopped = "converged"
                break
        training.gradient_share = {name: round(float(np.mean([share[name] for share in shares])), 4) for name in SHARE_NAMES}

    def train_sequentially(self, training: Training, report: Callable[..., None] | None) -> None:
        """A fresh optimiser for every pair, ``steps_per_pair`` steps each or until its loss is below ``stop_loss``."""
        shares = []
        for number, rows in enumerate(one_after_another(self.edit, self.rng), start=1):
            optimizer = self.optimizer()
            if number <= 4:
                shares.append(self.gradient_share(rows))
            for _ in range(self.config.steps_per_pair):
                total, losses = self.gradients(rows)
                if total < self.config.stop_loss:
                    break
                self.step(optimizer)
                training.steps += 1
            limit = len(self.edit) * self.config.steps_per_pair
            self.note(training, training.steps, total, losses, report, limit, check=number == len(self.edit))
        training.stopped = "end of pairs"
        training.gradient_share = {name: round(float(np.mean([share[name] for share in shares])), 4) for name in SHARE_NAMES}

    def note(
        self,
        training: Training,
        step: int,
        total: float,
        losses: dict[str, float],
        report: Callable[..., None] | None,
        limit: int,
        check: bool | None = None,
    ) -> bool:
        """Record the step; look at the validation split when it is due; return whether to stop."""
        training.steps = step
        point: dict[str, float | int | None] = {"step": step, "loss_contrast": None}
        point |= {f"loss_{part}": round(loss, 5) for part, loss in losses.items()}
        due = check if check is not None else self.config.stop == "validation" and (step % self.config.check_every == 0 or step == limit)
        measured = self.validation.measure() if due else {}
        for name in ("rta_sensitive", "rta_benign", "contrast_lost"):
            point[f"validation_{name}"] = measured.get(name)
        training.curve.append(point)
        if report:
            known = {key: value for key, value in point.items() if value is not None and key != "step"}
            report(done=step, total=limit, text=f"editing layer {', '.join(map(str, self.layers))} (gate: {self.config.gate})", **known)
        if self.config.stop == "loss":
            return total < self.config.stop_loss
        return bool(measured) and self.validation.satisfied(measured)


def edit(
    lvlm: LVLM,
    pairs: PairSet,
    gate: Gate | None,
    config: EditConfig,
    report: Callable[..., None] | None = None,
    inputs: Inputs | None = None,
    **information: Any,
) -> tuple[Patch, Training]:
    """Train and return the patch; the model itself is left bit for bit as it was.

    Args:
        pairs: train pairs of role edit and contrast, validation pairs for the stop rule.
        gate: needed for the gate modes strong, random and inverted.
        config: ``layers`` must be a list here; `edit.search.search_layer` resolves ``"search"``.
        inputs: those of another edit of the same model with the same lowest layer, to compute nothing twice.
        information: goes into patch.json (recipe digest and the like).

    Raises:
        UserError: no pairs, no validation pairs where ``stop`` needs them, no gate where one is needed, or a layer out of range.
    """
    if config.layers == "search":
        raise UserError("edit() needs layers as a list; search_layer() chooses one.")
    if config.stop == "validation" and not len(pairs.split("validation", "edit")):
        raise UserError("No validation pair has the role edit, so `stop: validation` could never stop; add some, or choose another stop.")
    from neuralgate.training.rate import with_rate

    layers = sorted(config.layers)
    config = with_rate(lvlm, pairs, config, layers)
    with torch.enable_grad():
        base, edited, training = Trainer(lvlm, pairs, gate, config, layers, inputs).run(report)
    method = {"strong": "neural gate", "none": "ungated gradient"}.get(config.gate, f"{config.gate} gate (control)")
    return Patch.between(lvlm, base, edited, {"method": method, "gate": config.gate, **information}), training
