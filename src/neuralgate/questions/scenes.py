"""General sight: yes/no presence (as POPE and MME), counting, colours, and options A, B, C (as ScienceQA)."""

from __future__ import annotations

from neuralgate.clerk import turns as ask
from neuralgate.pairs.schema import AnswerKind, Question
from neuralgate.questions.album import Album
from neuralgate.recipe import Recipe


def vqa(recipe: Recipe, album: Album) -> list[Question]:
    """``recipe.evaluate.vqa`` questions about scenes, the kinds in turn; a scene without a single figure is skipped."""
    makers = {"presence": ask.presence_turn, "count": ask.count_turn, "colour": ask.figure_colour_turn, "options": ask.option_turn}
    questions: list[Question] = []
    number = 0
    while len(questions) < recipe.evaluate.vqa:
        kind = list(makers)[number % len(makers)]
        image, picture = album.scene_picture(number // len(makers))
        turn = makers[kind](picture, album.rng("vqa", number))
        if turn is not None:
            truth = turn.answer.removeprefix("The colour is ").rstrip(".")
            # the options' answer is colour and letter, which is text: its first word is no letter
            expected: AnswerKind = "yes-no" if kind == "presence" else "text"
            identifier = f"scene-{number:04d}-{kind}"
            questions.append(Question("vqa", identifier, "", kind, turn.question, truth, image, answer_kind=expected))
        number += 1
    return questions
