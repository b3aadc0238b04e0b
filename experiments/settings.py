"""The tables of docs/recipes.md: every setting with its default and what it means, as the code has them.

python -m experiments.settings
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml
from pydantic import BaseModel

from experiments.sections import table
from experiments.tables import fill
from neuralgate.comparison.config import ComparisonConfig
from neuralgate.edit_settings import EDIT_PRESETS, EditConfig, MethodConfig, TrainedConfig, ValueConfig
from neuralgate.machine import Machine
from neuralgate.methods import METHODS
from neuralgate.recipe import LOCATE_PRESETS, LocateConfig, Recipe
from neuralgate.settings import Settings

PAGE = Path(__file__).parents[1] / "docs" / "recipes.md"
HEADER = ["key", "default", "what it means"]
GROUPS = {name: type(group) for name, group in Recipe() if isinstance(group, Settings)}


def written(value: object) -> str:
    """As YAML in one line."""
    return yaml.safe_dump(value, default_flow_style=True, width=1000, allow_unicode=True).removesuffix("\n...\n").strip()


def rows(settings: type[BaseModel], prefix: str = "", without: Iterable[str] = ()) -> list[list[str]]:
    """A row of each field of ``settings``."""
    default = settings().model_dump(mode="json")
    return [
        [f"`{prefix}{name}`", f"`{written(default[name])}`", (field.description or "").replace("|", "\\|")]
        for name, field in settings.model_fields.items()
        if name not in without
    ]


def settings_tables() -> str:
    """Those of a recipe, group by group."""
    made = [table(HEADER, rows(Recipe, without=GROUPS))]
    made += [table(HEADER, rows(settings, f"{group}.")) for group, settings in GROUPS.items()]
    return "\n".join(made)


def preset_rows(presets: dict[str, LocateConfig] | dict[str, EditConfig], group: str) -> list[list[str]]:
    """What each preset changes."""
    default = presets["default"].model_dump(mode="json")
    changed = {
        name: {key: value for key, value in preset.model_dump(mode="json").items() if value != default[key]}
        for name, preset in presets.items()
    }
    return [[f"`{group}: {name}`", f"`{written(values)}`"] for name, values in changed.items() if values]


def method_table() -> str:
    """The settings of each method's own, and those of the shared ones that have another default there."""
    made = []
    for name, method in METHODS.items():
        if method.Config is EditConfig:  # the table of `edit`
            continue
        shared = next(base for base in (ValueConfig, TrainedConfig, MethodConfig) if issubclass(method.Config, base))
        usual = shared().model_dump(mode="json")
        default = method.Config().model_dump(mode="json")
        made += rows(method.Config, f"methods.{name}.", without=[key for key, value in default.items() if (key, value) in usual.items()])
    return table(HEADER, made)


def parts() -> dict[str, str]:
    """What stands between the page's marks."""
    presets = preset_rows(LOCATE_PRESETS, "locate") + preset_rows(EDIT_PRESETS, "edit")
    return {
        "settings": settings_tables(),
        "presets": table(["written", "what it changes"], presets),
        "methods": method_table(),
        "closed-forms": table(HEADER, rows(ValueConfig, without=MethodConfig.model_fields)),
        "comparison": table(HEADER, rows(ComparisonConfig, without=["model"])),
        "machine": table(HEADER, rows(Machine)),
    }


def main() -> None:
    fill(PAGE, parts())


if __name__ == "__main__":
    main()
