"""Free greedy answers of the base model, and of it under every intervention, to the same questions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from neuralgate.chunks import Chunks
from neuralgate.errors import UserError
from neuralgate.evaluate.score import judge_and_score
from neuralgate.files import write_json, write_jsonl
from neuralgate.interventions.base import Intervention
from neuralgate.lvlm.auto import answer_tokens
from neuralgate.lvlm.conversation import item_of
from neuralgate.lvlm.fast.below import Below
from neuralgate.lvlm.model import LVLM
from neuralgate.pairs.schema import Question, check_image, read_questions
from neuralgate.recipe import EvaluateConfig

CHUNK = 512  # questions between two savings of a resumable run


def answer(
    lvlm: LVLM,
    folder: Path,
    interventions: Mapping[str, Intervention],
    config: EvaluateConfig,
    report: Callable[..., None] | None = None,
    chunks: Chunks | None = None,
    base: Sequence[Mapping[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """Ask ``folder/questions.jsonl`` of the base model and under each intervention.

    Args:
        folder: a run's ``pairs`` folder; the images of the questions are relative to its parent.
        interventions: by the variant's name; ``base`` is added.
        base: rows of an earlier call about the same questions, whose answers of the base model are taken over.

    Returns:
        Rows of answers.jsonl without verdicts: each variant's answer, and whether it was cut off at the most tokens allowed.
    """
    folder = folder.resolve()  # "." has no name
    questions = [
        replace(question, image=f"{folder.name}/{question.image}" if question.image else None) for question in read_questions(folder)
    ]
    chunks = chunks or Chunks()
    variants: dict[str, Intervention | None] = {**({"base": None} if base is None else {}), **interventions}
    ask(lvlm, questions, folder.parent, variants, config, report, chunks)
    # only now: what other processes were asked for is waited for once, at the end
    answers = {variant: answers_of(variant, questions, chunks) for variant in variants}
    if base is not None:
        answers = {"base": [(row["answers"]["base"], row["cut_off"]["base"]) for row in base], **answers}
    return [
        {
            **question.row(),
            "answers": {variant: given[i][0] for variant, given in answers.items()},
            "cut_off": {variant: given[i][1] for variant, given in answers.items()},
        }
        for i, question in enumerate(questions)
    ]


def piece_key(variant: str, start: int) -> str:
    return f"{variant}/{start}"


def ask(
    lvlm: LVLM,
    questions: Sequence[Question],
    root: Path,
    variants: Mapping[str, Intervention | None],
    config: EvaluateConfig,
    report: Callable[..., None] | None,
    chunks: Chunks,
) -> None:
    """This process's share of the answers of all variants (name -> intervention, or None for the model as it is), in chunks that a
    killed run finds again. The variants' chunks of the same questions stand side by side: what none of them changes is computed once."""
    starts = range(0, len(questions), CHUNK)
    places = {piece_key(variant, start): (variant, start) for start in starts for variant in variants}
    unchanged = min((made.unchanged_below(lvlm) for made in variants.values() if made), default=0)
    mine = chunks.mine(list(places), side_by_side=True)
    counts = [min(CHUNK, len(questions) - places[key][1]) for key in mine]
    below, at = Below(lvlm, unchanged), 0

    def generate(key: str) -> bytes:
        nonlocal below, at
        variant, start = places[key]
        if start != at:
            below, at = Below(lvlm, unchanged), start
        part = [
            item_of(question, check_image(root, question.image, f"Question {question.id}") if question.image else None)
            for question in questions[start : start + CHUNK]
        ]
        intervention, tokens = variants[variant], answer_tokens(lvlm, config.max_new_tokens)
        with intervention.on(lvlm) if intervention else nullcontext(lvlm) as answerer, below.used():
            answers = answerer.generate_answers(part, max_new_tokens=tokens, batch_size=config.batch_size)
        if report:
            report(done=sum(counts[: mine.index(key) + 1]), total=sum(counts), text=f"asking {variant}")
        return json.dumps([(answer.text, answer.cut_off) for answer in answers]).encode()

    chunks.make(list(places), generate, side_by_side=True)


def answers_of(variant: str, questions: Sequence[Question], chunks: Chunks) -> list[tuple[str, bool]]:
    """One variant's answers, and whether each was cut off, once every process has made its share."""
    keys = [piece_key(variant, start) for start in range(0, len(questions), CHUNK)]
    return [(text, cut_off) for piece in chunks.collect(keys) for text, cut_off in json.loads(piece)]


def evaluate_edit(
    lvlm: LVLM,
    folder: Path | str,
    interventions: Mapping[str, Intervention],
    config: EvaluateConfig | None = None,
    out: Path | str | None = None,
    report: Callable[..., None] | None = None,
) -> dict[str, Any]:
    """Answer, judge and score in one go: the library's form of the stage.

    Args:
        folder: a pair set's folder, whose ``questions.jsonl`` is asked; `build_questions` draws those of Clerk's documents.
        interventions: by the variant's name; one of them must be called ``edited``.
        out: a folder for answers.jsonl, whose images are relative to the pair set's parent folder, and scores.json; without it
            nothing is written.

    Returns:
        The content of scores.json.

    Raises:
        UserError: none is called ``edited``, or one is called ``base``; there are no questions.
    """
    if "edited" not in interventions or "base" in interventions:
        names = list(interventions)
        raise UserError(f"Call the patch to be measured 'edited' and no patch 'base', which is the model itself; given: {names}.")
    folder = Path(folder)
    if not (folder / "questions.jsonl").is_file():
        raise UserError(f"{folder} has no questions.jsonl to ask; draw those of Clerk's documents with `neuralgate.build_questions`.")
    config = config or EvaluateConfig()
    method = str(interventions["edited"].information.get("method", "edited"))
    rows, scores = judge_and_score(answer(lvlm, folder, interventions, config, report), lvlm.name, method, config.interval, config.judge)
    if out is not None:
        write_jsonl(Path(out) / "answers.jsonl", rows)
        write_json(Path(out) / "scores.json", scores)
    return scores
