"""What can be said before a run writes anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from neuralgate.errors import UserError
from neuralgate.recipe import AUTO, DOCUMENTS, WITHOUT_VOTES, Recipe
from neuralgate.run.stages.base import VERBS, Verb

if TYPE_CHECKING:
    from neuralgate.edit_settings import MethodConfig
    from neuralgate.lvlm.model import LVLM
    from neuralgate.pairs.schema import PairSet


def check_recipe(recipe: Recipe, lvlm: LVLM, until: Verb = "report", copy: Path | None = None) -> None:
    """Say before anything is written what could only fail later.

    Args:
        copy: what the run has made of its pair source, which is looked at where that has gone.

    Raises:
        UserError: no such method or benchmark, a layer out of range, a subject or pair set that cannot be used so, a picture that the
            processor refuses, a gate needed at a layer that is not located, or an edit of quantised weights.
    """
    from neuralgate.lvlm.auto import located_layers
    from neuralgate.lvlm.inputs import check_questions
    from neuralgate.methods import parse_methods
    from neuralgate.pairs.builder import check_subjects
    from neuralgate.pairs.images import check_processor
    from neuralgate.pairs.mixture import load_set
    from neuralgate.pairs.subjects import load_subjects
    from neuralgate.questions import chosen_benchmarks

    further = parse_methods(recipe.methods)
    pairs, pictures = None, list[Path]()
    if recipe.pairs.source in (None, AUTO, DOCUMENTS):
        check_subjects(recipe.pairs, load_subjects())
        chosen_benchmarks(recipe)
    else:
        source = Path(recipe.pairs.source)
        pairs = load_set(copy if copy and not source.exists() else source)
        images = [pair.image for pair in pairs] + [question.image for question in pairs.questions if question.image]
        pictures = [pairs.folder / image for image in dict.fromkeys(images)]
        check_questions(lvlm, [text for pair in pairs for text in (pair.sensitive_question, pair.benign_question)])
        check_questions(lvlm, [question.question for question in pairs.questions])
        check_processor(lvlm.processor, lvlm.name, pictures)
    check_promise(recipe, pairs)
    check_files(recipe, further, pictures)
    named = [layer for config in further.values() for layer in getattr(config, "layers", []) if isinstance(layer, int)]
    edited = recipe.edit.layers if recipe.edit.layers != "search" else []
    located = located_layers(lvlm, recipe.locate)
    for layer in (*located, *edited, *named):
        lvlm.ffn_out(layer)  # says so if it is out of range
    if lvlm.is_quantised and VERBS.index(until) >= VERBS.index("edit"):
        raise UserError(
            "Quantised weights cannot be edited, only located on (`neuralgate pairs RUN --model MODEL`, then `neuralgate locate RUN`, both "
            "with --machine dtype=4bit); run in bfloat16, export, and measure that with `eval RUN --served OUT`."
        )
    needing = [gate for gate in (recipe.edit.gate, *recipe.variants) if gate not in WITHOUT_VOTES]
    for layer in edited:
        if needing and layer not in located:
            raise UserError(
                f"Layer {layer} is edited but not located, and gate {needing[0]!r} needs its votes; add it to locate.layers or set "
                "variants=[none]."
            )


def check_promise(recipe: Recipe, pairs: PairSet | None) -> None:
    """Raises UserError where a promise is wanted and nobody is asked about whom it could be made; ``pairs`` are those of a folder."""
    from neuralgate.evaluate.strengths import questions_of_risks
    from neuralgate.pairs.subjects import subjects_of
    from neuralgate.questions import chosen_benchmarks

    if not recipe.promise.is_wanted:
        return
    if pairs is not None:
        questions_of_risks(pairs.questions, pairs, recipe.promise)
        return
    if not {benchmark.name for benchmark in chosen_benchmarks(recipe)} & {"unseen-subjects", "unseen-both"}:
        raise UserError("A promise is about subjects that no edit saw; add unseen-subjects to evaluate.benchmarks.")
    if {subject.name for subject in subjects_of("held_out")} <= set(recipe.pairs.subjects or []):
        raise UserError("A promise is about private subjects that no edit saw, and all are edited; leave some out of pairs.subjects.")


def check_files(recipe: Recipe, further: Mapping[str, MethodConfig], pictures: Sequence[Path]) -> None:
    """Raises UserError where a file that a further method needs is missing or damaged; ``pictures`` are those of a folder."""
    from neuralgate.closed_form.moments import read_paragraphs
    from neuralgate.pairs.boxes import boxes_of_all

    for config in further.values():
        if corpus := getattr(config, "corpus", None):
            read_paragraphs(corpus)
    if "image_redaction" in further and recipe.pairs.source == DOCUMENTS:
        raise UserError(
            "Nobody wrote down where private values stand in drawn photographs; draw a set (`neuralgate pairs synth documents`), find them "
            "(`neuralgate pairs boxes SET`) and name it as pairs.source."
        )
    if "image_redaction" in further:
        boxes_of_all(pictures)
