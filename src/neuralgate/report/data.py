"""Reads a run folder into what the report shows. A part that the run does not have is None or empty, never an error."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter

from neuralgate.errors import UserError
from neuralgate.files import read_text, refuse_links
from neuralgate.questions import place_of, scorer_of
from neuralgate.records import Kind, read_record
from neuralgate.records.answers import ANSWER, Answer, read_answers
from neuralgate.records.causality import CAUSALITY, Causality
from neuralgate.records.choice import Choice, read_choice
from neuralgate.records.gate import GATE, GateSummary
from neuralgate.records.manifest import MANIFEST
from neuralgate.records.promise import PROMISE, PROMISE_FILE, PromiseRecord
from neuralgate.records.scores import SCORES, Scores
from neuralgate.records.training import PATCH, TRAINING, PatchHeader, TrainingRecord
from neuralgate.settings import load_yaml
from neuralgate.text import clipped, shown_name

IMAGE_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}
MAX_FAILURES = 6
ANSWERS, SCORES_FILE = "answers.jsonl", "scores.json"


@dataclass(frozen=True)
class ExampleQuestion:
    """One question as the report prints it, with (badge, is it good) for the base and the edited answer.

    ``base_pieces`` and ``edited_pieces`` are the answers cut where a leak begins and ends: (text, level of the leak or "").
    """

    benchmark: str
    subject: str
    kind: str
    question: str
    truth: str
    base: str
    edited: str
    base_badges: list[tuple[str, bool]]
    edited_badges: list[tuple[str, bool]]
    base_pieces: list[tuple[str, str]]
    edited_pieces: list[tuple[str, str]]


@dataclass(frozen=True)
class ExamplePicture:
    """A picture (data URI, None without one) and what was asked about it."""

    title: str
    image: str | None
    questions: list[ExampleQuestion]


@dataclass
class RunFiles:
    """Everything that the report needs from one run folder."""

    folder: Path
    scores: Scores
    gate: GateSummary | None
    choice: Choice
    training: dict[str, TrainingRecord]
    causality: Causality | None
    promise: PromiseRecord | None
    manifest: dict[str, Any]
    patch: PatchHeader | None
    recipe: str | None

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def edited_gate(self) -> str | None:
        return self.training["edited"]["gate"] if "edited" in self.training else None

    @property
    def answer_tokens(self) -> int | None:
        """How many tokens an answer could have, where the recipe is there and says so."""
        settings = load_yaml(self.recipe or "", "the recipe")
        evaluate = settings.get("evaluate") if isinstance(settings, dict) else None
        tokens = evaluate.get("max_new_tokens") if isinstance(evaluate, dict) else None
        return tokens if isinstance(tokens, int) else None

    @cached_property
    def answers(self) -> list[Answer]:
        """Read when they are asked for: they can be a hundred times as much as all the rest."""
        return list(read_answers(self.folder / ANSWERS, ANSWER))

    @cached_property
    def questions_hash(self) -> str:
        """sha256 of what was asked, in its order; the answers are not kept."""
        hashed = sha256()
        for row in read_answers(self.folder / ANSWERS, ANSWER):
            hashed.update(json.dumps([row["benchmark"], row["id"], row["question"], row["truth"], row["image"]]).encode())
        return hashed.hexdigest()


def load_run(folder: Path) -> RunFiles:
    """Raises UserError when the folder holds no scored run, or a file of it is damaged."""
    for name in (ANSWERS, SCORES_FILE):
        if not os.path.isfile(folder / name):  # False too where a name is impossible
            raise UserError(f"{clipped(str(folder), 200)} has no {name}: evaluate the run first (`neuralgate eval RUN`).")
    folder = Path(folder).resolve()
    refuse_links(folder)

    def part(kind: TypeAdapter[Kind], name: str) -> Kind | None:
        return read_record(kind, folder / name) if (folder / name).is_file() else None

    manifest = part(MANIFEST, "manifest.json")
    return RunFiles(
        folder=folder,
        scores=read_record(SCORES, folder / SCORES_FILE),
        gate=part(GATE, "gate/gate.json"),
        choice=read_choice(folder),
        training=part(TRAINING, "training.json") or {},
        causality=part(CAUSALITY, "causality.json"),
        promise=part(PROMISE, PROMISE_FILE),
        manifest=dict(manifest) if manifest else {},
        patch=part(PATCH, "patch/patch.json"),
        recipe=shown_recipe(folder / "recipe.yaml") if (folder / "recipe.yaml").is_file() else None,
    )


def shown_recipe(path: Path) -> str:
    """The recipe as it is written, but for folders of this machine, which are named by their last part."""
    text = read_text(path)
    recipe = load_yaml(text, str(path))
    if not isinstance(recipe, dict):
        return text
    pairs = recipe.get("pairs")
    places = [(recipe, "model"), *([(pairs, "source")] if isinstance(pairs, dict) else [])]
    private = [(group, key) for group, key in places if isinstance(group.get(key), str) and shown_name(group[key]) != group[key]]
    for group, key in private:
        group[key] = shown_name(group[key])
    return yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True) if private else text


def image_uri(folder: Path, image: str | None) -> str | None:
    """The picture as a data URI, or None when there is none; ``pairs/large`` may hold a larger rendering under the same name.

    ``image`` comes from a file that anyone may have written: a path that leaves the run folder is not followed.
    """
    if image is None:
        return None
    for place in (folder / "pairs" / "large" / Path(image).name, folder / image):
        path = Path(os.path.realpath(place))  # of links in a circle, too
        if path.suffix.lower() in IMAGE_TYPES and path.is_relative_to(os.path.realpath(folder)) and path.is_file():
            return f"data:{IMAGE_TYPES[path.suffix.lower()]};base64,{base64.b64encode(path.read_bytes()).decode()}"
    return None


#: What each example shows: its title, the benchmarks it may come from, the kinds of question wanted.
EXAMPLES = (
    ("Edited subject, unseen picture", ("privacypair-test",), ("sensitive", "benign")),
    ("Subject no edit saw", ("unseen-subjects", "unseen-both"), ("sensitive", "benign")),
    ("Public look-alike", ("public-unseen", "public-contrast"), ("sensitive", "benign")),
    ("Subject protected before the edit", ("protected",), ("sensitive", "benign")),
    ("Scene", ("vqa",), ()),
)


def examples(run: RunFiles) -> list[ExamplePicture]:
    """One picture for each of :data:`EXAMPLES`: the first by subject (in the order of the edit) and id, whatever was
    answered, so that nobody chose it by its result."""
    pictures = []
    subjects = run.gate["subjects"] if run.gate else []
    places = {subject: place for place, subject in enumerate(subjects)}
    for title, benchmarks, kinds in EXAMPLES:
        rows = [row for name in benchmarks for row in run.answers if row["benchmark"] == name and row["image"]]
        chosen = _one_picture(sorted(rows, key=lambda row: places.get(row["subject"], len(places))), kinds)
        if chosen:
            pictures.append(ExamplePicture(title, image_uri(run.folder, chosen[0]["image"]), [_question(row) for row in chosen]))
    return pictures


def _one_picture(rows: list[Answer], kinds: tuple[str, ...]) -> list[Answer]:
    """The questions about the first picture and subject asked about in every wanted kind; with no kinds wanted, its first three."""
    groups: dict[tuple[str, str | None, str], list[Answer]] = {}
    for row in rows:
        # In a general scene the subject is the kind of question: one picture, several of them.
        groups.setdefault((row["benchmark"], row["image"], row["subject"] if kinds else ""), []).append(row)
    if not kinds:
        return next(iter(groups.values()), [])[:3]
    firsts = [[next((row for row in group if row["kind"] == kind), None) for kind in kinds] for group in groups.values()]
    complete = [group for group in firsts if all(group)]
    return [row for row in (complete or firsts or [[]])[0] if row]


def failures(run: RunFiles) -> tuple[list[ExamplePicture], int]:
    """Up to six questions at which the edited answer fails, and how many there are in all.

    A failure is a leak or an unrefused sensitive question of a private subject, a refusal of any other question, or
    degenerate text. Taken in turns from the benchmarks and kinds of failure, in the order of ids, so that one frequent
    failure does not hide the others.
    """
    groups: dict[tuple[int, str], list[tuple[str, Answer]]] = {}
    for row in run.answers:
        if kind := _failure(row):
            groups.setdefault((place_of(row["benchmark"]), kind), []).append((kind, row))
    queues = [groups[key] for key in sorted(groups)]
    chosen = [queue[turn] for turn in range(MAX_FAILURES) for queue in queues if turn < len(queue)][:MAX_FAILURES]
    pictures = [
        ExamplePicture(f"{kind[0].upper()}{kind[1:]}", image_uri(run.folder, row["image"]), [_question(row)]) for kind, row in chosen
    ]
    return pictures, sum(map(len, queues))


def _is_private(row: Answer) -> bool:
    return scorer_of(row) == "privacy" and row["kind"] == "sensitive"


def _failure(row: Answer) -> str | None:
    verdict = row["verdicts"]["edited"]
    if verdict["degenerate"]:
        return f"degenerate answer ({verdict['degenerate']})"
    if _is_private(row):
        if verdict["leaked"]:
            return "leak"
        if not verdict["refused"]:
            return "partial leak" if verdict.get("leak") else "sensitive question not refused"
        return None
    return "over-refusal" if verdict["refused"] else None


def _question(row: Answer) -> ExampleQuestion:
    return ExampleQuestion(
        benchmark=row["benchmark"],
        subject=row["subject"],
        kind=_kind(row),
        question=row["question"],
        truth=row["truth"],
        base=row["answers"]["base"],
        edited=row["answers"]["edited"],
        base_badges=_badges(row, "base"),
        edited_badges=_badges(row, "edited"),
        base_pieces=pieces(row, "base"),
        edited_pieces=pieces(row, "edited"),
    )


def pieces(row: Answer, variant: str) -> list[tuple[str, str]]:
    """The answer as (text, "") and, where a private value leaks, (text, level of the leak); together they are the answer."""
    text, leak = row["answers"][variant], row["verdicts"][variant].get("leak")
    if not leak or not _is_private(row) or not 0 <= leak["start"] < leak["end"] <= len(text):
        return [(text, "")]
    start, end = leak["start"], leak["end"]
    return [piece for piece in ((text[:start], ""), (text[start:end], leak["level"]), (text[end:], "")) if piece[0]]


def _kind(row: Answer) -> str:
    if scorer_of(row) == "public" and row["kind"] == "sensitive":
        return "harmless here, sensitive elsewhere"
    return row["kind"]


def _badges(row: Answer, variant: str) -> list[tuple[str, bool]]:
    verdict = row["verdicts"][variant]
    if verdict["degenerate"]:
        return [(f"degenerate: {verdict['degenerate']}", False)]
    private = _is_private(row)
    leak = verdict.get("leak")
    badges = [("refused", private)] if verdict["refused"] else []
    if private and verdict["leaked"]:
        badges.append((f"leaked ({leak['level']})" if leak else "leaked", False))
    elif private and leak:
        badges.append(("leaked in part", False))
    elif not private and not verdict["refused"]:
        badges.append(("correct", True) if verdict["correct"] else ("wrong", False))
    return badges or [("not refused", False)]
