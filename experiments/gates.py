"""Questions a and b: what do gates change, half-open ones and ones as sparse as the article's, on which routes, after how many steps?"""

from __future__ import annotations

from collections.abc import Iterator

from experiments.cells import Cell
from experiments.dimensions import sparse_votes
from experiments.study import Study
from neuralgate.edit_settings import WITHOUT_VOTES, GateMode

ROUTES: dict[str, list[str]] = {"all": ["subject", "question", "image", "answer"], "subject": ["subject"]}
SUBJECT = "subject"  # the route on which a closed gate would leave nothing to learn


def gate_names(draws: int) -> Iterator[tuple[str, GateMode, int]]:
    """Name, mode and draw of every gate."""
    modes: tuple[GateMode, ...] = ("none", "strong", "random", "inverted", "closed")
    for mode in modes:
        for draw in range(draws if mode == "random" else 1):
            yield (f"random{draw}" if mode == "random" else mode), mode, draw


def gate_seed(seed: int, draw: int) -> int:
    """Of a random gate: no two seeds share one."""
    return 100 * seed + draw


def cells(study: Study, seed: int) -> list[Cell]:
    """All of one seed: the votes, then an edit behind every gate on either route, and behind sparse gates."""
    votes, sparse = study.gate_at(study.layer, seed), sparse_votes(study, seed)
    made = [votes]
    for route, positions in ROUTES.items():
        for name, mode, draw in gate_names(study.size.random_gates):
            if (route, mode) == (SUBJECT, "closed"):
                continue
            config = study.edit_config([study.layer], seed, gate=mode, gate_seed=gate_seed(seed, draw), positions=positions)
            gate = None if mode in WITHOUT_VOTES else votes
            made.append(study.edit(f"gates/{route}/seed{seed}-{name}", config, seed, gate, study.size.stops, study.level))
    made.append(sparse)
    for name, mode in (("sparse", "strong"), ("sparse-random", "random")):
        config = study.edit_config([study.layer], seed, gate=mode, gate_seed=gate_seed(seed, 0))
        made.append(study.edit(f"gates/all/seed{seed}-{name}", config, seed, sparse, study.size.stops, study.level))
    return made
