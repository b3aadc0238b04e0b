"""The strength at which an intervention keeps a promise about subjects that it was not made of (`promise.py`).

Risks, each a loss in [0, 1] of every unit, the mean over its questions:

* leaks: of a private subject that no pair is about, of its sensitive questions those that leak. Subjects of which the base model leaks
  nothing are none of these: with them any edit would look safe;
* damage to subjects: of a subject that no pair is about, of its harmless questions (benign ones, and all about public subjects) those
  that the base model answers correctly and the edited one does not;
* damage in general: the same of general questions, where there are any; the unit is the picture.

Strengths are tested in the order that validation pairs give. Pairs, of training or of validation, have decided about layer, stopping point
and this order, so that no subject of one is a unit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neuralgate.chunks import Chunks
from neuralgate.edit_settings import MethodConfig
from neuralgate.errors import UserError
from neuralgate.evaluate.ask import answers_of, ask
from neuralgate.evaluate.measures import Case, correct, leaked, refused
from neuralgate.evaluate.promise import promised, smallest_level
from neuralgate.evaluate.score import groups_of
from neuralgate.interventions.base import Intervention
from neuralgate.judge import judge_all
from neuralgate.lvlm.model import LVLM
from neuralgate.pairs.schema import PairSet, Question
from neuralgate.questions import scorer_of
from neuralgate.recipe import EvaluateConfig, JudgeName, PromiseConfig
from neuralgate.records.promise import PromiseRecord, StrengthRow
from neuralgate.training.validation import Validation

LEAKS, TO_SUBJECTS, IN_GENERAL = "leaks", "damage to subjects", "damage in general"

Row = Mapping[str, Any]


def risk_of(row: Row, paired: Sequence[str]) -> str | None:
    """The risk that a question is about; None where it is about none, as one about a subject that pairs are about."""
    scorer, subject = scorer_of(row), row.get("subject")
    if not subject:
        return IN_GENERAL if scorer == "accuracy" else None
    if subject in paired or scorer not in ("privacy", "public"):
        return None
    return LEAKS if scorer == "privacy" and row["kind"] == "sensitive" else TO_SUBJECTS


def questions_of_risks(questions: Sequence[Question], pairs: PairSet, config: PromiseConfig) -> list[Question]:
    """Those that a promise is about.

    Raises:
        UserError: none is about a private subject that no pair is about, or none could show damage to such a subject.
    """
    paired = pairs.subjects()
    risks = {question: risk_of(question.row(), paired) for question in questions}
    needed = {LEAKS: "sensitive questions about private subjects", TO_SUBJECTS: "harmless questions about subjects"}
    for risk, what in needed.items():
        if levels_of(config)[risk] is not None and risk not in risks.values():
            raise UserError(f"A promise needs {what} that no pair is about; add some to the questions, or ask for no promise.")
    return [question for question, risk in risks.items() if risk]


def levels_of(config: PromiseConfig) -> dict[str, float | None]:
    return {LEAKS: config.leak_at_most, TO_SUBJECTS: config.damage_at_most, IN_GENERAL: config.damage_at_most}


def leaky_units(rows: Sequence[Row], paired: Sequence[str], judge: JudgeName) -> set[str]:
    """The private subjects of which the base model leaks something."""
    return {groups_of(row)[0] for row in rows if risk_of(row, paired) == LEAKS and leaked(Case(row, "base", judge))}


def losses(rows: Sequence[Row], variant: str, paired: Sequence[str], leaky: Collection[str], judge: JudgeName) -> dict[str, np.ndarray]:
    """Risk -> the loss of each unit, (U,), of judged ``rows`` with answers of `base` and ``variant``. A risk without a unit is left out."""
    found: dict[str, dict[str, list[bool]]] = {}
    for row in rows:
        risk, unit = risk_of(row, paired), groups_of(row)[0]
        if risk is None or (risk == LEAKS and unit not in leaky):
            continue
        before, now = Case(row, "base", judge), Case(row, variant, judge)
        is_lost = leaked(now) if risk == LEAKS else correct(before) and not correct(now)
        found.setdefault(risk, {}).setdefault(unit, []).append(is_lost)
    return {risk: np.array([np.mean(lost) for lost in units.values()]) for risk, units in found.items()}


def find_strength(
    lvlm: LVLM,
    made: Intervention,
    pairs: PairSet,
    base: Sequence[Row],
    root: Path,
    config: PromiseConfig,
    asking: EvaluateConfig,
    report: Callable[..., None] | None = None,
    chunks: Chunks | None = None,
) -> PromiseRecord:
    """Ask ``made`` at every strength of ``config`` what the risks are about, and test which keep the levels.

    Args:
        base: rows of answers.jsonl, with the base model's own answers; their images are relative to ``root``.

    Raises:
        UserError: see :func:`questions_of_risks`; the base model leaks nothing about subjects that no pair is about.
    """
    chunks, judge, paired = chunks or Chunks(), asking.judge, pairs.subjects()
    questions = questions_of_risks([Question.of_row(row) for row in base], pairs, config)
    said = [row["answers"]["base"] for row in base if risk_of(row, paired)]
    own = [{**question.row(), "answers": {"base": text}} for question, text in zip(questions, said, strict=True)]
    leaky = leaky_units(judge_all(own, judge), paired, judge)
    if config.leak_at_most is not None and not leaky:
        raise UserError("The base model leaks nothing about subjects that no pair is about: there is no leak to promise against.")
    variants = {f"{strength:g}": made.at(strength) for strength in config.strengths}
    ask(lvlm, questions, root, variants, asking, report, chunks)
    given = {name: answers_of(name, questions, chunks) for name in variants}
    rows = [{**row, "answers": {**row["answers"], **{name: given[name][place][0] for name in variants}}} for place, row in enumerate(own)]
    judged = judge_all(rows, judge)
    measured = {name: losses(judged, name, paired, leaky, judge) for name in variants}
    at_risk = [row for row in judged if risk_of(row, paired) == LEAKS and groups_of(row)[0] in leaky]

    wanted = {risk: level for risk, level in levels_of(config).items() if level is not None and risk in measured[next(iter(variants))]}
    validation = Validation(lvlm, pairs, MethodConfig())
    validation.remember()
    order = sorted(variants, key=lambda name: beyond(validation, variants[name], config))
    promise = promised([measured[name] for name in order], wanted, config.confidence)
    table: list[StrengthRow] = [
        {
            "strength": float(name),
            "p": promise.p[place],
            "kept": place in promise.kept,
            "refused": float(np.mean([refused(Case(row, name, judge)) for row in at_risk])) if at_risk else None,
            "risks": {
                risk: {"mean": float(loss_U.mean()), "at_most": smallest_level(loss_U, config.confidence), "units": len(loss_U)}
                for risk, loss_U in measured[name].items()
            },
        }
        for place, name in enumerate(order)
    ]
    return {
        "strength": float(order[promise.nearest]),
        "kept": bool(promise.kept),
        "sentence": promise.sentence([f"strength {name}" for name in order]),
        "levels": wanted,
        "confidence": config.confidence,
        "judge": judge,
        "tested": table,
    }


def beyond(validation: Validation, made: Intervention, config: PromiseConfig) -> float:
    """By how much ``made`` is beyond the wanted levels on validation pairs, of the worst of them; negative within all."""
    with made.on(validation.lvlm) as answerer:
        seen = validation.asking(answerer).measure()
    risks = [(1 - seen["rta_sensitive"], config.leak_at_most)]
    risks += [(seen[name], config.damage_at_most) for name in ("rta_benign", "contrast_lost") if name in seen]
    return max(risk - level for risk, level in risks if level is not None)
