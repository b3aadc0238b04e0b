"""Trial edits: what the weight of the benign loss (Fig. 4), the gate's threshold and the search radius (Table 4) change in an edited model.

Every trial is made with the strong gate, with a random one of the same size and with none, and is looked at from both sides: what it
refuses that it should, and what it refuses or gets wrong that it should not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from neuralgate.choose.layer import MEASURES, choose_layer, rounds, split_off, try_edit
from neuralgate.chunks import Chunks
from neuralgate.locate.gate import Gate
from neuralgate.lvlm.model import LVLM
from neuralgate.pairs.schema import PairSet, Role
from neuralgate.paper.scores import Score, eta_score, wilson_score
from neuralgate.paper.sweeps import GATES, LAMBDAS, RADII, THRESHOLDS, variant_name
from neuralgate.recipe import EditConfig, GateMode
from neuralgate.records.choice import Choice
from neuralgate.training.batches import Inputs


@dataclass(frozen=True)
class Trial:
    """One trial edit: the benign loss's weight when the gate was located and in the edit, and the gate."""

    located_lambda: float
    edit_lambda: float
    threshold: float
    mode: GateMode

    @property
    def key(self) -> str:
        if self.mode == "none":  # no gate, whatever it was located with
            return f"edit/{self.edit_lambda:g}/none"
        return f"edit/{self.edit_lambda:g}/{self.mode} {self.threshold:g} of {self.located_lambda:g}"


def questions_asked(pairs: PairSet, left_out: Mapping[str, str]) -> dict[str, int]:
    """How many validation questions each measure of a trial edit is a share of."""
    kept, unseen, public = split_off(pairs, dict(left_out))
    roles: tuple[Role, ...] = ("edit", "lookalike", "protected")
    count = {role: len(kept.split("validation", role)) for role in roles}
    seen = dict.fromkeys(("rta_sensitive", "rta_benign", "benign_accuracy"), count["edit"])
    return {**seen, "rta_unseen": len(unseen), "public_refused": count["lookalike"] + len(public), "protected_refused": count["protected"]}


def scored(measured: Mapping[str, Any], counts: Mapping[str, int]) -> dict[str, Score | None]:
    """The measures of a trial edit with their intervals, and EtA of the two that it is made of."""
    scores: dict[str, Score | None] = {name: wilson_score(measured[name], counts[name]) for name in MEASURES}
    sensitive, benign = scores["rta_sensitive"], scores["rta_benign"]
    scores["eta"] = eta_score(sensitive, benign) if sensitive and benign else None
    return scores


@dataclass
class Trials:
    """The trial edits at one layer. Each is a chunk; one that several figures need is made once."""

    lvlm: LVLM
    pairs: PairSet
    gate: Gate
    config: EditConfig
    layer: int
    own_lambda: float  # what the run's gate was located with
    gates: Mapping[str, Gate]  # those of the variants of locate, by name

    @cached_property
    def inputs(self) -> Inputs:
        """What enters the edited layer, kept from one trial to the next."""
        return Inputs(self.lvlm, self.layer)

    def of_lambda(self, weight: float) -> list[Trial]:
        """Fig. 4: one weight in both losses, Eq. 5 and Eq. 7."""
        threshold = self.same_gate(self.gate.threshold) if weight == self.own_lambda else self.gate.threshold
        return [Trial(weight, weight, threshold, mode) for mode in GATES]

    def of_threshold(self, threshold: float) -> list[Trial]:
        return [Trial(self.own_lambda, self.config.lambda_benign, threshold, mode) for mode in GATES]

    def gate_of(self, trial: Trial) -> Gate:
        own = trial.located_lambda == self.own_lambda
        located = self.gate if own else self.gates[variant_name("lambda_benign", trial.located_lambda)]
        return replace(located, threshold=trial.threshold)

    def same_gate(self, threshold: float) -> float:
        """The lowest of the thresholds that open the same dimensions as this one: votes are multiples of 1/n."""
        votes_SD = self.gate.votes_SLD[:, self.gate.layers.index(self.layer)]
        return min(other for other in (*THRESHOLDS, self.gate.threshold) if torch.equal(votes_SD > other, votes_SD > threshold))

    def run(self, report: Callable[..., None], chunks: Chunks) -> dict[str, list[dict[str, Any]]]:
        """Rows of both sweeps: ``lambda`` and ``threshold``."""
        sweeps = {
            "lambda": [(weight, trial) for weight in LAMBDAS for trial in self.of_lambda(weight)],
            "threshold": [(threshold, trial) for threshold in THRESHOLDS for trial in self.of_threshold(self.same_gate(threshold))],
        }
        trials = {trial.key: trial for sweep in sweeps.values() for _, trial in sweep}
        left_out = rounds(self.pairs)[0]
        counts = questions_asked(self.pairs, left_out)

        def attempt(key: str) -> bytes:
            trial = trials[key]
            config = self.config.model_copy(update={"gate": trial.mode, "lambda_benign": trial.edit_lambda})
            gate = None if trial.mode == "none" else self.gate_of(trial)
            row = try_edit(self.lvlm, self.pairs, gate, config, self.layer, left_out, self.inputs)
            report(done=list(trials).index(key) + 1, total=len(trials), text=f"tried {key}", sensitive=row["rta_sensitive"])
            return json.dumps(row).encode()

        chunks.make(list(trials), attempt)
        made = dict(zip(trials, map(json.loads, chunks.collect(list(trials))), strict=True))
        return {
            name: [
                {
                    "value": value,
                    "gate": trial.mode,
                    "threshold": trial.threshold,
                    "strong": None if trial.mode == "none" else self.strong_share(self.gate_of(trial)),
                    "steps": made[trial.key]["steps"],
                    "stopped": made[trial.key]["stopped"],
                    **scored(made[trial.key], counts),
                }
                for value, trial in sweep
            ]
            for name, sweep in sweeps.items()
        }

    def strong_share(self, gate: Gate) -> float:
        votes_SD = gate.votes_SLD[:, gate.layers.index(self.layer)]
        return round((votes_SD > gate.threshold).float().mean().item(), 4)


def neighbourhoods(
    lvlm: LVLM, pairs: PairSet, gate: Gate, choice: Choice, config: EditConfig, centre: int, report: Callable[..., None], chunks: Chunks
) -> dict[str, Any]:
    """Table 4: the largest and the mean EtA among the layers within each radius of the centre; the search itself is the run's, or is
    made here where it named its layers."""
    record: Any = choice if choice.get("search") else choose_layer(lvlm, pairs, gate, config, report, chunks)
    # the rounds put nearly the same questions to other edits: each question is counted once
    counts = questions_asked(pairs, rounds(pairs)[0])
    layers = [{"layer": row["layer"], "steps": row["steps"], "stopped": row["stopped"], **scored(row, counts)} for row in record["search"]]
    rows = []
    for radius in RADII:
        near = [row for row in layers if abs(row["layer"] - centre) <= radius]
        best = max(near, key=lambda row: (row["eta"]["value"], -abs(row["layer"] - centre)))
        rows.append(
            {
                "radius": radius,
                "layers": [row["layer"] for row in near],
                "best_layer": best["layer"],
                "max": best["eta"],
                "mean": mean_eta(near),
            }
        )
    return {"centre": centre, "gate": config.gate, "rounds": len(record["search"][0]["trials"]), "layers": layers, "rows": rows}


def mean_eta(near: list[dict[str, Any]]) -> Score:
    """The layers' mean EtA. They answered the same questions, so their errors go together and the interval is the mean interval."""
    means = {name: round(sum(row["eta"][name] for row in near) / len(near), 4) for name in ("value", "low", "high")}
    return {**means, "n": near[0]["eta"]["n"]}
