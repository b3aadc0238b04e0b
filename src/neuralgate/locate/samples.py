"""What locate optimises for: pairs as questions with the answers wanted of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from neuralgate.errors import UserError
from neuralgate.lvlm.prompts import Example
from neuralgate.lvlm.targets import example_of
from neuralgate.pairs.schema import Pair, PairSet
from neuralgate.pairs.templates import REFUSAL_PREFIXES
from neuralgate.recipe import LocateConfig


@dataclass(frozen=True)
class Sample:
    """One pair as locate needs it: the sensitive question once per context, and the benign question once, all about one image."""

    subject: str
    sensitive: tuple[Example, ...]
    benign: Example

    def __post_init__(self) -> None:
        if any(example.image != self.benign.image for example in self.sensitive):
            raise ValueError("the questions of a sample must be about one image")


@dataclass(frozen=True)
class PairSample:
    """A sample with the pair it came from."""

    pair: Pair
    sample: Sample


def make_samples(pairs: PairSet, config: LocateConfig) -> list[PairSample]:
    """The first ``samples_per_subject`` training pairs of every edited subject.

    Raises:
        UserError: some pairs have context sentences and some have not, or fewer.
    """
    samples = []
    taught = {pair.refusal for pair in pairs.split("train", "edit")}
    common = taught.pop() if len(taught) == 1 else REFUSAL_PREFIXES[0]  # a set with the model's own refusal has that one alone
    for pair in pairs.split("train", "edit").per_subject(config.samples_per_subject):
        openings = pair.openings if config.contexts else ("",)
        sensitive = tuple(example_of(pair, "sensitive", pairs.folder, opening) for opening in openings)
        if config.one_prefix:
            sensitive = tuple(replace(example, answer=common) for example in sensitive)
        samples.append(PairSample(pair, Sample(pair.subject, sensitive, example_of(pair, "benign", pairs.folder))))
    counts = sorted({len(item.sample.sensitive) - 1 for item in samples})
    if len(counts) > 1:
        raise UserError(
            f"The pairs have {counts[0]} to {counts[-1]} context sentences; give every pair equally many, or set locate.contexts=false."
        )
    return samples
