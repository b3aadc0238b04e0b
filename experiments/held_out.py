"""Do the vectors of some samples do anything for others of the same subject? And how do the shares depend on how many samples vote?

    python -m experiments.held_out

The plan, written before its numbers. 48 training pairs a subject, layer 0 of Clerk, locate's default settings. Per subject the first 24
samples are fitted and voted on, the other 24 are asked, both questions, greedily, while the subject's tokens are scaled by

* own: each asked sample's own vector (fitted, too; the only one that knows the sample);
* M > .3, M > .5: the dimensions that more than this share of the first 24 flip, flipped (the second is the majority's sign);
* mean, mean rescaled: the mean vector of the first 24, and the same over its mean absolute value;
* controls: as many random dimensions as M > .5 has, the mean of the next subject, the mean with its dimensions shuffled.

n = 144, 24 for each of six subjects; Wilson intervals over questions, and the number of subjects where the share is above 0. The shares
inactive, weak and strong are given for the first 4, 8, 24 and 48 samples of every subject, at the threshold .3.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import torch

from experiments.evidence import FOLDER, RECIPE
from neuralgate.chunks import Chunks
from neuralgate.evaluate.intervals import wilson
from neuralgate.files import write_json
from neuralgate.judge.prefix import judge
from neuralgate.locate.layers import optimise_layers
from neuralgate.locate.samples import make_samples
from neuralgate.locate.vectors import answers_under
from neuralgate.lvlm.load import load
from neuralgate.lvlm.targets import with_own_answers
from neuralgate.pairs.builder import build_pairs
from neuralgate.recipe import LocateConfig

LAYER, SAMPLES, FITTED = 0, 48, 24
COUNTS = (4, 8, 24, 48)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.manual_seed(0)
    lvlm = load("clerk")
    pairs = build_pairs(RECIPE.pairs, RECIPE.seed, Path(gettempdir()) / "neuralgate-held-out" / "pairs")
    train = with_own_answers(lvlm, pairs.split("train", "edit").per_subject(SAMPLES))
    config = LocateConfig(layers=[LAYER], samples_per_subject=SAMPLES)
    located = make_samples(train, config)
    vectors_ND = optimise_layers(lvlm, located, [LAYER], config, None, Chunks())[0]["vectors_ND"]
    subjects = train.subjects()
    rows = {subject: [place for place, item in enumerate(located) if item.pair.subject == subject] for subject in subjects}
    fitted = {subject: vectors_ND[rows[subject][:FITTED]] for subject in subjects}
    asked = [place for subject in subjects for place in rows[subject][FITTED:]]

    generator = torch.Generator().manual_seed(0)
    means = {subject: found_ND.mean(0) for subject, found_ND in fitted.items()}
    shares = {subject: (found_ND < 0).float().mean(0) for subject, found_ND in fitted.items()}

    def random_like(open_D: torch.Tensor) -> torch.Tensor:
        chosen_D = torch.zeros_like(open_D)
        chosen_D[torch.randperm(len(open_D), generator=generator)[: int(open_D.sum())]] = True
        return chosen_D

    following = dict(zip(subjects, (*subjects[1:], subjects[0]), strict=True))
    kinds: dict[str, dict[str, torch.Tensor]] = {
        "M > .3 flipped": {subject: 1 - 2 * (share_D > 0.3).float() for subject, share_D in shares.items()},
        "M > .5 flipped": {subject: 1 - 2 * (share_D > 0.5).float() for subject, share_D in shares.items()},
        "mean vector": means,
        "mean vector, rescaled": {subject: mean_D / mean_D.abs().mean() for subject, mean_D in means.items()},
        "as many random as M > .5": {subject: 1 - 2 * random_like(share_D > 0.5).float() for subject, share_D in shares.items()},
        "mean vector of the next subject": {subject: means[following[subject]] for subject in subjects},
        "mean vector, shuffled": {subject: mean_D[torch.randperm(len(mean_D), generator=generator)] for subject, mean_D in means.items()},
    }
    chosen = {"own vector": vectors_ND[asked]} | {
        name: torch.stack([vectors[located[place].pair.subject] for place in asked]) for name, vectors in kinds.items()
    }
    answers = []
    for name, vectors_MD in chosen.items():
        row: dict[str, Any] = {"vector": name}
        for kind in ("sensitive", "benign"):
            samples = [located[place].sample for place in asked]
            examples = [sample.sensitive[0] if kind == "sensitive" else sample.benign for sample in samples]
            texts = answers_under(lvlm, examples, [LAYER], vectors_MD[:, None], config.tokens)
            truths = [getattr(located[place].pair, f"{kind}_truth") for place in asked]
            refused = [judge(text, truth)["refused"] for text, truth in zip(texts, truths, strict=True)]
            low, high = wilson(sum(refused), len(refused))
            row[kind] = {"value": round(sum(refused) / len(refused), 4), "low": round(low, 4), "high": round(high, 4), "n": len(refused)}
            each = [any(hit for hit, place in zip(refused, asked, strict=True) if located[place].pair.subject == name) for name in subjects]
            row[kind]["subjects"] = sum(each)
        answers.append(row)
        print(row, flush=True)
    votes = []
    for count in COUNTS:
        votes_SD = torch.stack([(vectors_ND[rows[subject][:count]] < 0).float().mean(0) for subject in subjects])
        parts = {"inactive": votes_SD == 0, "weak": (votes_SD > 0) & (votes_SD <= 0.3), "strong": votes_SD > 0.3}
        votes.append({"samples": count, **{name: round(part.float().mean().item(), 4) for name, part in parts.items()}})
        print(votes[-1], flush=True)
    write_json(FOLDER / "held_out.json", {"fingerprint": lvlm.fingerprint, "layer": LAYER, "answers": answers, "shares": votes})


if __name__ == "__main__":
    main()
