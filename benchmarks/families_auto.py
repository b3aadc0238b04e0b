"""`neuralgate run FOLDER` on a tiny model of every family with nothing but its name, timed.

    python -m benchmarks.families_auto [FAMILY ...]

writes benchmarks/families_auto.json and a table of it, families_auto.md; families that are in it already are left as they are.
The models are those of tests/families, with random weights: they read nothing, so pairs.only_read, which would say so and end the run,
is off; and they are so small that 512 questions are answered at a time. All else is what a user gets: pictures, layers, rate and length
of answers are found for the model, and nearly four thousand questions are put to it and to three edits of it.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from neuralgate.files import read_json, read_jsonl, write_json, write_text
from tests.families import conftest  # noqa: F401 - declares what a torchvision beside a CPU torch lacks
from tests.families.models import FAMILIES, save

OUT = Path(__file__).with_suffix(".json")
ARGUMENTS = ("--set", "pairs.only_read=false", "--machine", "batch_size=512")
FOUND = (("pairs", "size"), ("locate", "layers"), ("edit", "rate"), ("evaluate", "max_new_tokens"))


def measure(family: str) -> dict[str, Any]:
    """Seconds by the clock, of the processors and of each stage; what was found for the model; how many answers were given."""
    with TemporaryDirectory() as work:
        folder, out = save(family, Path(work) / family), Path(work) / "run"
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([sys.executable, "-m", "benchmarks.families_auto", "--run", str(folder), str(out)], check=True)
        seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        recipe = yaml.safe_load((out / "recipe.yaml").read_text(encoding="utf-8"))
        stages = read_json(out / "manifest.json")["stages"]
        rows = read_jsonl(out / "answers.jsonl")
        return {
            "seconds": round(seconds, 1),
            "processor_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
            "stages": {name: round(stage["seconds"], 1) for name, stage in stages.items()},
            "found": {f"{group}.{key}": recipe[group][key] for group, key in FOUND},
            "answers": sum(len(row["answers"]) for row in rows),
        }


def table(measured: dict[str, Any]) -> str:
    stages = dict.fromkeys(name for one in measured["families"].values() for name in one["stages"])
    header = ("family", "picture", "rate", "minutes", "processor minutes", *stages)
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    for family, one in measured["families"].items():
        found = one["found"]
        cells = [family, f"{found['pairs.size']} px", f"{found['edit.rate']:.0e}"]
        cells += [f"{one[key] / 60:.1f}" for key in ("seconds", "processor_seconds")]
        cells += [f"{one['stages'][name]:.0f} s" if name in one["stages"] else "-" for name in stages]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=", ".join(FAMILIES))
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.run:
        from transformers.models.smolvlm import processing_smolvlm

        from neuralgate.cli.main import main as command

        processing_smolvlm.num2words = str  # as tests/families/models.py says
        model, out = chosen.run
        sys.argv = ["neuralgate", "run", model, "--out", out, *ARGUMENTS]
        command()
        return
    known = read_json(OUT)["families"] if OUT.is_file() else {}
    for family in chosen.families or FAMILIES:
        if family not in known:
            known[family] = measure(family)
            measured = {"cores": os.cpu_count(), "families": {name: known[name] for name in FAMILIES if name in known}}
            write_json(OUT, measured)
            write_text(OUT.with_suffix(".md"), table(measured))
            print(f"{family}: {known[family]['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
