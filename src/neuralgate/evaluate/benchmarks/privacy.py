"""The ladder of generalisation and the over-refusal sets: paired questions about documents.

Each is the same test pictures and the same pair of questions with one thing changed: the phrasing, the sentence in
front, the attributes, or the subjects.
"""

from __future__ import annotations

from collections.abc import Sequence

from neuralgate.evaluate.benchmarks.album import Album
from neuralgate.pairs.builder import choose_subjects
from neuralgate.pairs.schema import Question
from neuralgate.pairs.subjects import EDIT_BENIGN, EDIT_SENSITIVE, Group, Subject, subjects_of
from neuralgate.pairs.templates import CONTEXTS, PARAPHRASES, TEMPLATES
from neuralgate.recipe import Recipe


def allowed(attributes: Sequence[str], trained: Sequence[str], choice: str) -> list[str]:
    """Attributes that edits train on, those kept from every edit, or all."""
    return [name for name in attributes if choice == "any" or (name in trained) == (choice == "edit")]


def paired_questions(
    benchmark: str,
    subjects: Sequence[Subject],
    per_subject: int,
    album: Album,
    phrasings: Sequence[str] = TEMPLATES,
    attributes: str = "edit",
    contexts: Sequence[str] = ("",),
) -> list[Question]:
    """For each subject and picture one sensitive and one benign question that differ in the attribute alone."""
    questions = []
    for subject in subjects:
        sensitive = allowed(tuple(subject.sensitive), EDIT_SENSITIVE, attributes)
        benign = allowed(subject.benign_attributes, EDIT_BENIGN, attributes)
        for number in range(per_subject):
            image, picture = album.document_picture(subject, number)
            document = picture.document(subject.name)
            assert document is not None
            rng = album.rng(benchmark, subject.name, number)
            phrasing = phrasings[int(rng.integers(len(phrasings)))]
            opening = contexts[int(rng.integers(len(contexts)))]
            chosen = {"sensitive": sensitive[rng.integers(len(sensitive))], "benign": benign[rng.integers(len(benign))]}
            for kind, attribute in chosen.items():
                text = f"{opening} {phrasing}".strip().format(attribute=attribute, subject=subject.name)
                identifier = f"{subject.name.replace(' ', '-')}-{number:04d}-{kind}"
                truth = document.values[attribute]
                questions.append(Question(benchmark, identifier, subject.name, kind, text, truth, image, attribute))
    return questions


def edited(recipe: Recipe) -> tuple[Subject, ...]:
    return choose_subjects(recipe.pairs.subjects, "edit")


def unseen(recipe: Recipe, group: Group) -> tuple[Subject, ...]:
    """Subjects of ``group`` that the recipe neither edits nor uses as contrast."""
    used = {subject.name for subject in (*edited(recipe), *choose_subjects(recipe.pairs.contrast, "contrast"))}
    return tuple(subject for subject in subjects_of(group) if subject.name not in used)


def privacypair_test(recipe: Recipe, album: Album) -> list[Question]:
    """Unseen images of the edited subjects, the trained templates and attributes."""
    return paired_questions("privacypair-test", edited(recipe), recipe.pairs.test_per_subject, album)


def contexts(recipe: Recipe, album: Album) -> list[Question]:
    """The same behind a context sentence."""
    return paired_questions("contexts", edited(recipe), recipe.pairs.test_per_subject, album, contexts=CONTEXTS)


def paraphrases(recipe: Recipe, album: Album) -> list[Question]:
    """Phrasings that no edit and no training of the base saw."""
    return paired_questions("paraphrases", edited(recipe), recipe.pairs.test_per_subject, album, phrasings=PARAPHRASES)


def unseen_attributes(recipe: Recipe, album: Album) -> list[Question]:
    """Sensitive and benign attributes that no edit saw."""
    return paired_questions("unseen-attributes", edited(recipe), recipe.pairs.test_per_subject, album, attributes="unseen")


def unseen_subjects(recipe: Recipe, album: Album) -> list[Question]:
    """Private subjects that no edit saw."""
    return paired_questions("unseen-subjects", unseen(recipe, "held_out"), recipe.pairs.test_per_subject, album)


def unseen_both(recipe: Recipe, album: Album) -> list[Question]:
    """Private subjects and attributes that no edit saw."""
    return paired_questions("unseen-both", unseen(recipe, "held_out"), recipe.pairs.test_per_subject, album, attributes="unseen")


def public_contrast(recipe: Recipe, album: Album) -> list[Question]:
    """The same attribute words where they are harmless: the subjects that serve as contrast in the edit."""
    subjects = choose_subjects(recipe.pairs.contrast, "contrast")
    return paired_questions("public-contrast", subjects, 2 * recipe.pairs.test_per_subject, album, attributes="any")


def public_unseen(recipe: Recipe, album: Album) -> list[Question]:
    """The same attribute words on public subjects that the edit does not see."""
    return paired_questions("public-unseen", unseen(recipe, "public"), 2 * recipe.pairs.test_per_subject, album, attributes="any")


def protected(recipe: Recipe, album: Album) -> list[Question]:
    """Subjects that the base refuses already: sensitive questions must stay refused, benign ones answered."""
    return paired_questions("protected", subjects_of("protected"), recipe.pairs.test_per_subject, album, attributes="any")
