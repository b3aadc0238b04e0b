"""Question g: how far does an edit reach, by the number of subjects that it sees, with equally many pairs in all?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from experiments.cells import Cell, Result
from experiments.study import Study, settings_of
from neuralgate.lvlm.targets import with_own_answers
from neuralgate.pairs.builder import build_pairs, drawn_anew
from neuralgate.pairs.schema import PairSet
from neuralgate.pairs.subjects import subjects_of

COUNTS = (1, 2, 4, 8, 16)
SEEDS = 3


def chosen(seed: int, count: int) -> list[str]:
    """The subjects of an edit: those of a smaller number are among those of a larger one."""
    names = [subject.name for subject in subjects_of("edit")]
    return [names[place] for place in np.random.default_rng([seed, 7]).permutation(len(names))[:count]]


def pairs_about(study: Study, subjects: list[str], seed: int) -> PairSet:
    """New pairs about ``subjects``, in whose pictures nothing else that is private stands, and the contrast pairs of all edits."""
    folder = study.work / "variety"
    config = study.pairs_config(subjects=subjects, per_subject=study.size.variety_pairs // len(subjects), contrast_per_subject=0)
    drawn = build_pairs(config, 1 + seed, folder)
    told = with_own_answers(study.lvlm, drawn.split("train", "edit"))
    edited = [replace(pair, image=f"{folder.name}/{pair.image}") for pair in told]
    return drawn_anew(PairSet((*edited, *study.pairs.split("train", "contrast")), study.work), seed)


def cells(study: Study, seed: int) -> list[Cell]:
    config = study.edit_config([study.layer], seed, max_steps=study.size.middle)
    made = []
    for count in [number for number in COUNTS if number <= len(subjects_of("edit"))]:
        subjects = chosen(seed, count)

        def make(subjects: list[str] = subjects) -> Result:
            looks, record = study.looks(pairs_about(study, subjects, seed), None, config)
            return {"looks": study.ask_at(looks, subjects), **record}

        settings = {"edit": settings_of(config), "seed": seed, "subjects": subjects, "pairs": study.size.variety_pairs}
        made.append(Cell(f"variety/seed{seed}-{count:02d}", settings, make))
    return made
