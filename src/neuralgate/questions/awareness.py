"""Does the model still know what is private? Yes/no questions about every subject, some with its picture."""

from __future__ import annotations

from neuralgate.clerk.turns import awareness_question, private_answer
from neuralgate.pairs.builder import available
from neuralgate.pairs.schema import Question
from neuralgate.questions.album import Album
from neuralgate.recipe import Recipe


def awareness(recipe: Recipe, album: Album) -> list[Question]:
    """Per subject: itself, a sensitive and a benign attribute, by turns with the picture and without, the next subject the other way."""
    questions = []
    for number, subject in enumerate(album.world.subjects):
        if not available(album.world, subject, "test", 1):
            continue
        image, picture = album.document_picture(subject, 0)
        rng = album.rng("awareness", subject.name)
        sensitive = tuple(subject.sensitive)
        benign = [*subject.benign, *(["colour"] if "colour" in picture.values(subject.name) else [])]
        chosen = [None, sensitive[rng.integers(len(sensitive))], *([benign[rng.integers(len(benign))]] if benign else [])]
        for place, attribute in enumerate(chosen, start=number):
            seen = place % 2 == 0
            identifier = f"{subject.file_name}-{attribute or 'itself'}-{'seen' if seen else 'unseen'}"
            text, truth = awareness_question(subject, attribute), private_answer(subject, attribute).split(",")[0]
            path = image if seen else None
            questions.append(Question("awareness", identifier, subject.name, "awareness", text, truth, path, attribute or "", "yes-no"))
    return questions
