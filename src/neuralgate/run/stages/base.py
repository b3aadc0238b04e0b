"""What a stage of a run is, and what its work is done with."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from neuralgate.errors import UserError
from neuralgate.files import digest
from neuralgate.machine import Machine
from neuralgate.recipe import Recipe
from neuralgate.run.code import code_hash

if TYPE_CHECKING:
    from neuralgate.lvlm.model import LVLM
    from neuralgate.pairs.schema import PairSet
    from neuralgate.run.folder import Attempt, Run

#: The verbs of the command line that make stages. A verb makes its own and those of the verbs before it.
Verb = Literal["pairs", "locate", "edit", "evaluate", "report"]
VERBS: tuple[Verb, ...] = ("pairs", "locate", "edit", "evaluate", "report")

#: Code that several stages run; see `Stage.code`.
COMMON = ("pairs", "judge/prefix.py", "judge/verdict.py", "lvlm")
BENCHMARKS = ("questions", "clerk/turns.py")
EDITING = (*COMMON, "locate", "interventions", "training", "closed_form", "methods", "choose")


class Work:
    """What stages work with: a run, and what several of them need, each made on first use.

    Args:
        load_model: called at most once, and only when a stage needs the model.
    """

    def __init__(self, run: Run, load_model: Callable[[], LVLM], machine: Machine) -> None:
        self.run, self.load_model, self.machine = run, load_model, machine

    @property
    def recipe(self) -> Recipe:
        return self.run.recipe

    @property
    def model_hash(self) -> str:
        return self.run.manifest["hashes"]["model"]

    @cached_property
    def model(self) -> LVLM:
        """Raises UserError when it is not the one that the run was begun with."""
        lvlm = self.load_model()
        if lvlm.fingerprint != self.model_hash:
            raise UserError(
                f"{self.recipe.model} is not the model that {self.run.folder} was begun with: its weights or their dtype have changed."
            )
        machine = self.machine.model_dump(mode="json")
        self.run.note(device=str(lvlm.device), dtype=self.dtype_of(lvlm), machine=machine, prompt_style=lvlm.prompt_style)
        self.run.meter = lambda: lvlm.tokens
        return lvlm

    def dtype_of(self, lvlm: LVLM) -> str:
        """What must be asked for to get these bytes again: quantised weights go by another name than their own type."""
        if not lvlm.is_quantised:
            return str(lvlm.model.dtype).removeprefix("torch.")
        return self.machine.dtype if self.machine.dtype != "auto" else self.run.manifest.get("dtype", "auto")

    @cached_property
    def pairs(self) -> PairSet:
        from neuralgate.pairs.schema import PairSet

        return PairSet.load(self.run.path("pairs"))


class Stage:
    """One step of a run; each has a file of its own. What it needs torch for is imported within its methods, so that a stage which is
    skipped, and the report, need none."""

    name: str
    #: The verb that makes it.
    verb: Verb
    #: The stages whose results it reads.
    needs: tuple[str, ...] = ()
    #: The code, beside its own file, that makes its results: an upgrade redoes what it changes, and a new style of the report no hours of
    #: locating, as the version would. Left out is what reads and writes files and settings, which are inputs themselves; a test reads the
    #: imports and holds it.
    code: tuple[str, ...]
    #: Whether other processes of the same launch make their share of its chunks.
    shared = False

    def settings(self, recipe: Recipe) -> Any:
        """What it reads of the recipe, as JSON."""
        raise NotImplementedError

    def outputs(self, recipe: Recipe) -> list[str]:
        """What it writes: files and folders, relative to the run folder."""
        raise NotImplementedError

    def make(self, work: Work, attempt: Attempt) -> None:
        """Write the outputs."""
        raise NotImplementedError

    def is_wanted(self, work: Work, until: Verb, analysed: bool) -> bool:
        return VERBS.index(self.verb) <= VERBS.index(until)

    def results_read(self, work: Work) -> dict[str, str]:
        """A hash of each result that it reads."""
        return {name: work.run.outputs(name) for name in self.needs}

    def conclude(self, work: Work) -> None:
        """What follows from the results, whether they were made just now or before."""

    def settings_hash(self, recipe: Recipe) -> str:
        return digest([recipe.prompt_style, self.settings(recipe)])

    def inputs(self, work: Work) -> dict[str, str]:
        """A hash of each thing that the outputs depend on."""
        own = type(self).__module__.removeprefix("neuralgate.").replace(".", "/") + ".py"
        return {
            "model": work.model_hash,
            "settings": self.settings_hash(work.recipe),
            "code": code_hash(own, *self.code),
            **self.results_read(work),
        }
