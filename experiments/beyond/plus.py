"""The gated edit with other gates, positions and constraints: what may pass, where, and what the update may touch.

minimise  L_sen + lambda L_ben + mu L_contrast + kl KL(base || now)        over the FFN output projection W
grad W  = sum over tokens t of (g_t * delta_t) a_t^T,        W - W0 <- (W - W0) P after each step
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from experiments.beyond.scores import attribution
from neuralgate.closed_form.moments import ordinary_moments
from neuralgate.closed_form.solve import null_space
from neuralgate.edit_settings import DEPTHS, STEPS, EditConfig, named_layers
from neuralgate.interventions.patch import Patch
from neuralgate.locate.gate import Gate
from neuralgate.lvlm.fast.packing import PADDING, Packed
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import ANSWER, SUBJECT
from neuralgate.lvlm.roles import role_of
from neuralgate.pairs.schema import PairSet
from neuralgate.training.batches import Unpacked
from neuralgate.training.gated import check_gate
from neuralgate.training.loop import Trainer
from neuralgate.training.masks import allowed_tokens, gated
from neuralgate.training.objectives import REFUSE, Objective
from neuralgate.training.rate import with_rate
from neuralgate.training.rows import Row, training_pairs
from neuralgate.training.watch import Watch

LOCATES = "dimensions, positions or keys"
PAPER = "none"
EDITS = "FFN output projections"
TRAINED = "D x F a layer"
SEARCH = {"depth": DEPTHS, "max_steps": STEPS}


class Config(EditConfig):
    """One idea at a time: where several settings differ from their defaults, several are tried together."""

    by: Literal["none", "votes", "attribution"] = Field("none", description="What the dimensions of the gate are chosen by.")
    share: float | None = Field(None, gt=0, le=1, description="Share of the dimensions that is open; None: those above the threshold.")
    weighted: bool = Field(False, description="Let each dimension's gradient pass by its share of votes, not all or nothing.")
    acts_on: Literal["subject", "carriers"] = Field(
        "subject", description="The gate acts at the subject's tokens, or also at the question's behind it and where the answer begins."
    )
    kl: float = Field(0.0, ge=0, description="Weight of the divergence from the base model's distribution at answers that are kept.")
    energy: float | None = Field(
        None, gt=0, lt=1, description="Share of ordinary keys' squared norm that the update's null space may hold."
    )
    shuffled: bool = Field(False, description="The control: what is chosen by location is drawn at random, of the same size.")


def edit(lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: Config, watch: Watch) -> Patch:
    """See `methods.neural_gate.edit`."""
    layers = named_layers(config.layers)
    if config.by == "votes":
        check_gate(lvlm, gate, config.model_copy(update={"gate": "strong"}))
    pairs = training_pairs(lvlm, pairs, config.stop)
    config = with_rate(lvlm, pairs, config, layers)
    objective = Objective(REFUSE.answers, REFUSE.loss, divergence_weight=config.kl)
    projections = update_spaces(lvlm, pairs, layers, config)
    parameters = {role_of(layer): lvlm.ffn_out(layer).weight for layer in layers}
    openings = {layer: open_dimensions(lvlm, pairs, gate, config, layer) for layer in layers}

    def gating(batch: Packed | Unpacked, rows: Sequence[Row]) -> AbstractContextManager[None]:
        return gated(lvlm, {layer: passing(batch, rows, openings[layer], config, lvlm.hidden_size) for layer in layers}, "ffn")

    trainer = Projected(lvlm, pairs, config, parameters, layers, gating, objective=objective, gate=gate)
    trainer.projections = projections
    watch.begin(pairs, f"beyond at layer {', '.join(map(str, layers))}", layers, config.by, looks=config.is_looked_at)
    base, trained = trainer.run(watch)
    return Patch.between(lvlm, base, trained, {"method": "beyond (control)" if config.shuffled else "beyond"})


def controls(config: Config) -> dict[str, Config]:
    """What is chosen by location drawn at random; nothing where no location is chosen."""
    located = config.by != "none" or config.energy is not None or set(config.positions) != set(EditConfig().positions)
    return {"random": config.model_copy(update={"shuffled": True})} if located else {}


class Projected(Trainer):
    """A trainer that keeps the update of each tensor within a space: role -> a basis ``(F, M)`` of what it may read."""

    projections: dict[str, Tensor]

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        optimizer.step()
        with torch.no_grad():
            for role, basis_FM in self.projections.items():
                base_DF = self.masters.base[role].to(self.masters.copies[role].dtype)
                change_DF = self.masters.copies[role] - base_DF
                self.masters.copies[role].copy_(base_DF + (change_DF @ basis_FM) @ basis_FM.T)
        self.masters.round_in()


def update_spaces(lvlm: LVLM, pairs: PairSet, layers: Sequence[int], config: Config) -> dict[str, Tensor]:
    """A basis of the directions in which ordinary keys hardly lie, or of as many at random; none where the update is free."""
    if config.energy is None:
        return {}
    found = {}
    for layer, moment_FF in ordinary_moments(lvlm, pairs, layers).items():
        basis_FM = null_space(moment_FF, None, config.energy)
        if config.shuffled:
            drawn_FM = torch.randn(basis_FM.shape, generator=generator(config, layer), dtype=torch.float64)
            basis_FM = torch.linalg.qr(drawn_FM).Q.to(basis_FM.device)
        found[role_of(layer)] = basis_FM.float()
    return found


def open_dimensions(lvlm: LVLM, pairs: PairSet, gate: Gate | None, config: Config, layer: int) -> dict[str, Tensor]:
    """Subject -> how much of each dimension's gradient passes, ``(D,)`` in [0, 1]; empty where no dimension is chosen."""
    if config.by == "none":
        return {}
    if config.by == "votes":
        assert gate is not None
        scores = {subject: gate.votes(subject, layer) for subject in pairs.split("train", "edit").subjects()}
        threshold = gate.threshold
    else:
        scores, threshold = attribution(lvlm, pairs, layer), 0.0
    found = {}
    for subject, score_D in scores.items():
        if config.weighted:
            open_D = (score_D / score_D.max().clamp(min=1e-12)).clamp(min=0)
        elif config.share is not None:
            open_D = torch.zeros_like(score_D)
            open_D[score_D.topk(max(1, round(config.share * len(score_D)))).indices] = 1.0
        else:
            open_D = (score_D > threshold).float()
        found[subject] = open_D[torch.randperm(len(open_D), generator=generator(config, layer, subject))] if config.shuffled else open_D
    return found


def passing(batch: Packed | Unpacked, rows: Sequence[Row], openings: dict[str, Tensor], config: Config, size: int) -> Tensor:
    """How much of the gradient passes at each token and each of ``size`` dimensions, ``(B, T, D)``."""
    classes_BT, examples_BT = batch.classes_BT, batch.examples_BT
    known_BT = batch.owners_BT != PADDING if isinstance(batch, Packed) else batch.batch.attention_mask_BT.bool()
    allowed_BT = allowed_tokens(classes_BT, config.positions) & known_BT
    if config.shuffled and config.by == "none" and config.energy is None:  # as many tokens as the positions allow, anywhere
        order_N = torch.randperm(int(known_BT.sum()), generator=generator(config, int(classes_BT.sum()))).to(classes_BT.device)
        drawn_BT = torch.zeros_like(known_BT)
        drawn_BT[known_BT] = order_N < int(allowed_BT.sum())
        allowed_BT = drawn_BT
    if not openings:
        return allowed_BT[..., None].float().expand(-1, -1, size)
    ones_D = torch.ones(size)
    open_ND = torch.stack([openings.get(row.subject, ones_D) if row.is_gated else ones_D for row in rows]).to(classes_BT.device)
    acts_BT = classes_BT == SUBJECT
    if config.acts_on == "carriers":
        acts_BT |= carriers(classes_BT, examples_BT)
    open_BTD = torch.where(acts_BT[..., None], open_ND[examples_BT], 1.0)
    return allowed_BT[..., None] * open_BTD


def carriers(classes_BT: Tensor, examples_BT: Tensor) -> Tensor:
    """Tokens of an example from its subject on up to the first of class answer, at which the decision to refuse is taken, ``(B, T)``."""
    found_BT = torch.zeros_like(classes_BT, dtype=torch.bool)
    for example in examples_BT.unique().tolist():
        own_BT = examples_BT == example
        behind_BT = ((classes_BT == SUBJECT) & own_BT).cumsum(-1) > 0
        answers_BT = ((classes_BT == ANSWER) & own_BT).cumsum(-1)
        found_BT |= own_BT & behind_BT & ((answers_BT == 0) | ((answers_BT == 1) & (classes_BT == ANSWER)))
    return found_BT


def generator(config: Config, *words: Any) -> torch.Generator:
    """Of what is drawn at random: hangs on the seed and on what it is for."""
    return torch.Generator().manual_seed(zlib.crc32(f"{config.gate_seed}|{words}".encode()))
