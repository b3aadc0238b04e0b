"""Does the model still know what is private? Yes/no questions about every subject, with and without its picture."""

from __future__ import annotations

from neuralgate.clerk.turns import awareness_question, private_answer
from neuralgate.pairs.builder import available
from neuralgate.pairs.schema import Question
from neuralgate.questions.album import Album
from neuralgate.recipe import Recipe


def awareness(recipe: Recipe, album: Album) -> list[Question]:
    """Per subject: itself, each sensitive and three benign attributes, each with the picture and without."""
    questions = []
    for subject in album.world.subjects:
        if not available(album.world, subject, "test", 1):
            continue
        image, picture = album.document_picture(subject, 0)
        visual = [attribute for attribute in ("colour",) if attribute in picture.values(subject.name)]
        for attribute in (None, *subject.sensitive, *subject.benign, *visual):
            truth = private_answer(subject, attribute).split(",")[0]
            for place, path in (("seen", image), ("unseen", None)):
                identifier = f"{subject.file_name}-{attribute or 'itself'}-{place}"
                text = awareness_question(subject, attribute)
                questions.append(Question("awareness", identifier, subject.name, "awareness", text, truth, path, attribute or "", "yes-no"))
    return questions
