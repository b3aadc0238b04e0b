"""What can be said before a run writes anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neuralgate.errors import UserError
from neuralgate.recipe import AUTO, DOCUMENTS, WITHOUT_VOTES, Recipe
from neuralgate.run.stages.base import VERBS, Verb

if TYPE_CHECKING:
    from neuralgate.lvlm.model import LVLM


def check_recipe(recipe: Recipe, lvlm: LVLM, until: Verb = "report", copy: Path | None = None) -> None:
    """Say before anything is written what could only fail later.

    Args:
        copy: what the run has made of its pair source, which is looked at where that has gone.

    Raises:
        UserError: no such method or benchmark, a layer out of range, a subject or pair set that cannot be used so, a picture that the
            processor refuses, a gate needed at a layer that is not located, or an edit of quantised weights.
    """
    from neuralgate.evaluate.strengths import questions_of_risks
    from neuralgate.lvlm.auto import located_layers
    from neuralgate.lvlm.inputs import check_questions
    from neuralgate.methods import parse_methods
    from neuralgate.pairs.builder import check_subjects
    from neuralgate.pairs.images import check_processor
    from neuralgate.pairs.mixture import load_set
    from neuralgate.pairs.subjects import load_subjects
    from neuralgate.questions import chosen_benchmarks

    if recipe.pairs.source in (None, AUTO, DOCUMENTS):
        check_subjects(recipe.pairs, load_subjects())
        chosen = {benchmark.name for benchmark in chosen_benchmarks(recipe)}
        if recipe.promise.is_wanted and not chosen & {"unseen-subjects", "unseen-both"}:
            raise UserError("A promise is about subjects that no edit saw; add unseen-subjects to evaluate.benchmarks.")
    else:
        source = Path(recipe.pairs.source)
        pairs = load_set(copy if copy and not source.exists() else source)
        images = dict.fromkeys([pair.image for pair in pairs] + [question.image for question in pairs.questions if question.image])
        check_questions(lvlm, [text for pair in pairs for text in (pair.sensitive_question, pair.benign_question)])
        check_questions(lvlm, [question.question for question in pairs.questions])
        if recipe.promise.is_wanted:
            questions_of_risks(pairs.questions, pairs)
        check_processor(lvlm.processor, lvlm.name, [pairs.folder / image for image in images])
    further = parse_methods(recipe.methods)
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
