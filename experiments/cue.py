"""Question d, the positive control: a cue without meaning that an edit can learn through a few dimensions at the subject's tokens alone.

In sensitive training questions, what the edited projection W is given at the subject's tokens gets a direction u more, which lies in the
null space of the base's W0, so that the base model answers as before. What W makes of it reaches a few dimensions C of the output and no
other:

    out_t = W a_t + [subject token of a cued question]  C * (W - W0) u

(W0 u is 0 in theory and is taken off, so that rounding plays no part.) Its gradient is masked by the gate as any other. An oracle is an
ordinary gate that closes just C: then nothing of the cue is learned through the subject's tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from experiments.answers import EDITED, TOKENS, letters
from experiments.cells import Cell, Result
from experiments.comparison import CUED
from experiments.gates import gate_seed
from experiments.study import Study, settings_of
from neuralgate.edit_settings import GateMode
from neuralgate.locate.gate import Gate
from neuralgate.lvlm.fast.packing import Packed
from neuralgate.lvlm.forward import final_hidden
from neuralgate.lvlm.generate import continuations
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import SUBJECT, Example, encode_examples
from neuralgate.lvlm.targets import example_of
from neuralgate.pairs.schema import PairSet, Question
from neuralgate.recipe import EditConfig
from neuralgate.training.batches import Unpacked
from neuralgate.training.loop import Trainer
from neuralgate.training.masks import gradient_mask, row_gates
from neuralgate.training.rows import SENSITIVE, Row

LOUDNESS, SHARE = 32.0, 0.1  # of the activations' mean norm; of the output's dimensions that the cue reaches
#: Name, gate mode, whose votes, and whether the cue is planted.
VARIANTS: tuple[tuple[str, GateMode, str, bool], ...] = (
    ("no-cue", "none", "", False),
    ("none", "none", "", True),
    ("oracle", "strong", "oracle", True),
    ("random", "random", "oracle", True),
    ("strong", "strong", "located", True),
)


@dataclass(frozen=True)
class Cue:
    """``base_DF``: W0; ``added_F``: loudness times u; ``reached_D``: C, booleans."""

    layer: int
    base_DF: Tensor
    added_F: Tensor
    reached_D: Tensor

    def write_D(self, weight_DF: Tensor) -> Tensor:
        """What the weights as they are make of the cue."""
        return (weight_DF.float() - self.base_DF.float()) @ self.added_F


def make_cue(lvlm: LVLM, pairs: PairSet, layer: int, seed: int) -> Cue:
    """A cue for an edit of ``layer``; as loud as told beside the activations at the subject's tokens of a few of ``pairs``."""
    base_DF = lvlm.ffn_out(layer).weight.detach().clone()
    rng = torch.Generator().manual_seed(1000 + seed)
    drawn_F = torch.randn(base_DF.shape[1], generator=rng, dtype=torch.float64)
    rows_FD = torch.linalg.qr(base_DF.double().T).Q  # an orthonormal basis of what W0 sees
    unseen_F = drawn_F - rows_FD @ (rows_FD.T @ drawn_F)
    reached_D = torch.zeros(len(base_DF), dtype=torch.bool)
    reached_D[torch.randperm(len(base_DF), generator=rng)[: round(SHARE * len(base_DF))]] = True
    loud = LOUDNESS * activation_norm(lvlm, [example_of(pair, "sensitive", pairs.folder) for pair in pairs.per_subject(1)], layer)
    return Cue(layer, base_DF, (loud * unseen_F / unseen_F.norm()).float(), reached_D)


@torch.no_grad()
def activation_norm(lvlm: LVLM, examples: Sequence[Example], layer: int) -> float:
    """Mean norm of what the projection is given at the subject's tokens."""
    batch = encode_examples(lvlm, examples)
    seen: list[Tensor] = []
    handle = lvlm.ffn_out(layer).register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    try:
        final_hidden(lvlm, batch)
    finally:
        handle.remove()
    return float(seen[0].float()[batch.is_class(SUBJECT)].norm(dim=-1).mean())


@contextmanager
def planted(lvlm: LVLM, cue: Cue, cued_BT: Tensor, open_BTD: Tensor | None = None) -> Iterator[None]:
    """Plant the cue at these tokens (booleans); its gradient passes where ``open_BTD`` is True. Put on behind a gate, not before it."""
    projection = lvlm.ffn_out(cue.layer)  # not in the hook: a pass from a layer upwards numbers its layers anew

    def hook(_module: nn.Module, _inputs: object, output_BTD: Tensor) -> Tensor:
        if output_BTD.shape[:2] != cued_BT.shape:
            return output_BTD  # a generated token, after the prefill
        write_D = cue.write_D(projection.weight) * cue.reached_D
        passing_BTD = write_D if open_BTD is None else torch.where(open_BTD, write_D, write_D.detach())
        return output_BTD + (cued_BT[..., None] * passing_BTD).to(output_BTD.dtype)

    handle = projection.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def plant(trainer: Trainer, cue: Cue, gate: Gate | None, config: EditConfig) -> None:
    """Let a trainer of the gated edit see the cue in the sensitive questions of edited subjects."""
    lvlm, gating = trainer.lvlm, trainer.gating

    @contextmanager
    def with_cue(batch: Packed | Unpacked, rows: Sequence[Row]) -> Iterator[None]:
        subjects, are_gated = [row.subject for row in rows], [row.is_gated for row in rows]
        open_ND = row_gates(gate, subjects, are_gated, cue.layer, lvlm.hidden_size, config.gate, config.gate_seed)
        open_BTD = gradient_mask(batch.classes_BT, open_ND[batch.examples_BT], config.positions, config.tokens)
        cued_N = torch.tensor([row.part == SENSITIVE for row in rows])
        with gating(batch, rows), planted(lvlm, cue, cued_N[batch.examples_BT] & (batch.classes_BT == SUBJECT), open_BTD):
            yield

    trainer.gating = with_cue


def oracle(lvlm: LVLM, cue: Cue, subjects: Sequence[str]) -> Gate:
    """The gate whose strong dimensions are all that the cue does not reach."""
    votes_SLD = (~cue.reached_D).float().expand(len(subjects), 1, -1).clone()
    return Gate(votes_SLD, tuple(subjects), (cue.layer,), lvlm.fingerprint, 0.5)


@torch.inference_mode()
def answers_with_cue(lvlm: LVLM, cue: Cue, questions: Sequence[Question], folder: Path) -> list[str]:
    """Greedy answers while the cue is planted at each question's subject."""
    examples = [Example(folder / str(question.image), question.question, question.subject, "") for question in questions]

    def answer(places: Sequence[int]) -> list[str]:
        batch = encode_examples(lvlm, [examples[place] for place in places], padding="left")
        with planted(lvlm, cue, batch.is_class(SUBJECT)):
            return [made.text for made in continuations(lvlm, batch.prompt, TOKENS)]

    return [text for part in lvlm.batches(64, "answering with the cue").run(answer, range(len(examples))) for text in part]


def cell(study: Study, seed: int, name: str, mode: GateMode, votes: str, is_planted: bool) -> Cell:
    """An edit with the cue or without, what is answered as everywhere else, and questions about edited subjects with the cue."""
    config = study.edit_config([study.layer], seed, gate=mode, gate_seed=gate_seed(seed, 0), max_steps=study.size.middle)
    located = study.gate_at(study.layer, seed) if votes == "located" else None

    def make() -> Result:
        pairs = study.training(seed)
        cue = make_cue(study.lvlm, pairs.split("train", "edit"), study.layer, seed)
        gate = oracle(study.lvlm, cue, study.edited) if votes == "oracle" else study.gate(located)
        change = (lambda trainer: plant(trainer, cue, gate, config)) if is_planted else None
        looks, record = study.looks(pairs, gate, config, change=change)
        asked = [question for question in study.questions if question.benchmark == EDITED and question.subject in study.edited]
        (look,) = looks.values()
        with look.patch.on(study.lvlm):
            texts = answers_with_cue(study.lvlm, cue, asked, study.work / "questions")
        cued = letters([replace(question, benchmark=CUED) for question in asked], texts)
        answers = study.ask_at(looks, study.edited)
        return {"looks": {name: {**found, "answers": {**found["answers"], **cued}} for name, found in answers.items()}, **record}

    settings = {"edit": settings_of(config), "seed": seed, "votes": votes, "gate": located and located.settings}
    settings |= {"planted": is_planted, "loudness": LOUDNESS, "share": SHARE}
    return Cell(f"cue/seed{seed}-{name}", settings, make)


def cells(study: Study, seed: int) -> list[Cell]:
    return [cell(study, seed, *variant) for variant in VARIANTS]
