"""Free greedy answers of the base model and of every patched one to the same questions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from neuralgate.chunks import Chunks
from neuralgate.edit.patch import Patch
from neuralgate.errors import UserError
from neuralgate.evaluate.benchmarks import build_questions
from neuralgate.evaluate.metrics import score
from neuralgate.files import read_jsonl, write_json, write_jsonl
from neuralgate.judges import judge_all
from neuralgate.lvlm.auto import answer_tokens
from neuralgate.lvlm.model import LVLM
from neuralgate.pairs.schema import Question
from neuralgate.recipe import EvaluateConfig, Recipe

CHUNK = 512  # questions between two savings of a resumable run


def answer(
    lvlm: LVLM,
    folder: Path,
    patches: Mapping[str, Patch],
    config: EvaluateConfig,
    report: Callable[..., None] | None = None,
    chunks: Chunks | None = None,
    base: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """Ask ``folder/questions.jsonl`` of the base model and under each patch.

    Args:
        folder: a run's ``pairs`` folder; the images of the questions are relative to its parent.
        patches: variant name -> patch; ``base`` is added.
        base: the base model's answers in the questions' order, where they are known from before.

    Returns:
        Rows of answers.jsonl without verdicts.
    """
    questions = [
        Question(**{**row, "image": f"{folder.name}/{row['image']}" if row["image"] else None})
        for row in read_jsonl(folder / "questions.jsonl")
    ]
    chunks = chunks or Chunks()
    total = len(questions) * (len(patches) + 1)
    variants: list[tuple[str, Patch | None]] = [("base", None), *patches.items()]
    for place, (variant, patch) in enumerate(variants):

        def told(done: int, before: int = place, name: str = variant) -> None:
            if report:
                report(done=before * len(questions) + done, total=total, text=f"asking {name}")

        if patch is not None or base is None:
            with patch.applied(lvlm.model) if patch else nullcontext():
                ask(lvlm, questions, folder.parent, variant, config, told, chunks)
    # only now: what other processes were asked for is waited for once, at the end
    texts = {variant: answers_of(variant, questions, chunks) for variant, patch in variants if patch is not None or base is None}
    if base is not None:
        texts["base"] = list(base)
    return [{**vars(question), "answers": {variant: texts[variant][i] for variant, _ in variants}} for i, question in enumerate(questions)]


def piece_keys(variant: str, questions: Sequence[Question]) -> list[str]:
    return [f"{variant}/{start}" for start in range(0, len(questions), CHUNK)]


def ask(
    lvlm: LVLM,
    questions: Sequence[Question],
    root: Path,
    variant: str,
    config: EvaluateConfig,
    told: Callable[[int], None],
    chunks: Chunks,
) -> None:
    """This process's share of one variant's answers, in chunks that a killed run finds again."""

    def generate(key: str) -> bytes:
        start = int(key.removeprefix(f"{variant}/"))
        part = [(root / question.image if question.image else None, question.question) for question in questions[start : start + CHUNK]]
        texts = lvlm.generate(part, max_new_tokens=answer_tokens(lvlm, config.max_new_tokens), batch_size=config.batch_size)
        told(start + len(texts))
        return json.dumps(texts).encode()

    chunks.make(piece_keys(variant, questions), generate)


def answers_of(variant: str, questions: Sequence[Question], chunks: Chunks) -> list[str]:
    """One variant's answers, once every process has made its share."""
    return [text for piece in chunks.collect(piece_keys(variant, questions)) for text in json.loads(piece)]


def evaluate(
    lvlm: LVLM,
    folder: Path | str,
    patches: Mapping[str, Patch],
    recipe: Recipe | None = None,
    report: Callable[..., None] | None = None,
) -> dict[str, Any]:
    """Answer, judge and score in one go: the library's form of the stage.

    Args:
        folder: a pair set's folder. Its ``questions.jsonl`` is asked; where there is none, the recipe's benchmarks are
            built there.
        patches: variant name -> patch; one of them must be called ``edited``.

    Returns:
        The content of scores.json; answers.jsonl and scores.json are written into ``folder``'s parent.

    Raises:
        UserError: no patch is called ``edited``, or one is called ``base``.
    """
    if "edited" not in patches or "base" in patches:
        raise UserError(f"Call the patch to be measured 'edited' and no patch 'base', which is the model itself; given: {list(patches)}.")
    folder, recipe = Path(folder), recipe or Recipe()
    if not (folder / "questions.jsonl").is_file():
        build_questions(recipe, folder)
    rows = judge_all(answer(lvlm, folder, patches, recipe.evaluate, report))
    rows.sort(key=lambda row: (row["benchmark"], row["id"]))
    method = patches["edited"].information.get("method", "edited")
    scores = score(rows, lvlm.name, str(method))
    write_jsonl(folder.parent / "answers.jsonl", rows)
    write_json(folder.parent / "scores.json", scores)
    return scores
