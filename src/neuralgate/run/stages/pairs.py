"""Images, training and validation pairs with the model's own first words as benign targets, and the questions of the evaluation with
their true answers: `pairs/`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuralgate.files import hash_path, remove
from neuralgate.pairs.subjects import subjects_file
from neuralgate.recipe import DOCUMENTS, Recipe
from neuralgate.run.stages.base import COMMON, Stage, Work

if TYPE_CHECKING:
    from neuralgate.pairs.schema import PairSet
    from neuralgate.run.folder import Attempt

FEW_PICTURES = 24  # training pairs a subject


class Pairs(Stage):
    name, verb = "pairs", "pairs"
    code = (*COMMON, "questions", "clerk")

    def settings(self, recipe: Recipe) -> Any:
        return [recipe.seed, recipe.pairs.digest, recipe.evaluate.benchmarks, recipe.evaluate.vqa]

    def outputs(self, recipe: Recipe) -> list[str]:
        return ["pairs"]

    def results_read(self, work: Work) -> dict[str, str]:
        source = pair_source(work.recipe)
        # the run holds a copy: a source that has gone is not missed once the pairs are there
        return {"source": hash_path(source) if source.exists() else work.run.manifest["hashes"].get("source") or ""}

    def make(self, work: Work, attempt: Attempt) -> None:
        from neuralgate.lvlm.targets import with_own_answers

        run = work.run
        run.note(hashes=self.results_read(work))
        remove(run.path("pairs"))  # all is drawn anew: what a killed process left behind would count as its result
        pairs = draw_or_gather(work, attempt)
        if work.recipe.pairs.only_read:
            pairs = leave_out_unread(pairs, work, attempt)
        pairs = with_taught_refusal(pairs, work, attempt)
        pairs = with_own_answers(work.model, pairs, report=attempt.report)
        pairs.save(run.path("pairs"))
        run.note(hashes={"data": pairs.hash()})


def pair_source(recipe: Recipe) -> Path:
    """What the pairs of a resolved recipe are made from: a pair set, or the file of the subjects that are drawn."""
    return subjects_file() if recipe.pairs.source in (None, DOCUMENTS) else Path(recipe.pairs.source)


def draw_or_gather(work: Work, attempt: Attempt) -> PairSet:
    from neuralgate.pairs.mixture import gather
    from neuralgate.questions.draw import draw_pair_set, drawn_world

    recipe, folder = work.recipe, work.run.path("pairs")
    world = drawn_world(recipe)
    if world is None:
        return gather([pair_source(recipe)], folder)
    # interpreters of their own take seconds to start: not for a few dozen pictures
    processes = (os.cpu_count() or 1) if recipe.pairs.source and recipe.pairs.per_subject > FEW_PICTURES else 1
    return draw_pair_set(world, recipe, folder, processes, attempt.report)


def leave_out_unread(pairs: PairSet, work: Work, attempt: Attempt) -> PairSet:
    """The pairs whose sensitive question the base model answers with the truth."""
    from neuralgate.lvlm.targets import only_read

    kept, unread = only_read(work.model, pairs, report=attempt.report)
    lost = [subject for subject in pairs.subjects() if subject not in kept.subjects()]
    work.run.note(unread=unread)
    with_them = f", with them all of {', '.join(lost)}, and its questions" if lost else ""
    work.run.display.line(f"left out because {work.recipe.model} does not read them: {sum(unread.values())} pairs{with_them}")
    return kept


def with_taught_refusal(pairs: PairSet, work: Work, attempt: Attempt) -> PairSet:
    """The pairs with the refusal that the edit is to teach."""
    from neuralgate.lvlm.refusals import own_refusal, with_refusal

    source, display = work.recipe.pairs.refusal, work.run.display
    if source == "paper":
        work.run.note(refusal={"source": source})
        display.line("refusal to teach: for each pair one of the paper's prefixes, as drawn with it")
        return pairs
    own = own_refusal(work.model, pairs, report=attempt.report)
    work.run.note(refusal={"source": source, "target": own.target, "asked": own.asked, "refused": own.refused})
    display.line(f"refusal to teach: {work.recipe.model}'s own, {own.target!r} ({own.refused} of {own.asked} requests refused)")
    return with_refusal(pairs, own)
