"""The edit itself and its controls, the same trainer with another gate: `patch/`, `controls/<gate>/patch/`, `training.json`.

Each finished variant is a chunk.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from neuralgate.files import digest, hash_path, remove
from neuralgate.recipe import Recipe
from neuralgate.run.stages.base import EDITING, Stage, Work
from neuralgate.run.stages.choose import Choose
from neuralgate.run.stages.locate import Locate
from neuralgate.run.stages.pairs import Pairs
from neuralgate.run.variants import EDITED, patch_folders

if TYPE_CHECKING:
    from neuralgate.run.folder import Attempt


class Edit(Stage):
    name, verb = "edit", "edit"
    needs = ("pairs", "locate", "search")
    code = EDITING

    def settings(self, recipe: Recipe) -> Any:
        return [recipe.edit.digest, recipe.variants]

    def outputs(self, recipe: Recipe) -> list[str]:
        return ["patch", "controls", "training.json"]

    def make(self, work: Work, attempt: Attempt) -> None:
        from neuralgate.locate.gate import Gate
        from neuralgate.training.trainer import edit

        run, recipe = work.run, work.recipe
        gate = Gate.load(run.path("gate"), work.model_hash)
        layers = [gate.summary["chosen_layer"]] if recipe.edit.layers == "search" else recipe.edit.layers
        records = {}
        for variant, folder in patch_folders(recipe).items():
            finished = json.loads(attempt.chunks.done(variant) or b"null")
            # the patch lies outside the chunk: it counts only as it was when the variant was finished
            if finished is None or not run.path(folder).is_dir() or hash_path(run.path(folder)) != finished["patch"]:
                mode = recipe.edit.gate if variant == EDITED else variant
                config = recipe.edit.model_copy(update={"layers": layers, "gate": mode})
                patch, training = edit(work.model, work.pairs, gate, config, report=attempt.report, recipe_digest=edit_digest(recipe))
                remove(run.path(folder))
                patch.save_pretrained(run.path(folder))
                finished = {"patch": hash_path(run.path(folder)), "training": training.to_dict()}
                attempt.chunks.put(variant, json.dumps(finished).encode())
            records[variant] = finished["training"]
        run.path("controls").mkdir(exist_ok=True)  # an output must exist, also where there are no controls
        run.write_json("training.json", records)


def edit_digest(recipe: Recipe) -> str:
    """A hash of all settings that a patch depends on."""
    stages: tuple[Stage, ...] = (Pairs(), Locate(), Choose(), Edit())
    return digest([recipe.model, recipe.revision, *(stage.settings_hash(recipe) for stage in stages)])
