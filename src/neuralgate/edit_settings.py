"""Settings of what is done to a model: those that every method has, those of trained ones, and of the gated edit with its gates.

The settings of other methods stand in `methods`, each beside its method.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_validator

from neuralgate.errors import UserError
from neuralgate.settings import Settings

GateMode = Literal["strong", "none", "random", "inverted", "closed"]
Position = Literal["subject", "question", "image", "answer"]
Layer = Annotated[int, Field(ge=0)]
Auto = Literal["auto"]
AUTO: Auto = "auto"

#: What a comparison searches where a method has a layer and a number of steps: shares of the decoder's depth, and steps.
DEPTHS, STEPS = (0.15, 0.3, 0.5, 0.7), (20, 40, 80)
#: The layers 4-8 of 32 that MEMIT and AlphaEdit are spread over, in proportion.
SPREAD = (4 / 32, 9 / 32)


def _no_layer_twice(layers: list[int]) -> list[int]:
    if len(set(layers)) < len(layers):
        raise ValueError("a layer is named twice")
    return layers


Layers = Annotated[list[Layer], Field(min_length=1), AfterValidator(_no_layer_twice)]


def named_layers(layers: list[int] | str) -> list[int]:
    """``layers`` in their order. Raises UserError where they are still left to the search."""
    if isinstance(layers, str):
        raise UserError("No layer is named yet: give layers as a list; `choose_layer` chooses one by trial edits.")
    return sorted(layers)


#: What each gate lets through of the gradient that arrives at the subject's tokens.
GATE_MODES: dict[GateMode, str] = {
    "strong": "only the dimensions that were flipped in more than `threshold` of the samples (the published method)",
    "none": "everything: an ordinary edit",
    "random": "as many dimensions as `strong`, drawn at random",
    "inverted": "only the dimensions that `strong` holds back",
    "closed": "nothing: the edited subjects' tokens teach nothing (those of contrast subjects do under every gate)",
}
#: What each is called in reports, in the order of their columns.
GATE_TITLES: dict[str, str] = {
    "none": "ungated",
    "random": "random gate",
    "inverted": "inverted gate",
    "closed": "closed gate",
    "strong": "strong gate",
}
#: Gates that need no located votes.
WITHOUT_VOTES: tuple[GateMode, ...] = ("none", "closed")
#: Settings of an edit that the search for its rate does not look at.
RATE_APART = {
    *("rate", "gate", "gate_seed", "max_steps", "stop", "check_every", "target_rta", "stop_loss", "steps_per_pair"),
    *("keep", "max_benign_refused", "max_contrast_lost", "max_seconds"),
}


class MethodConfig(Settings):
    """What every method's settings hold: how its strength is chosen on validation pairs, the damage that it may do, and its budget."""

    keep: Literal["first", "strongest"] = Field(
        "first",
        description="`first` stops at the first look at validation pairs that finds `target_rta` within the limits of damage; `strongest` "
        "goes on to the limit and returns what refused most within them, so that methods are compared at equal damage.",
    )
    target_rta: float = Field(0.95, ge=0, le=1, description="Share of validation pairs' sensitive questions refused at which to stop.")
    max_benign_refused: float = Field(0.03, ge=0, le=1, description="Share of validation pairs' benign questions that may be refused.")
    max_contrast_lost: float = Field(
        0.05, ge=0, le=1, description="Share of validation questions about contrast subjects whose answer may be lost."
    )
    max_seconds: float | None = Field(None, gt=0, description="Seconds after which to stop; null sets no limit.")
    seed: int = Field(0, ge=0, description="Seed of the order of pairs, of their versions and of what is drawn at random.")

    @property
    def kind_of_training(self) -> tuple[str, str]:
        """The method and all its settings but the number of steps: trainings of one kind differ in how far they go."""
        return type(self).__module__, self.model_copy(update={"max_steps": 1}).digest

    @property
    def holds_contrast(self) -> bool:
        """Whether the method is to keep the answers about contrast subjects, so that losing them counts as damage."""
        return True

    def at_layers(self, layers: list[int]) -> Self:
        """The same settings with ``layers`` where they leave them to the search."""
        return self.model_copy(update={"layers": layers}) if getattr(self, "layers", None) == "search" else self


class TrainedConfig(MethodConfig):
    """What the loop of a trained method is told."""

    layers: Layers | Literal["search"] = Field(
        "search", description="Decoder layers to edit, or `search` for the one that does best on validation pairs."
    )
    rate: Annotated[float, Field(gt=0)] | Auto = Field(
        AUTO,
        description="Adam's learning rate; `auto` is Clerk's 3e-3 for Clerk, and for every other model the largest one up to that at which "
        "the loss of training pairs falls steadily.",
    )
    eps: float = Field(1e-8, gt=0, description="Adam's epsilon.")
    batch_size: int = Field(12, ge=1, description="Pairs per step; ignored with `sequential`.")
    max_steps: int = Field(300, ge=1, description="Optimiser steps at most; ignored with `sequential`.")
    stop: Literal["validation", "loss", "never"] = Field(
        "validation", description="Stop at `target_rta` on validation pairs, at `stop_loss` on training pairs, or only at the step limit."
    )
    check_every: int = Field(10, ge=1, description="Steps between two looks at the validation pairs.")
    stop_loss: float = Field(1e-3, ge=0, description="Training loss at which to stop where `stop` is `loss`.")
    lambda_benign: float = Field(1.25, ge=0, description="Weight of the benign question's loss.")
    contrast_weight: float = Field(1.0, ge=0, description="Weight of the loss on contrast subjects' own answers; 0 leaves them out.")
    sequential: bool = Field(
        False, description="One pair after another, each with a fresh optimiser, weights accumulating; contrast pairs play no part."
    )
    steps_per_pair: int = Field(10, ge=1, description="Steps for each pair with `sequential`.")

    @property
    def holds_contrast(self) -> bool:
        return bool(self.contrast_weight)

    @property
    def is_looked_at(self) -> bool:
        """Whether there are looks at validation pairs on the way."""
        return self.stop == "validation" or self.sequential

    @model_validator(mode="after")
    def _strongest_is_looked_for(self) -> Self:
        if self.keep == "strongest" and (self.stop != "validation" or self.sequential):
            raise ValueError("keep: strongest looks at validation pairs as it goes; set stop: validation and sequential: false")
        return self


class UnlearnConfig(TrainedConfig):
    """What a method is told that makes the model's own answers to sensitive questions less likely."""

    forget: Literal["own", "other"] = Field(
        "own",
        description="The answers to unlearn: the model's own to each question, or, as a control, those of other pairs, drawn at random.",
    )


class ValueConfig(MethodConfig):
    """What closed-form edits are told of their requests and values. The defaults are those that MEMIT is used with on Llama-2-7B."""

    per_subject: int = Field(4, ge=1, description="Training pairs of each subject that become requests.")
    kept: bool = Field(True, description="Whether benign and contrast questions are requests, too, with the model's own answers.")
    value_steps: int = Field(25, ge=1, description="Steps for each value.")
    value_rate: float = Field(0.5, gt=0, description="Adam's rate for the values.")
    value_stop: float = Field(0.05, ge=0, description="Loss at which a value is finished.")
    decay: float = Field(1e-3, ge=0, description="Weight of a value's norm.")
    kl: float = Field(0.0625, ge=0, description="Weight of the divergence of the next token at the subject.")
    clamp: float = Field(4.0, gt=0, description="Largest norm of a value's change, in norms of what it was.")
    values: Literal["fitted", "random"] = Field("fitted", description="Those found, or, as a control, of their norms at random.")
    at_a_time: int = Field(16, ge=1, description="Requests in a batch.")
    corpus: str | None = Field(
        None,
        description="A text file, a paragraph a line, whose tokens are the ordinary keys; null takes the model's own language: benign and "
        "contrast questions with its answers.",
    )


class EditConfig(TrainedConfig):
    """The gated edit (Eq. 7) of the FFN output projections."""

    gate: GateMode = Field("none", description="What passes of the gradient at subject tokens; see `neuralgate ls methods`.")
    gate_at: Literal["layer", "ffn"] = Field(
        "ffn", description="Gate the gradient at the layer's output (residual included) or at the FFN's."
    )
    tokens: Literal["all", "last"] = Field("all", description="Which of the subject's tokens the gate acts on.")
    positions: Annotated[list[Position], Field(min_length=1)] = Field(
        list(get_args(Position)), description="Classes of token positions that may send gradient into the weights."
    )
    gate_seed: int = Field(0, ge=0, description="Seed of the random gate.")


#: Where the publications say nothing, a preset keeps the default; see `recipe.LOCATE_PRESETS`.
EDIT_PRESETS: dict[str, EditConfig] = {
    "default": EditConfig(),
    # The article: Adam, rate 1e-5, 10 epochs, which with its 2,640 pairs are 26,400 single updates. Here 10 epochs of 6 x 96 pairs in
    # batches of 12 are 480 steps; fewer and larger ones.
    "paper": EditConfig(gate="strong", rate=1e-5, max_steps=480, stop="never", contrast_weight=0.0),
    # The authors' code: a fresh Adam (rate 1e-5, epsilon 1e-3) and at most 10 steps for each pair; gate at the layer's
    # output and at the subject's last token, whose siblings send their whole gradient.
    "authors": EditConfig(
        gate="strong", gate_at="layer", tokens="last", rate=1e-5, eps=1e-3, stop="loss", contrast_weight=0.0, sequential=True
    ),
}
