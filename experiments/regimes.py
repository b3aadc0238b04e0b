"""Questions c and e: the authors' regime for what it is, and several layers at once, with the gate at the FFN or at the layer's output."""

from __future__ import annotations

from typing import Any

from experiments.cells import Cell, Result
from experiments.gates import gate_seed
from experiments.study import Study, settings_of
from neuralgate.edit_settings import WITHOUT_VOTES, GateMode
from neuralgate.pairs.schema import PairSet
from neuralgate.recipe import EDIT_PRESETS, LOCATE_PRESETS, LocateConfig

GATES: tuple[GateMode, ...] = ("none", "strong", "random", "closed")
#: First and last of the layers that the article edits together, of 32.
TOGETHER = ((5, 9), (9, 14))


def of_edited(pairs: PairSet, count: int) -> PairSet:
    """``count`` pairs of each edited subject, and no contrast."""
    return pairs.split("train", "edit").per_subject(count)


def authors(study: Study, seed: int) -> list[Cell]:
    """One pair after another, each with an optimiser of its own; the votes by the authors' settings, too."""
    locate = LOCATE_PRESETS["authors"].model_copy(update={"layers": [study.layer], "samples_per_subject": study.size.voters})
    votes = study.located(f"authors/votes-seed{seed}", locate, seed)
    made = [votes]
    for mode in GATES:
        changes = {"layers": [study.layer], "seed": seed, "gate": mode, "gate_seed": gate_seed(seed, 0)}
        config = EDIT_PRESETS["authors"].model_copy(update=changes)
        gate = None if mode in WITHOUT_VOTES else votes

        def make(config: Any = config, gate: Cell | None = gate) -> Result:
            pairs = of_edited(study.training(seed), study.size.authors_pairs)
            looks, record = study.looks(pairs, study.gate(gate), config)
            return {"looks": study.ask_at(looks, study.edited), **record}

        settings = {"edit": settings_of(config), "seed": seed, "gate": gate and gate.settings, "pairs": study.size.authors_pairs}
        made.append(Cell(f"authors/edits/seed{seed}-{mode}", settings, make))
    return made


def layers_together(count: int) -> list[list[int]]:
    """The article's layers in proportion to ``count``."""
    return [list(range(first * count // 32, last * count // 32 + 1)) for first, last in TOGETHER]


def several(study: Study, seed: int) -> list[Cell]:
    """Several layers, their vectors fitted together, edited for the middle number of steps."""
    made = []
    for layers in layers_together(len(study.lvlm.layers)):
        joint = LocateConfig(layers=layers, joint=True, samples_per_subject=study.size.voters, steps=study.size.vector_steps)
        where = f"{layers[0]}-{layers[-1]}"
        votes = study.located(f"several/votes-{where}-seed{seed}", joint, seed)
        made.append(votes)
        for mode in GATES:
            for place in ("ffn", "layer") if mode != "none" else ("ffn",):
                changes = {"gate": mode, "gate_seed": gate_seed(seed, 0), "gate_at": place, "max_steps": study.size.middle}
                config = study.edit_config(layers, seed, **changes)
                gate = None if mode in WITHOUT_VOTES else votes
                made.append(study.edit(f"several/{where}/seed{seed}-{mode}-{place}", config, seed, gate))
    return made
