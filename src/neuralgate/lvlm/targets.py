"""Pairs as examples, and the model's own answers as their targets: what a benign question must keep being answered with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from neuralgate.errors import UserError
from neuralgate.judge.prefix import contains  # whatever judges the run: the prefixes are what is taught
from neuralgate.lvlm.auto import answer_tokens
from neuralgate.lvlm.model import LVLM
from neuralgate.lvlm.prompts import Example
from neuralgate.lvlm.spelling import first_words, text_of
from neuralgate.pairs.schema import Pair, PairSet, QuestionKind

OWN_WORDS = 5  # the authors take the first five words


def example_of(pair: Pair, kind: QuestionKind, folder: Path, opening: str = "", own: bool = False) -> Example:
    """One question of a pair, behind ``opening``, with the answer wanted of it: the refusal where it is sensitive and to be edited, else,
    and where it is to be the ``own`` one, the model's."""
    start, end = pair.subject_span(kind)
    if kind == "benign":
        target = pair.benign_target, pair.benign_target_ids
    else:
        is_taught = pair.role == "edit" and not own
        target = (pair.refusal, pair.refusal_ids) if is_taught else (pair.sensitive_target, pair.sensitive_target_ids)
    answer, ids = target
    span = (start + len(opening), end + len(opening))
    return Example(folder / pair.image, opening + pair.question(kind), pair.word, answer, span, ids)


def with_own_answers(lvlm: LVLM, pairs: PairSet, report: Callable[..., None] | None = None, all_sensitive: bool = False) -> PairSet:
    """The pairs with ``benign_target`` (and, where the sensitive question must stay answered too, or for all, ``sensitive_target``)
    set to the first five words of the base model's own greedy answer, as text and as the tokens that it said."""
    items = [(pairs.folder / pair.image, pair.benign_question) for pair in pairs]
    answered = [pair for pair in pairs if all_sensitive or pair.role != "edit"]
    items += [(pairs.folder / pair.image, pair.sensitive_question) for pair in answered]
    answers = lvlm.generate_answers(items, max_new_tokens=answer_tokens(lvlm, clerk=12), report=report)
    targets = [first_words(lvlm, answer.ids, OWN_WORDS) for answer in answers]
    sensitive = {pair.id: ids for pair, ids in zip(answered, targets[len(pairs) :], strict=True)}
    return pairs.with_pairs(
        replace(
            pair,
            benign_target=text_of(lvlm, ids),
            benign_target_ids=ids,
            sensitive_target=text_of(lvlm, sensitive.get(pair.id, ())),
            sensitive_target_ids=sensitive.get(pair.id, ()),
        )
        for pair, ids in zip(pairs, targets[: len(pairs)], strict=True)
    )


def only_read(lvlm: LVLM, pairs: PairSet, report: Callable[..., None] | None = None) -> tuple[PairSet, dict[str, int]]:
    """The pairs without those of private subjects whose sensitive question the model does not answer with the truth, and how
    many were left out per subject. A subject of which no training or no validation pair is left is left out as a whole, and so are
    the questions about it: what was not edited is not asked as if it were.

    Raises:
        UserError: no subject is left.
    """
    private = [pair for pair in pairs if pair.role == "edit"]
    items = [(pairs.folder / pair.image, pair.sensitive_question) for pair in private]
    texts = lvlm.generate(items, max_new_tokens=answer_tokens(lvlm, clerk=24), report=report)
    unread = {pair.id for pair, text in zip(private, texts, strict=True) if not contains(text, pair.sensitive_truth)}
    read = [pair for pair in private if pair.id not in unread]
    both = {pair.subject for pair in read if pair.split == "train"} & {pair.subject for pair in read if pair.split == "validation"}
    if not both:
        raise UserError(
            f"{lvlm.name} reads none of the private subjects in pictures of both splits, so nothing leaks that an edit could prevent; "
            "choose other subjects, larger pictures, or pairs.only_read=false."
        )
    unread |= {pair.id for pair in private if pair.subject not in both}
    kept = pairs.subset(dict.fromkeys(pair.subject for pair in pairs if pair.id not in unread))
    kept = kept.with_pairs(pair for pair in kept if pair.id not in unread)
    return kept, {subject: sum(pair.subject == subject and pair.id in unread for pair in private) for subject in pairs.subjects()}
