"""Deaths and full disks at every kind of write: nothing is half-written, nothing is lost, and a retry ends in the same bytes."""

import json
import subprocess
import sys
from pathlib import Path

from neuralgate.files import hash_path, read_jsonl
from neuralgate.recipe import Recipe

SETTINGS = {
    "pairs": {
        "subjects": ["passport"],
        "contrast": ["bus ticket"],
        "per_subject": 3,
        "contrast_per_subject": 1,
        "validation_per_subject": 1,
        "test_per_subject": 1,
        "source": None,
        "size": None,
        "only_read": False,
    },
    "locate": {"layers": [0, 1], "steps": 2, "samples_per_subject": 2},
    "edit": {"gate": "strong", "max_steps": 2, "check_every": 2, "batch_size": 4, "rate": 0.02},
    "evaluate": {"benchmarks": ["privacypair-test", "public-contrast", "protected", "vqa"], "vqa": 2, "max_new_tokens": 2},
    "variants": ["none"],
}
#: What depends on the clock, and the page that shows it.
CLOCK = ("manifest.json", "events.jsonl", "training.json", "report.html")


def test_disturbed_again_and_again_all_ends_in_the_same_bytes(tiny_folder: Path, tmp_path: Path) -> None:
    """A run with its stages, and the commands that write folders; see killed_run.py for what is held about each disturbance."""
    Recipe.parse({**SETTINGS, "model": str(tiny_folder)}).save(tmp_path / "recipe.yaml")
    command = [sys.executable, str(Path(__file__).with_name("killed_run.py")), str(tmp_path / "recipe.yaml"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["run"] >= 6 and min(told.values()) == 3, told
    run, undisturbed = tmp_path / "run", tmp_path / "undisturbed"
    events = read_jsonl(run / "events.jsonl")
    resumed = {event["stage"] for event in events if event.get("event") == "resumed"}
    assert resumed >= {"pairs", "locate", "edit", "evaluate"}, "a disturbance in every stage"
    files = [sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) for folder in (run, undisturbed)]
    assert files[0] == files[1], "nothing is left over, hidden or not"
    assert [name for name in files[0] if name not in CLOCK and hash_path(run / name) != hash_path(undisturbed / name)] == []
