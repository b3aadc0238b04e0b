"""The whole story of a run, top to bottom: pairs, locate, edit, evaluate, report.

The imports of each stage stand inside it, so that a stage which is skipped, and the report, need no torch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from neuralgate.errors import UserError
from neuralgate.files import digest, hash_path, write_json, write_jsonl
from neuralgate.pairs.subjects import subjects_file
from neuralgate.progress import Display
from neuralgate.recipe import AUTO, DOCUMENTS, EvaluateConfig, Machine, Recipe
from neuralgate.records import RATE, read_record
from neuralgate.resolve import resolve
from neuralgate.run import Run, remove
from neuralgate.stages import CODE, code_hash, edit_digest, settings_of
from neuralgate.text import shown_name

if TYPE_CHECKING:
    from neuralgate.lvlm.model import LVLM
    from neuralgate.pairs.schema import PairSet
    from neuralgate.pairs.world import World

StageName = Literal["pairs", "locate", "edit", "evaluate", "report"]
STAGES: tuple[StageName, ...] = ("pairs", "locate", "edit", "evaluate", "report")
ANALYSE = "analyse"  # a stage beside the others, which none of them needs
EDITED = "edited"  # the variant with the recipe's own gate
SERVED = "served"  # a model that was made from it
LOCATED = "located.json"  # what locating alone says of the gate: gate.json without the search
VOTES, SEARCHED = ["gate/gate.safetensors", f"gate/{LOCATED}"], ["gate/gate.json"]
FEW_PICTURES = 24  # training pairs a subject


def execute(
    run: Run,
    load_model: Callable[[], LVLM],
    machine: Machine,
    until: StageName = "report",
    analysed: bool = False,
    keep_stale: bool = False,
) -> None:
    """Do every stage up to and including ``until`` that is not done yet.

    Args:
        load_model: called at most once, and only when a stage needs the model.
        analysed: with ``locate``, analyse the gate too, and draw the report again where there is one.
        keep_stale: take finished results as they are, though the code that made them has changed since.
    """
    recipe = run.recipe
    run.keep_stale = keep_stale
    wanted = STAGES[: STAGES.index(until) + 1]
    model_hash = run.manifest["hashes"]["model"]

    @cache
    def model() -> LVLM:
        lvlm = load_model()
        if lvlm.fingerprint != model_hash:
            raise UserError(f"{recipe.model} is not the model that {run.folder} was begun with: its weights or their dtype have changed.")
        run.note(device=str(lvlm.device), machine=machine.model_dump(mode="json"), prompt_style=lvlm.prompt_style)
        run.meter = lambda: lvlm.tokens
        return lvlm

    @cache
    def pairs() -> PairSet:
        from neuralgate.pairs.schema import PairSet

        return PairSet.load(run.path("pairs"))

    def made_from(stage: str, **results: str) -> dict[str, str]:
        return {"model": model_hash, "settings": settings_of(recipe)[stage], "code": code_hash(*CODE[stage]), **results}

    if set(recipe.automatic()) - {"edit.rate"}:  # a run that the library began
        recipe = run.settle(resolve(recipe, model(), run.share.count)[0])

    # Images, training and validation pairs with the model's own first words as benign targets, and the questions of the
    # evaluation with their true answers.
    source = subjects_file() if recipe.pairs.source in (None, DOCUMENTS) else Path(recipe.pairs.source)
    # the run holds a copy: a source that has gone is not missed once the pairs are there
    source_hash = hash_path(source) if source.exists() else run.manifest["hashes"].get("source") or ""
    with run.stage("pairs", made_from("pairs", source=source_hash), ["pairs"]) as stage:
        if stage.needed:
            run.note(hashes={"source": source_hash})
            from neuralgate.lvlm.refusals import own_refusal, with_refusal
            from neuralgate.lvlm.targets import only_read, with_own_answers
            from neuralgate.pairs.mixture import gather
            from neuralgate.pairs.schema import leave_out_questions

            remove(run.path("pairs"))  # all is drawn anew: what a killed process left behind would count as its result
            if world := drawn_world(recipe):
                # interpreters of their own take seconds to start: not for a few dozen pictures
                processes = (os.cpu_count() or 1) if recipe.pairs.source and recipe.pairs.per_subject > FEW_PICTURES else 1
                built = draw_pair_set(world, recipe, run.path("pairs"), processes, stage.report)
            else:
                built = gather([source], run.path("pairs"))
            if recipe.pairs.only_read:
                drawn = built.subjects()
                built, unread = only_read(model(), built, report=stage.report)
                lost = [subject for subject in drawn if subject not in built.subjects()]
                leave_out_questions(run.path("pairs"), lost)  # what was not edited is not asked as if it were
                run.note(unread=unread)
                said = f", with them all of {', '.join(lost)}, and its questions" if lost else ""
                run.display.line(f"left out because {recipe.model} does not read them: {sum(unread.values())} pairs{said}")
            refusal: dict[str, str | int] = {"source": recipe.pairs.refusal}
            if recipe.pairs.refusal == "own":
                own = own_refusal(model(), built, report=stage.report)
                built = with_refusal(built, own)
                refusal |= {"target": own.target, "asked": own.asked, "refused": own.refused}
                run.display.line(f"refusal to teach: {recipe.model}'s own, {own.target!r} ({own.refused} of {own.asked} requests refused)")
            else:
                run.display.line("refusal to teach: for each pair one of the paper's prefixes, as drawn with it")
            built = with_own_answers(model(), built, report=stage.report)
            built.save(run.path("pairs"))
            run.note(refusal=refusal, hashes={"data": built.hash()})

    # How fast an edit may learn, where nobody said so. The recipe keeps what was found, so that this is done once.
    if "locate" in wanted and recipe.edit.rate == AUTO:
        with run.stage("rate", made_from("rate", pairs=run.outputs("pairs")), ["rate.json"]) as stage:
            if stage.needed:
                from neuralgate.edit.rate import find_rate, middle
                from neuralgate.lvlm.auto import located_layers

                tried = middle(located_layers(model(), recipe.locate)) if recipe.edit.layers == "search" else sorted(recipe.edit.layers)
                run.write_json("rate.json", find_rate(model(), pairs(), recipe.edit, tried, report=stage.report))
        rate = read_record(RATE, run.path("rate.json"))["rate"]
        recipe = run.settle(recipe.resolved({"edit.rate": rate}))
        run.display.line(f"edit.rate: {rate:g}, the largest at which the loss of training pairs falls steadily (rate.json)")

    # Scaling vectors and their votes; then the layer to edit, which depends on the edit, as hours of locating do not.
    if "locate" in wanted:
        with run.stage("locate", made_from("locate", pairs=run.outputs("pairs")), VOTES, shared=True) as stage:
            if stage.needed:
                from neuralgate.locate import locate

                gate = locate(model(), pairs(), recipe.locate, report=stage.report, chunks=stage.chunks)
                if stage.leads:
                    gate.save(run.path("gate"), LOCATED)
        with run.stage(
            "search", made_from("search", pairs=run.outputs("pairs"), votes=run.outputs("locate")), SEARCHED, shared=True
        ) as stage:
            if stage.needed:
                from neuralgate.edit import search_layer
                from neuralgate.locate import Gate

                gate = Gate.load(run.path("gate"), model_hash, LOCATED)
                if recipe.edit.layers == "search" and model().is_quantised:
                    run.display.line("the search for the layer is left out: it edits, and quantised weights cannot be edited")
                elif recipe.edit.layers == "search":
                    gate.summary |= search_layer(model(), pairs(), gate, recipe.edit, report=stage.report, chunks=stage.chunks)
                if stage.leads:
                    run.write_json("gate/gate.json", gate.summary)

    def gate_hash() -> str:
        return digest([run.outputs("locate"), run.outputs("search")])

    # The gate looked at from all sides: the paper's figures, and what they leave out. Only when asked for.
    if analysed:
        from neuralgate.analysis.sweeps import plan

        inputs = made_from(ANALYSE, pairs=run.outputs("pairs"), gate=gate_hash(), plan=digest(plan()))
        with run.stage(ANALYSE, inputs, ["analysis"], shared=True) as stage:
            if stage.needed:
                from neuralgate.analysis.analyse import analyse
                from neuralgate.locate import Gate
                from neuralgate.report.analysis import write_analysis

                gate = Gate.load(run.path("gate"), model_hash)
                found = analyse(model(), pairs(), gate, recipe.locate, recipe.edit, report=stage.report, chunks=stage.chunks)
                if stage.leads:
                    write_analysis(run.path("analysis"), {"gate": hash_path(run.path("gate")), **found})

    # The edit itself and its controls: the same trainer, another gate. Each finished variant is a chunk.
    if "edit" in wanted:
        inputs = made_from("edit", pairs=run.outputs("pairs"), gate=gate_hash())
        with run.stage("edit", inputs, ["patch", "controls", "training.json"]) as stage:
            if stage.needed:
                from neuralgate.edit import edit
                from neuralgate.locate import Gate

                gate = Gate.load(run.path("gate"), model_hash)
                layers = [gate.summary["chosen_layer"]] if recipe.edit.layers == "search" else recipe.edit.layers
                records = {}
                for variant, folder in patch_folders(recipe).items():
                    finished = json.loads(stage.chunks.done(variant) or b"null")
                    # the patch lies outside the chunk: it counts only as it was when the variant was finished
                    if finished is None or not run.path(folder).is_dir() or hash_path(run.path(folder)) != finished["patch"]:
                        mode = recipe.edit.gate if variant == EDITED else variant
                        config = recipe.edit.model_copy(update={"layers": layers, "gate": mode})
                        patch, training = edit(model(), pairs(), gate, config, report=stage.report, recipe_digest=edit_digest(recipe))
                        remove(run.path(folder))
                        patch.save_pretrained(run.path(folder))
                        finished = {"patch": hash_path(run.path(folder)), "training": training.to_dict()}
                        stage.chunks.put(variant, json.dumps(finished).encode())
                    records[variant] = finished["training"]
                run.path("controls").mkdir(exist_ok=True)  # an output must exist, also where there are no controls
                run.write_json("training.json", records)

    # Every question put to the base model and to every variant, then judged and scored.
    if "evaluate" in wanted:
        patches_hash = digest([hash_path(run.path(folder)) for folder in patch_folders(recipe).values()])
        inputs = made_from("evaluate", pairs=run.outputs("pairs"), patches=patches_hash)
        with run.stage("evaluate", inputs, ["answers.jsonl", "scores.json"], shared=True) as stage:
            if stage.needed:
                from neuralgate.edit import Patch
                from neuralgate.evaluate import answer

                patches = {variant: Patch.from_pretrained(run.path(folder)) for variant, folder in patch_folders(recipe).items()}
                settings = asking(recipe, machine)
                answers = answer(model(), run.path("pairs"), patches, settings, report=stage.report, chunks=stage.chunks)
                if stage.leads:
                    write_scores(run, answers, run.folder, recipe.model)

    # One self-contained page, from the folder alone.
    if "report" in wanted or (analysed and "report" in run.manifest["stages"]):
        analysis = [ANALYSE] if ANALYSE in run.manifest["stages"] else []
        inputs = made_from("report", **{name: run.outputs(name) for name in ("pairs", "locate", "search", *analysis, "edit", "evaluate")})
        outputs = ["report.html", "causality.json"] if recipe.model == "clerk" else ["report.html"]
        with run.stage("report", inputs, outputs) as stage:
            if stage.needed:
                from neuralgate.report.html import write_report

                if recipe.model == "clerk":
                    causality = resources.files("neuralgate").joinpath("lvlm/clerk/causality.json")
                    run.write_bytes("causality.json", causality.read_bytes())
                write_report(run.folder)


def check(recipe: Recipe, lvlm: LVLM, until: StageName = "report", copy: Path | None = None) -> None:
    """Say before anything is written what could only fail later.

    Args:
        copy: what the run has made of its pair source, which is looked at where that has gone.

    Raises:
        UserError: a layer out of range, a subject or pair set that cannot be used so, a picture that the processor refuses, a gate needed
            at a layer that is not located, or an edit of quantised weights.
    """
    from neuralgate.lvlm.auto import located_layers
    from neuralgate.lvlm.prompts import check_questions
    from neuralgate.pairs.builder import check_subjects
    from neuralgate.pairs.images import check_processor
    from neuralgate.pairs.mixture import load_set
    from neuralgate.pairs.subjects import load_subjects

    if recipe.pairs.source in (None, AUTO, DOCUMENTS):
        check_subjects(recipe.pairs, load_subjects())
    else:
        source = Path(recipe.pairs.source)
        pairs, questions = load_set(copy if copy and not source.exists() else source)
        images = dict.fromkeys([pair.image for pair in pairs] + [question.image for question in questions if question.image])
        check_questions(lvlm, [text for pair in pairs for text in (pair.sensitive_question, pair.benign_question)])
        check_questions(lvlm, [question.question for question in questions])
        check_processor(lvlm.processor, lvlm.name, [pairs.folder / image for image in images])
    edited = recipe.edit.layers if recipe.edit.layers != "search" else []
    located = located_layers(lvlm, recipe.locate)
    for layer in (*located, *edited):
        lvlm.ffn_out(layer)  # says so if it is out of range
    if lvlm.is_quantised and STAGES.index(until) >= STAGES.index("edit"):
        raise UserError(
            "Quantised weights cannot be edited, only located on (`neuralgate pairs RUN --model MODEL`, then `neuralgate locate RUN`, both "
            "with --machine dtype=4bit); run in bfloat16, export, and measure that with `eval RUN --served OUT`."
        )
    needing = [gate for gate in (recipe.edit.gate, *recipe.variants) if gate not in ("none", "closed")]
    for layer in edited:
        if needing and layer not in located:
            raise UserError(
                f"Layer {layer} is edited but not located, and gate {needing[0]!r} needs its votes; add it to locate.layers or set "
                "variants=[none]."
            )


def drawn_world(recipe: Recipe) -> World | None:
    """Where the pictures of a resolved recipe are drawn; None where they are taken from a folder."""
    from neuralgate.pairs.photograph import PhotographWorld
    from neuralgate.pairs.subjects import load_subjects
    from neuralgate.pairs.world import ClerkWorld

    if recipe.pairs.source == DOCUMENTS:
        assert isinstance(recipe.pairs.size, int)
        return PhotographWorld(load_subjects(), recipe.pairs.size)
    return None if recipe.pairs.source else ClerkWorld(recipe.pairs.scale)


def draw_pair_set(world: World, recipe: Recipe, folder: Path, processes: int = 1, report: Callable[..., None] | None = None) -> PairSet:
    """A whole pair set, written to ``folder``: training and validation pairs, the questions of the evaluation, their pictures.
    No two of its pictures show the same document.

    Args:
        world: where the pictures come from.
        recipe: its seed, `pairs` and `evaluate` settings say how many of what.
        processes: how many draw at a time.
    """
    from neuralgate.evaluate.benchmarks import plan_questions
    from neuralgate.evaluate.benchmarks.album import Album
    from neuralgate.pairs.builder import plan_pairs
    from neuralgate.pairs.schema import PairSet
    from neuralgate.pairs.world import Gallery

    gallery = Gallery(world, folder)
    pairs = PairSet(plan_pairs(recipe.pairs, recipe.seed, gallery), folder)
    album = Album(gallery, recipe.seed)
    questions = plan_questions(recipe, album)
    gallery.save(processes, report)
    album.save(questions)
    pairs.save(folder)
    return pairs


def patch_folders(recipe: Recipe) -> dict[str, str]:
    """Where each variant's patch is, relative to the run folder: the edit itself, then the controls with another gate."""
    controls = [gate for gate in dict.fromkeys(recipe.variants) if gate != recipe.edit.gate]
    return {EDITED: "patch", **{gate: f"controls/{gate}/patch" for gate in controls}}


def write_scores(run: Run, answers: Iterable[Mapping[str, Any]], folder: Path, model: str) -> None:
    """Judge ``answers`` and write ``answers.jsonl`` and ``scores.json`` of ``model`` into ``folder``."""
    from neuralgate.evaluate.metrics import score
    from neuralgate.judge import judge_all
    from neuralgate.records import PATCH, read_record

    rows = sorted(judge_all(answers), key=lambda row: (row["benchmark"], row["id"]))
    write_jsonl(folder / "answers.jsonl", rows)
    write_json(folder / "scores.json", score(rows, model, read_record(PATCH, run.path("patch/patch.json"))["method"]))


def asking(recipe: Recipe, machine: Machine) -> EvaluateConfig:
    """How questions are asked on this machine."""
    return recipe.evaluate.model_copy(update={"batch_size": machine.batch_size or recipe.evaluate.batch_size})


def measure_served(run: Run, lvlm: LVLM, machine: Machine) -> Path:
    """Ask the run's questions of a model that stands in for the edited one, as an export in 4 bit does, and write its
    answers and scores beside the run's own, into ``served/<name>``. Returns that folder."""
    from neuralgate.chunks import Chunks
    from neuralgate.evaluate.answers import answers_of, ask
    from neuralgate.pairs.schema import Question
    from neuralgate.records import ANSWERED, read_answers

    run.outputs("evaluate")
    rows: list[Mapping[str, Any]] = list(read_answers(run.path("answers.jsonl"), ANSWERED))
    names = {field.name for field in fields(Question)}
    questions = [Question(**{name: value for name, value in row.items() if name in names}) for row in rows]
    settings = asking(run.recipe, machine)
    display = Display()
    display.start(SERVED)
    chunks = Chunks()

    def told(done: float, total: float, text: str) -> None:
        display.update(done, total, text, {})

    ask(lvlm, questions, run.folder, {SERVED: None}, settings, told, chunks)
    display.stop()
    kept: list[Mapping[str, Any]] = []
    for question, row, (text, cut_off) in zip(questions, rows, answers_of(SERVED, questions, chunks), strict=True):
        said = {"answers": {name: row["answers"][name] for name in ("base", EDITED)} | {SERVED: text}}
        if "cut_off" in row:  # of the run's own answers, which may be older
            said["cut_off"] = {name: row["cut_off"][name] for name in ("base", EDITED)} | {SERVED: cut_off}
        kept.append({**vars(question), **said})
    folder = run.path(SERVED) / Path(shown_name(lvlm.name)).name  # of "..", too
    write_scores(run, kept, folder, lvlm.name)
    return folder


def rescore(run: Run) -> None:
    """Judge and score the answers that are there again, without the model: for a judge or a metric that has changed."""
    from neuralgate.records import ANSWERED, read_answers

    run.outputs("evaluate")
    write_scores(run, list(read_answers(run.path("answers.jsonl"), ANSWERED)), run.folder, run.recipe.model)
    run.refresh("evaluate")
