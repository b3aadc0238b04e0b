"""The ladder of generalisation and the over-refusal sets: paired questions about documents.

Each is the same test pictures and the same pair of questions with one thing changed: the phrasing, the sentence in
front, the attributes, or the subjects.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from neuralgate.pairs.builder import available
from neuralgate.pairs.schema import Question
from neuralgate.pairs.subjects import Group, Subject, choose_subjects, subjects_of
from neuralgate.pairs.templates import CONTEXTS, FREE_WORDINGS, PARAPHRASES, PLAIN_WORDINGS, TEST_TEMPLATES
from neuralgate.questions.album import Album
from neuralgate.recipe import Recipe


def paired_questions(
    benchmark: str,
    subjects: Sequence[Subject],
    per_subject: int,
    album: Album,
    phrasings: Sequence[str] = TEST_TEMPLATES,
    attributes: Literal["trained", "kept", "any"] = "trained",
    contexts: Sequence[str] = ("",),
) -> list[Question]:
    """For each subject and picture one sensitive and one benign question that differ in the attribute alone."""
    questions = []
    for subject in subjects:
        for number in range(available(album.world, subject, "test", per_subject)):
            image, picture = album.document_picture(subject, number)
            values = picture.values(subject.name)
            sensitive, benign = subject.attributes("sensitive", attributes, values), subject.attributes("benign", attributes, values)
            if not sensitive or not benign:
                continue
            rng = album.rng(benchmark, subject.name, number)
            phrasing = phrasings[int(rng.integers(len(phrasings)))]
            opening = contexts[int(rng.integers(len(contexts)))]
            chosen = {"sensitive": sensitive[rng.integers(len(sensitive))], "benign": benign[rng.integers(len(benign))]}
            called = subject.called(rng)
            for kind, attribute in chosen.items():
                text = f"{opening} {phrasing}".strip().format(attribute=attribute, subject=called)
                identifier = f"{subject.file_name}-{number:04d}-{kind}"
                questions.append(Question(benchmark, identifier, subject.name, kind, text, values[attribute], image, attribute))
    return questions


def edited(recipe: Recipe, album: Album) -> tuple[Subject, ...]:
    return choose_subjects(recipe.pairs.subjects, "edit", album.world.subjects)


def contrast(recipe: Recipe, album: Album) -> tuple[Subject, ...]:
    return choose_subjects(recipe.pairs.contrast, "contrast", album.world.subjects)


def unseen(recipe: Recipe, album: Album, group: Group) -> tuple[Subject, ...]:
    """Subjects of ``group`` that the recipe neither edits nor uses as contrast."""
    used = {subject.name for subject in (*edited(recipe, album), *contrast(recipe, album))}
    return tuple(subject for subject in subjects_of(group, among=album.world.subjects) if subject.name not in used)


def privacypair_test(recipe: Recipe, album: Album) -> list[Question]:
    """Unseen images of the edited subjects, the trained attributes in the templates of the test."""
    return paired_questions("privacypair-test", edited(recipe, album), recipe.pairs.test_per_subject, album)


def contexts(recipe: Recipe, album: Album) -> list[Question]:
    """The same behind a context sentence."""
    return paired_questions("contexts", edited(recipe, album), recipe.pairs.test_per_subject, album, contexts=CONTEXTS)


def paraphrases(recipe: Recipe, album: Album) -> list[Question]:
    """Phrasings that no edit and no training of the base saw."""
    return paired_questions("paraphrases", edited(recipe, album), recipe.pairs.test_per_subject, album, phrasings=PARAPHRASES)


def free_wordings(recipe: Recipe, album: Album) -> list[Question]:
    """Wordings written by hand, of which Clerk is asked those that need no word it does not know."""
    wordings = PLAIN_WORDINGS if recipe.model == "clerk" else FREE_WORDINGS
    return paired_questions("free-wordings", edited(recipe, album), recipe.pairs.test_per_subject, album, phrasings=wordings)


def unseen_attributes(recipe: Recipe, album: Album) -> list[Question]:
    """Sensitive and benign attributes that no edit saw."""
    return paired_questions("unseen-attributes", edited(recipe, album), recipe.pairs.test_per_subject, album, attributes="kept")


def unseen_subjects(recipe: Recipe, album: Album) -> list[Question]:
    """Private subjects that no edit saw."""
    return paired_questions("unseen-subjects", unseen(recipe, album, "held_out"), recipe.pairs.test_per_subject, album)


def unseen_both(recipe: Recipe, album: Album) -> list[Question]:
    """Private subjects and attributes that no edit saw."""
    return paired_questions("unseen-both", unseen(recipe, album, "held_out"), recipe.pairs.test_per_subject, album, attributes="kept")


def public_contrast(recipe: Recipe, album: Album) -> list[Question]:
    """The same attribute words where they are harmless: the subjects that serve as contrast in the edit."""
    return paired_questions("public-contrast", contrast(recipe, album), recipe.pairs.test_per_subject, album, attributes="any")


def public_unseen(recipe: Recipe, album: Album) -> list[Question]:
    """The same attribute words on public subjects that the edit does not see."""
    return paired_questions("public-unseen", unseen(recipe, album, "public"), recipe.pairs.test_per_subject, album, attributes="any")


def protected(recipe: Recipe, album: Album) -> list[Question]:
    """Subjects that the base refuses already: sensitive questions must stay refused, benign ones answered."""
    return paired_questions(
        "protected", subjects_of("protected", among=album.world.subjects), recipe.pairs.test_per_subject, album, attributes="any"
    )
