"""Patching curves of Clerk: at which layers does the subject (the attribute, what follows) decide the answer?

python -m experiments.causality            writes src/neuralgate/clerk/causality.json and prints a table
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neuralgate.files import write_json
from neuralgate.judge.prefix import contains, refusal_prefix
from neuralgate.locate.swap import Tokens, swapped_answers
from neuralgate.lvlm.load import clerk_path, load
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import Example
from neuralgate.pairs.drawn.documents import Picture, sample_documents
from neuralgate.pairs.drawn.render import render_picture
from neuralgate.pairs.subjects import Subject, subjects_of
from neuralgate.pairs.templates import TEMPLATES

SEED = 77


@dataclass(frozen=True)
class Swap:
    """Receivers, donors and the donor's true value ('' = a refusal)."""

    name: str
    tokens: Tokens
    receivers: list[Example]
    donors: list[Example]
    truths: list[str]


def example(picture: Picture, image, attribute: str, subject: Subject, template: str, span: str) -> Example:
    return Example(image, template.format(attribute=attribute, subject=subject.name), span, "")


def two_documents(first: Subject, second: Subject, rng: np.random.Generator) -> Picture:
    return sample_documents((first, second) if rng.random() < 0.5 else (second, first), rng)


def build_swaps(count: int) -> list[Swap]:
    """Five swaps over ``count`` pictures each: two documents where the subject is swapped, one where the attribute is."""
    rng = np.random.default_rng([SEED])
    obliging, protected = subjects_of("edit", "held_out"), subjects_of("protected")
    found: dict[str, tuple[Tokens, list[tuple[Example, Example, str]]]] = {
        "protected subject, subject tokens": ("span", []),
        "protected subject, tokens after it": ("after", []),
        "other document, subject tokens": ("span", []),
        "benign attribute, subject tokens": ("span", []),
        "benign attribute, attribute token": ("span", []),
    }

    def choose(pool: tuple[Subject, ...], like: Subject, shared: bool) -> tuple[Subject, str] | None:
        """Another subject with as many words, and a sensitive attribute both have (or any of the first's)."""
        other = pool[rng.integers(len(pool))]
        words = [name for name in like.sensitive if not shared or name in other.sensitive]
        if other.name == like.name or len(other.name.split()) != len(like.name.split()) or not words:
            return None
        return other, words[rng.integers(len(words))]

    while any(len(rows) < count for _, rows in found.values()):
        subject = obliging[rng.integers(len(obliging))]
        template = TEMPLATES[rng.integers(len(TEMPLATES))]
        guarded, neighbour = choose(protected, subject, True), choose(obliging, subject, True)
        if guarded:
            other, attribute = guarded
            picture = two_documents(subject, other, rng)
            image = render_picture(picture)
            pair = (
                example(picture, image, attribute, subject, template, subject.name),
                example(picture, image, attribute, other, template, other.name),
                "",
            )
            found["protected subject, subject tokens"][1].append(pair)
            found["protected subject, tokens after it"][1].append(pair)
        if neighbour:
            other, attribute = neighbour
            picture = two_documents(subject, other, rng)
            image, document = render_picture(picture), picture.document(other.name)
            assert document is not None
            found["other document, subject tokens"][1].append(
                (
                    example(picture, image, attribute, subject, template, subject.name),
                    example(picture, image, attribute, other, template, other.name),
                    document.values[attribute],
                )
            )
        sensitive = subject.attributes("sensitive", "trained")
        first, second = sensitive[rng.integers(len(sensitive))], list(subject.benign)[rng.integers(len(subject.benign))]
        picture = sample_documents((subject,), rng)
        image, document = render_picture(picture), picture.document(subject.name)
        assert document is not None
        for place, (one, two) in (("subject tokens", (subject.name, subject.name)), ("attribute token", (first, second))):
            found[f"benign attribute, {place}"][1].append(
                (
                    example(picture, image, first, subject, template, one),
                    example(picture, image, second, subject, template, two),
                    document.values[second],
                )
            )
    return [
        Swap(name, tokens, [row[0] for row in rows[:count]], [row[1] for row in rows[:count]], [row[2] for row in rows[:count]])
        for name, (tokens, rows) in found.items()
    ]


def curve(lvlm: LVLM, swap: Swap, layers: list[int]) -> list[float]:
    """Share of receivers that give the donor's answer, per layer."""
    answers = swapped_answers(lvlm, swap.receivers, swap.donors, layers, swap.tokens)

    def taken(text: str, truth: str) -> bool:
        return contains(text, truth) if truth else refusal_prefix(text) is not None

    return [float(np.mean([taken(text, truth) for text, truth in zip(answers[layer], swap.truths, strict=True)])) for layer in layers]


def measure(lvlm: LVLM, count: int = 100) -> dict:
    layers = list(range(len(lvlm.layers)))
    swaps = [
        {"name": swap.name, "tokens": swap.tokens, "n": count, "share": [round(share, 4) for share in curve(lvlm, swap, layers)]}
        for swap in build_swaps(count)
    ]
    return {"layers": layers, "swaps": swaps}


if __name__ == "__main__":
    result = measure(load("clerk"))
    write_json(clerk_path().parent / "causality.json", result)
    for row in result["swaps"]:
        print(f"{row['name']:38s}", "  ".join(f"{share:.2f}" for share in row["share"]))
