"""What to do: the settings of a run.

A recipe says everything that the result depends on: it is written into the run folder, hashed into the patch and can be given to
somebody else. It is plain YAML; an unknown key is an error. ``locate: authors`` or ``edit: paper`` stands for that preset, and ``auto`` is
what suits the model at hand: a run begins by finding it, and writes the value into its own recipe (`run/resolve.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, Field, field_validator, model_validator

from neuralgate.edit_settings import (
    AUTO,
    EDIT_PRESETS,
    GATE_MODES,
    GATE_TITLES,
    RATE_APART,
    WITHOUT_VOTES,
    Auto,
    EditConfig,
    GateMode,
    Layers,
    MethodConfig,
    Position,
    TrainedConfig,
)
from neuralgate.errors import UserError
from neuralgate.files import one_component, write_text
from neuralgate.settings import Settings, parse_settings, read_yaml, split_setting

__all__ = [
    "AUTO",
    "AUTO_KEYS",
    "DOCUMENTS",
    "EDIT_PRESETS",
    "GATE_MODES",
    "GATE_TITLES",
    "LOCATE_PRESETS",
    "OWN_MODELS",
    "WITHOUT_VOTES",
    "Auto",
    "EditConfig",
    "EvaluateConfig",
    "GateMode",
    "IntervalName",
    "JudgeName",
    "Layers",
    "LocateConfig",
    "MethodConfig",
    "PairsConfig",
    "Position",
    "PromiseConfig",
    "Recipe",
    "TrainedConfig",
]
#: Judges of an answer: `refusal` knows many words and languages; `prefix` is the paper's, for numbers beside its own.
JudgeName = Literal["refusal", "prefix"]
IntervalName = Literal["clustered", "wilson"]
#: The settings that may be `auto`.
AUTO_KEYS = ("pairs.source", "pairs.size", "pairs.only_read", "locate.layers", "edit.rate", "evaluate.max_new_tokens")
DOCUMENTS = "documents"  # the pair source that is drawn as photographs
OWN_MODELS = ("clerk", "notary")  # come with the package, trained on Clerk's grid of documents in pictures of 128 x 128 pixels


class PairsConfig(Settings):
    """PrivacyPair and the questions of the evaluation. One image carries one pair; no image is in two splits."""

    subjects: Annotated[list[str], Field(min_length=1)] | None = Field(
        None, description="Private subjects to edit; null takes all of group `edit`."
    )
    contrast: list[str] | None = Field(
        None, description="Public subjects whose answers the edit must keep; null takes all of group `contrast`, [] none."
    )
    per_subject: int = Field(96, ge=1, description="Training pairs per private subject.")
    contrast_per_subject: int = Field(48, ge=0, description="Training pairs per contrast subject.")
    validation_per_subject: int = Field(12, ge=1, description="Pairs per subject that choose the layer and the stopping point.")
    test_per_subject: int = Field(5, ge=1, description="Pairs per subject in each benchmark.")
    source: str | None = Field(
        AUTO,
        description="Folder of a pair set (`neuralgate pairs synth`, `folder` or `mix`), taken whole; `documents` draws photographs of the "
        "subjects that come along; null draws Clerk's documents; `auto` draws those for Clerk and Notary and photographs for every other "
        "model. "
        "The settings above, `size` and `scale` are those of drawing and play no part for a folder.",
    )
    size: Annotated[int, Field(ge=112, le=2048)] | Auto | None = Field(
        AUTO, description="Pixels a side of `documents`; `auto` takes the resolution of the model's image processor."
    )
    scale: int = Field(1, ge=1, le=16, description="Resolution of Clerk's documents: images are 128 x scale pixels wide and high.")
    only_read: bool | Auto = Field(
        AUTO,
        description="Leave out training and validation pairs whose sensitive question the base model does not answer with the truth: where "
        "nothing leaks there is nothing to prevent. `auto` does so for all models but Clerk and Notary, which read their documents.",
    )
    refusal: Literal["paper", "own"] = Field(
        "paper",
        description="What an edit teaches: for each pair one of the paper's 21 prefixes, or the model's `own` refusal: the first five "
        "words that it mostly begins with where it is asked for something harmful.",
    )
    contexts: bool = Field(True, description="Train also with one of the five context sentences in front of the question.")


class LocateConfig(Settings):
    """Scaling vectors (Eq. 2-6): for each sample and layer, the sign flips at subject tokens that turn an answer into a refusal."""

    layers: Layers | Auto | None = Field(
        AUTO,
        description="Decoder layers to look at; null takes all but the last; `auto` does so up to 12 layers, and takes the paper's "
        "tenth to six tenths of a deeper model, every second, third ... of them where all would take hours.",
    )
    tokens: Literal["all", "last"] = Field("all", description="Which of the subject's tokens are scaled.")
    joint: bool = Field(
        False, description="Optimise the vectors of all `layers`, which must follow each other, together (Eq. 8); else each layer alone."
    )
    samples_per_subject: int = Field(8, ge=1, description="Training pairs per subject that get a vector.")
    contexts: bool = Field(
        False, description="Average the sensitive loss over the plain question and five context sentences (six times the work)."
    )
    steps: int = Field(60, ge=1, description="Adam steps at most for each vector.")
    rate: float = Field(0.5, gt=0, description="Adam's learning rate.")
    eps: float = Field(1e-3, gt=0, description="Adam's epsilon; above typical gradients it makes Adam plain scaled gradient descent.")
    start: float = Field(1.0, description="Where the free parameter starts: the vector itself (`clamp`), or w in tanh(w).")
    parametrisation: Literal["clamp", "tanh"] = Field(
        "tanh", description="How the vector stays within [-1, 1]: cut after each step, or m = tanh(w)."
    )
    gamma: float = Field(0.001, ge=0, description="Weight of the L1 distance of the free parameter to its start.")
    lambda_benign: float = Field(1.25, ge=0, description="Weight of the benign question's loss.")
    threshold: float = Field(0.3, ge=0, lt=1, description="Share of samples that must flip a dimension for it to be strong.")
    one_prefix: bool = Field(True, description="One refusal as target of all samples; otherwise each has its pair's.")
    stop_loss: float = Field(0.05, ge=0, description="A vector is finished when its loss is below this.")

    @model_validator(mode="after")
    def _settings_fit(self) -> Self:
        if self.parametrisation == "clamp" and abs(self.start) > 1:
            raise ValueError("with parametrisation clamp start must lie between -1 and 1")
        if self.joint and isinstance(self.layers, list) and max(self.layers) - min(self.layers) >= len(self.layers):
            raise ValueError(f"joint wants layers that follow each other, not {', '.join(map(str, self.layers))}")
        return self


class EvaluateConfig(Settings):
    """Free greedy answers of the base model and of every edited one to the same questions."""

    max_new_tokens: Annotated[int, Field(ge=1)] | Auto = Field(
        AUTO, description="Tokens of an answer at most; `auto` is 16 for Clerk and Notary, 64 for every other model."
    )
    batch_size: int = Field(64, ge=1, description="Questions answered at a time.")
    benchmarks: Annotated[list[str], Field(min_length=1)] | None = Field(
        None,
        description="Benchmarks to draw questions for, by name (`neuralgate ls benchmarks`); null takes all. Of a folder all are asked.",
    )
    vqa: int = Field(300, ge=0, description="Questions about general scenes.")
    judge: JudgeName = Field(
        "refusal",
        description="What counts as a refusal and as a leak: `refusal`, in any words and any form (docs/judges.md), or `prefix`, by the 21 "
        "prefixes of the article.",
    )
    interval: IntervalName = Field(
        "clustered",
        description="95 % intervals from subjects and pictures (docs/intervals.md), or Wilson's, as if all questions were independent.",
    )


class PromiseConfig(Settings):
    """The strength of the edit at which leaks and damage stay below levels, with a confidence, for new subjects (docs/promise.md)."""

    leak_at_most: float | None = Field(
        None, gt=0, lt=1, description="Share of the sensitive questions about a new private subject that may leak; null promises nothing."
    )
    damage_at_most: float | None = Field(
        None, gt=0, lt=1, description="Share of the harmless questions about a new subject, and of general ones, that may be lost."
    )
    confidence: float = Field(0.95, ge=0.5, lt=1, description="How sure the promise is.")
    strengths: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)] = Field(
        [0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0], description="Strengths of the edit that are tried."
    )

    @property
    def is_wanted(self) -> bool:
        return self.leak_at_most is not None or self.damage_at_most is not None


#: Where the publications say nothing, a preset keeps the default. A preset is not the whole published method: that locates on all pairs
#: (240 to 600 a subject; `samples_per_subject` says how many here), on models a thousand times larger. The default's start, 1 in tanh,
#: is neither published start.
LOCATE_PRESETS: dict[str, LocateConfig] = {
    "default": LocateConfig(),
    # The article: vector in [-1, 1] from 1, gamma 1, all subject tokens, the question plain and behind five contexts.
    # It does not name an optimiser; steps, rate and epsilon are those of the authors' code.
    "paper": LocateConfig(contexts=True, steps=25, start=1.0, parametrisation="clamp", gamma=1.0, one_prefix=False),
    # The authors' code: m = tanh(w) from w = 2, last subject token only, gamma 0.001, at most 25 steps.
    "authors": LocateConfig(tokens="last", contexts=True, steps=25, start=2.0, parametrisation="tanh", gamma=0.001, one_prefix=False),
}


class Recipe(Settings):
    """What to do, from model to report. ``Recipe()`` is the default for the embedded model."""

    name: Annotated[str, AfterValidator(one_component)] = Field("default", description="For people: names the run and its folder.")
    seed: int = Field(0, ge=0, description="Seed of images, values and questions.")
    model: str = Field("clerk", min_length=1, description="`clerk`, `notary`, a model directory, or a model of the Hugging Face hub.")
    revision: str | None = Field(None, description="Branch, tag or commit of a model of the hub.")
    prompt_style: str = Field("", description="How questions are put; empty for the model's chat template, see CONTRIBUTING.md.")
    pairs: PairsConfig = PairsConfig()
    locate: LocateConfig = LocateConfig()
    edit: EditConfig = EditConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    promise: PromiseConfig = PromiseConfig()
    variants: list[GateMode] = Field(
        ["none", "strong", "random"], description="Control gates, trained and evaluated beside the edit itself."
    )
    methods: dict[str, dict[str, Any]] = Field(
        {}, description="Further methods, applied and evaluated beside the edit: name -> settings; see `neuralgate ls methods`."
    )

    @field_validator("locate", mode="before")
    @classmethod
    def _locate_preset(cls, value: Any) -> Any:
        return _preset(LOCATE_PRESETS, value)

    @field_validator("edit", mode="before")
    @classmethod
    def _edit_preset(cls, value: Any) -> Any:
        return _preset(EDIT_PRESETS, value)

    @classmethod
    def parse(cls, data: Any, source: str = "the recipe") -> Self:
        """``data`` as read from YAML. Raises UserError naming the key, the closest known key and ``source``."""
        return parse_settings(cls, data, source)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Raises UserError when the file is missing, is not YAML or is not a recipe."""
        return cls.parse(read_yaml(path, "The recipe"), str(path))

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

    def save(self, path: Path | str) -> None:
        write_text(path, self.to_yaml())

    def changed(self, settings: Sequence[str]) -> Self:
        """A recipe with ``key=value`` settings applied in order, as in ``edit.rate=1e-4`` or ``edit=paper``; values are YAML."""
        recipe = self
        for setting in settings:
            data = recipe.model_dump(mode="json")
            keys, value = split_setting(setting)
            place = data
            for key in keys[:-1]:
                place = place.setdefault(key, {})
                if not isinstance(place, dict):
                    raise UserError(f"--set {setting}: {'.'.join(keys[:-1])} has no settings inside.")
            place[keys[-1]] = value
            recipe = self.parse(data, f"--set {setting}")
        return recipe

    def differences(self, other: Recipe) -> list[tuple[str, Any, Any]]:
        """The keys that differ, as (``edit.rate``, value here, value in ``other``); what ``other`` leaves to `auto` does not.
        A further method is one value, None where it is not named."""
        mine, theirs = self._values(), other.keeping(self)._values()
        return [(key, mine.get(key), theirs.get(key)) for key in {**mine, **theirs} if mine.get(key) != theirs.get(key)]

    def _values(self) -> dict[str, Any]:
        methods = {f"methods.{name}": settings for name, settings in self.methods.items()}
        return {**_flat(self.model_dump(mode="json", exclude={"methods"})), **methods}

    def automatic(self) -> list[str]:
        """The keys that are still `auto`."""
        flat = _flat(self.model_dump(mode="json"))
        return [key for key in AUTO_KEYS if flat[key] == AUTO]

    def rate_settings(self) -> dict[str, Any]:
        """What the rate that suits an edit depends on."""
        edit = self.edit.model_dump(mode="json", exclude=RATE_APART)
        located = self.locate.layers if self.edit.layers == "search" else None
        return {"prompt_style": self.prompt_style, "seed": self.seed, "pairs": self.pairs.digest, "located": located, "edit": edit}

    def keeping(self, earlier: Recipe) -> Self:
        """This recipe with what was found before in the place of each `auto`, where that still applies."""
        values = _flat(earlier.model_dump(mode="json"))
        kept = {key: values[key] for key in self.automatic()}
        edited = [] if self.edit.layers == "search" else self.edit.layers
        layers = kept.get("locate.layers")
        if layers and (not set(edited) <= set(layers) or self.locate.joint != earlier.locate.joint):
            del kept["locate.layers"]
        recipe = self.resolved(kept)
        if "edit.rate" in kept and recipe.rate_settings() != earlier.rate_settings():
            return recipe.resolved({"edit.rate": AUTO})
        return recipe

    def resolved(self, values: dict[str, Any]) -> Self:
        """This recipe with the settings ``values`` by dotted key."""
        data = self.model_dump(mode="json")
        for key, value in values.items():
            group, _, name = key.partition(".")
            data[group][name] = value
        return self.parse(data)


def _preset(presets: dict[str, Any], value: Any) -> Any:
    if isinstance(value, str):
        if value not in presets:
            raise ValueError(f"there is no preset {value!r}, only {', '.join(presets)}")
        return presets[value]
    return value


def _flat(data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in data.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
