"""How much of everything a comparison takes. Importing it needs no torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from neuralgate.pairs.subjects import subjects_of
from neuralgate.settings import Settings

Count = Annotated[int, Field(ge=1)]


class ComparisonConfig(Settings):
    """The same for all methods. Subjects of the group `edit` are divided: the first are trained on, the last are the private subjects that
    choose settings and that no edit sees; contrast subjects likewise. Test subjects (`held_out`, `public`) take no part in either."""

    model: str = Field("clerk", min_length=1, description="`clerk` or `notary`.")
    budget: int = Field(12, ge=1, description="Settings of each method that are tried, drawn from its grid where that has more.")
    seeds: int = Field(3, ge=1, description="Seeds, each with other pairs first, other prefixes and other random controls.")
    controls: int = Field(2, ge=0, description="Draws of the random control a seed.")
    looks: Count = Field(
        4,
        description="Strengths at which a patch or a steering is looked at: 1, half or twice as much, then around the budget.",
    )
    most_loss: float = Field(
        0.02,
        ge=0,
        le=1,
        description="Accuracy that benign and general questions may lose at equal damage, or one answer where fewer than fifty are asked.",
    )
    least_refused: float = Field(0.95, gt=0, le=1, description="Share of private validation questions refused at equal privacy.")

    together: bool = Field(True, description="Try the edit with every combination of guards, where all of them are compared.")
    sequence: bool = Field(True, description="Edit the subjects one after another, too, with every method that changes weights.")

    trained_subjects: Count = Field(12, description="Private subjects that are trained on.")
    trained_contrast: Count = Field(6, description="Contrast subjects that are trained on.")
    per_subject: Count = Field(32, description="Training pairs of each.")
    contrast_per_subject: Count = Field(16, description="Training pairs of each contrast subject.")
    batch_size: Count = Field(6, description="Pairs a step of trained methods.")
    voters: Count = Field(6, description="Samples a subject that the gates are located on.")
    vector_steps: Count = Field(40, description="Steps of each of their vectors.")

    validation_pictures: Count = Field(1, description="Pictures of each subject when settings are chosen; of unseen ones thrice.")
    validation_scenes: Count = Field(48, description="General questions asked then.")
    test_pictures: Count = Field(1, description="Pictures of each subject in the test.")
    test_scenes: Count = Field(40, description="General questions in the test.")

    @model_validator(mode="after")
    def _someone_is_left(self) -> ComparisonConfig:
        for group, trained in (("edit", self.trained_subjects), ("contrast", self.trained_contrast)):
            there = len(subjects_of(group))  # type: ignore[arg-type]  # both are groups
            if trained >= there:
                raise ValueError(f"{trained} of {there} subjects of the group {group} are trained on, so that none is left to choose by")
        return self
