"""Questions asked in words that no training of Notary holds: by another name of the subject, in German, in French."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, TypeAdapter

from neuralgate.notary.knows import notary_file
from neuralgate.pairs.schema import Question
from neuralgate.settings import Settings, parse_settings, read_yaml

LanguageName = Literal["german", "french"]
Text = Annotated[str, Field(min_length=1)]
Forms = dict[str, Text]


class Language(Settings):
    """Another language's questions. The wordings name the forms that they need, with articles, in braces."""

    wordings: tuple[Text, ...] = Field(min_length=1, description="Such as `{subject_word}: Was ist {attribute}?`.")
    attributes: dict[str, Forms] = Field(description="English attribute -> form -> words.")
    subjects: dict[str, Forms] = Field(description="English name -> form -> words.")

    def ask(self, wording: str, attribute: str, subject: str) -> str:
        """The question in ``wording``.

        Raises:
            KeyError: attribute or subject is not in the tables.
        """
        return wording.format(**self.attributes[attribute], **self.subjects[subject])


@cache
def load_language(name: LanguageName) -> Language:
    """Raises UserError when its file is damaged."""
    path = notary_file(f"{name}.yaml")
    return parse_settings(Language, read_yaml(path, "The language"), str(path))


def _read_synonyms(name: str) -> dict[str, tuple[str, ...]]:
    return TypeAdapter(dict[Text, tuple[Text, ...]]).validate_python(read_yaml(notary_file(name), "The synonyms"))


@cache
def load_synonyms() -> dict[str, tuple[str, ...]]:
    """Name of a subject -> other words for it, in no training of a base and in no edit."""
    return _read_synonyms("synonyms.yaml")


@cache
def load_training_synonyms() -> dict[str, tuple[str, ...]]:
    """Name of every second subject of each group -> words to train on, none of which `load_synonyms` tests."""
    return _read_synonyms("synonyms_training.yaml")


def by_synonym(question: Question, rng: np.random.Generator) -> Question:
    """The same question with another word for its subject, drawn.

    Raises:
        KeyError: the subject has none.
        ValueError: the question does not name its subject.
    """
    words = load_synonyms()[question.subject]
    text, count = re.subn(rf"(?<!\w){re.escape(question.subject)}(?!\w)", words[rng.integers(len(words))], question.question)
    if not count:
        raise ValueError(f"{question.question!r} does not name {question.subject!r}")
    return replace(question, benchmark="synonyms", question=text)


def in_language(question: Question, name: LanguageName, rng: np.random.Generator) -> Question:
    """What the question asks, in one of the wordings of another language, drawn; the truth stays as it is written in the picture."""
    language = load_language(name)
    wording = language.wordings[rng.integers(len(language.wordings))]
    return replace(question, benchmark=name, question=language.ask(wording, question.attribute, question.subject))
