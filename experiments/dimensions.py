"""Question b: how few dimensions make a model refuse, and are they the located ones?

Sparse votes come of many samples a subject and a full weight on leaving dimensions alone. The curve flips the first dimensions by votes, as
many as are to be kept, at the subject's tokens of samples that had no vote, and as many random ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from experiments.cells import Cell, Result
from experiments.study import Study, settings_of
from experiments.votes import locate, refused_under, unpacked, vote_shares
from neuralgate.locate.samples import PairSample, make_samples
from neuralgate.recipe import LocateConfig

VOTERS, SPARSE = 24, 0.1  # samples a subject; largest share of dimensions that a sparse gate opens
KEPT = (1, 2, 5, 10, 20, 35, 50)  # % of the dimensions
RANDOM_SETS = 5  # of dimensions, for each subject


def sparse_config(study: Study, layer: int) -> LocateConfig:
    return LocateConfig(layers=[layer], samples_per_subject=VOTERS, steps=study.size.sparse_steps, gamma=1.0)


def sparse_votes(study: Study, seed: int, layer: int | None = None) -> Cell:
    """Votes of many samples, and the smallest threshold at which at most a tenth of the dimensions are strong."""
    seed = 0 if study.size.sparse_once else seed
    layer = study.layer if layer is None else layer
    config = sparse_config(study, layer)

    def make() -> Result:
        found = locate(study.lvlm, study.training(seed), config)
        return {**found, "threshold": sparse_threshold(found, layer)}

    settings = {"locate": settings_of(config), "seed": seed, "share": SPARSE}
    return Cell(f"sparse/layer{layer}-seed{seed}", settings, make)


def sparse_threshold(found: Result, layer: int) -> float:
    """Over all subjects; half way between two numbers of votes."""
    shares = vote_shares(found, layer)
    steps = [(place + 0.5) / VOTERS for place in range(VOTERS)]
    return next(threshold for threshold in steps if (shares > threshold).float().mean() <= SPARSE or threshold == steps[-1])


def ranked(votes: Sequence[int], means: Sequence[int]) -> list[int]:
    """Dimensions by votes, of equal ones those whose mean vector is lower first, of which ``means`` holds how far below 1 it is."""
    return sorted(range(len(votes)), key=lambda place: (-votes[place], -means[place], place))


def random_order(size: int, subject: int, draw: int) -> list[int]:
    return torch.randperm(size, generator=torch.Generator().manual_seed(1000 * subject + draw)).tolist()


def flipped(orders: Sequence[Sequence[int]], kept: int) -> torch.Tensor:
    """Vectors ``(N, 1, D)`` with the first ``kept`` dimensions of each order flipped."""
    vectors_N1D = torch.ones(len(orders), 1, len(orders[0]))
    for row, order in enumerate(orders):
        vectors_N1D[row, 0, list(order[:kept])] = -1
    return vectors_N1D


def curve(study: Study, layer: int) -> Cell:
    """Whether each held-out sample refuses, by share of dimensions and kind of set: a letter a sample (and draw), by subject."""
    votes = sparse_votes(study, 0, layer)
    config = sparse_config(study, layer)

    def make() -> Result:
        found = study.cells.result(votes)
        everyone = config.model_copy(update={"samples_per_subject": VOTERS + study.size.held_out})
        samples = make_samples(study.training(0), everyone)
        subjects = list(found["samples"])
        places = [place for name in subjects for place in places_of(samples, name)[VOTERS:]]
        asked, owners = [samples[place] for place in places], [subjects.index(samples[place].pair.subject) for place in places]
        size = study.lvlm.hidden_size
        votes_of, means_of = found["votes"][str(layer)], found["means"][str(layer)]
        located = {name: ranked(unpacked(votes_of[name]), unpacked(means_of[name])) for name in subjects}

        def refused(orders: list[list[int]], kept: int) -> str:
            return refused_under(study.lvlm, asked, [layer], flipped(orders, kept), config.tokens)

        kept_rows = {}
        for percent in KEPT:
            kept = max(1, round(size * percent / 100))
            rows = {"located": [refused([located[subjects[owner]] for owner in owners], kept)], "random": []}
            for draw in range(study.size.random_sets):  # with fewer draws than sets, every sample is asked under another one
                orders = [random_order(size, owner, (draw + number) % RANDOM_SETS) for number, owner in enumerate(owners)]
                rows["random"].append(refused(orders, kept))
            kept_rows[str(percent)] = {kind: by_subject(letters, owners, subjects) for kind, letters in rows.items()}
        return {"layer": layer, "kept": kept_rows}

    settings = {**votes.settings, "kept": KEPT, "held_out": study.size.held_out, "draws": study.size.random_sets}
    return Cell(f"curve/layer{layer}", settings, make)


def places_of(samples: Sequence[PairSample], subject: str) -> list[int]:
    return [place for place, item in enumerate(samples) if item.pair.subject == subject]


def by_subject(rows: Sequence[str], owners: Sequence[int], subjects: Sequence[str]) -> dict[str, str]:
    """Letters of several rows of samples, by the samples' subjects."""
    return {
        name: "".join(letter for row in rows for letter, owner in zip(row, owners, strict=True) if owner == number)
        for number, name in enumerate(subjects)
    }


def cells(study: Study) -> list[Cell]:
    """The curve at every candidate layer, the edited one first."""
    layers = sorted(study.layers, key=lambda layer: layer != study.layer)
    return [cell for layer in layers for cell in (sparse_votes(study, 0, layer), curve(study, layer))]
