"""Both published presets, each with a gate of its own and with its controls.

    python -m experiments.presets

The plan, written before its numbers. Layer 0 of Clerk. Each preset (`paper`, `authors`) locates with its own settings, 24 samples a
subject, and edits with its own settings and that gate (strong), without a gate (none), with a random gate of its size (two draws), and
with the edited subjects' tokens closed. No contrast pairs, as published; the paper's preset has 96 pairs a subject, the authors' 16.
Neither is the published method still: that locates on all of 240 to 600 pairs a subject and makes 26,400 single updates on models a
thousand times larger. Scores are those of the regimes' ladder (n = 60 a kind). Read is the difference strong - none and strong - random
on unseen private subjects and on look-alikes; an interval over questions that holds 0 says that no difference was seen.
"""

from __future__ import annotations

import argparse

import torch

from experiments.evidence import EDITED_LAYER, FOLDER, RECIPE, Evidence, first_pairs, gate_variants, no_contrast
from neuralgate.locate.gate import Gate
from neuralgate.locate.locate import locate_gate

PRESETS = {"paper": RECIPE.pairs.per_subject, "authors": 16}  # and the pairs a subject that an edit sees
SAMPLES = 24
GATES = ("none", "strong", "random", "closed")
SEEDS = (0, 1)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.manual_seed(0)
    evidence = Evidence()
    for preset, per_subject in PRESETS.items():
        recipe = RECIPE.changed([f"locate={preset}", f"edit={preset}", f"locate.layers=[{EDITED_LAYER}]", f"edit.layers=[{EDITED_LAYER}]"])
        recipe = recipe.changed([f"locate.samples_per_subject={SAMPLES}"])
        folder = FOLDER / "presets" / f"{preset}-gate"
        settings = {"pairs": evidence.pairs.hash(), "locate": recipe.locate.digest}

        def make(config=recipe.locate, out=folder) -> dict:
            locate_gate(evidence.lvlm, evidence.pairs, config).save(out)
            return {}

        evidence.cell(f"presets/{preset}-gate", settings, make)
        gate = Gate.load(folder, evidence.lvlm.fingerprint)
        pairs = no_contrast(first_pairs(evidence.many, per_subject))
        for name, changes in gate_variants(GATES, SEEDS):
            evidence.edited(f"presets/{preset}/{name}", recipe.changed(changes), pairs, gate, "small")


if __name__ == "__main__":
    main()
