"""The edit itself, its controls behind another gate, and further methods: `patch/`, `controls/<gate>/patch/`, `methods/<name>/`,
`training.json`.

Each finished variant is a chunk.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuralgate.edit_settings import MethodConfig
from neuralgate.errors import UserError
from neuralgate.files import digest, hash_path, remove
from neuralgate.recipe import Recipe
from neuralgate.records.choice import Choice, read_choice
from neuralgate.run.stages.base import EDITING, Stage, Work
from neuralgate.run.stages.choose import Choose
from neuralgate.run.stages.locate import Locate
from neuralgate.run.stages.pairs import Pairs
from neuralgate.run.variants import EDITED, variant_folders

if TYPE_CHECKING:
    from neuralgate.run.folder import Attempt


class Edit(Stage):
    name, verb = "edit", "edit"
    needs = ("pairs", "locate", "choose")
    code = EDITING

    def settings(self, recipe: Recipe) -> Any:
        return [recipe.edit.digest, recipe.variants, *([recipe.methods] if recipe.methods else [])]

    def outputs(self, recipe: Recipe) -> list[str]:
        return ["patch", "controls", *(["methods"] if recipe.methods else []), "training.json"]

    def results_read(self, work: Work) -> dict[str, str]:
        texts = [settings["corpus"] for settings in work.recipe.methods.values() if settings.get("corpus")]
        return {**super().results_read(work), **{f"text {path}": hash_path(Path(path)) for path in texts}}

    def make(self, work: Work, attempt: Attempt) -> None:
        from neuralgate.locate.gate import Gate
        from neuralgate.methods import parse_methods
        from neuralgate.methods.apply import apply_method

        run, recipe = work.run, work.recipe
        gate = Gate.load(run.path("gate"), work.model_hash)
        layers = layers_to_edit(recipe, read_choice(run.folder))
        further = parse_methods(recipe.methods)
        records = {}
        for variant, folder in variant_folders(recipe).items():
            finished = json.loads(attempt.chunks.done(variant) or b"null")
            # the patch lies outside the chunk: it counts only as it was when the variant was finished
            if finished is None or not run.path(folder).is_dir() or hash_path(run.path(folder)) != finished["patch"]:
                config: MethodConfig
                if variant in further:
                    method, config = variant, further[variant].at_layers(layers)
                else:
                    mode = recipe.edit.gate if variant == EDITED else variant
                    method, config = "neural_gate", recipe.edit.model_copy(update={"layers": layers, "gate": mode})
                intervention, training = apply_method(
                    method, work.model, work.pairs, gate, config, report=attempt.report, recipe_digest=edit_digest(recipe)
                )
                if training.note:
                    run.display.line(f"{variant}: {training.note}")
                remove(run.path(folder))
                intervention.save(run.path(folder))
                finished = {"patch": hash_path(run.path(folder)), "training": training.to_dict()}
                attempt.chunks.put(variant, json.dumps(finished).encode())
            records[variant] = finished["training"]
        run.path("controls").mkdir(exist_ok=True)  # an output must exist, also where there are no controls
        run.write_json("training.json", records)


def layers_to_edit(recipe: Recipe, choice: Choice) -> list[int]:
    """Those that the recipe names, or the one that was chosen. Raises UserError when there is none."""
    if recipe.edit.layers != "search":
        return recipe.edit.layers
    if "chosen_layer" not in choice:
        raise UserError("No layer was chosen, because quantised weights cannot be edited; locate and edit in bfloat16, in another folder.")
    return [choice["chosen_layer"]]


def edit_digest(recipe: Recipe) -> str:
    """A hash of all settings that a patch depends on."""
    stages: tuple[Stage, ...] = (Pairs(), Locate(), Choose(), Edit())
    return digest([recipe.model, recipe.revision, *(stage.settings_hash(recipe) for stage in stages)])
