"""SIGTERM and SIGHUP end as Ctrl-C does: one sentence, exit code 2, nothing half-written, no process left behind."""

import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from neuralgate.errors import UserError
from neuralgate.files import remove_litter, write_bytes, write_folder
from neuralgate.recipe import Recipe
from neuralgate.run.folder import Run

ENDED = textwrap.dedent("""
    import os, sys
    from neuralgate.cli import main as cli
    from neuralgate.run.folder import Run

    number = int(sys.argv.pop())

    def work(folder, *_, **__):
        with Run.load(folder) as run, run.stage("work", {}, ["out"]) as stage:
            stage.chunks.put("one", b"1")
            os.replace = lambda *_: os.kill(os.getpid(), number)
            run.write_bytes("out/result", b"half")

    cli.go_on = work
    cli.main()
""")
SUBJECTS = "- {name: work permit, sensitive: {number: digits}, benign: {edition: year}}\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_the_middle_of_a_write(tmp_path: Path, number: signal.Signals) -> None:
    Run.open(tmp_path, Recipe().changed(["edit.rate=3e-3"]), "m").close()
    done = subprocess.run([sys.executable, "-c", ENDED, "locate", str(tmp_path), str(number)], **quiet(number))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("interrupted: nothing is half-written") and "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.tmp")) and (tmp_path / ".work/work/one.chunk").is_file()


def test_a_signal_that_is_ignored_stays_so(tmp_path: Path) -> None:
    """`nohup neuralgate run ...` goes on when its terminal is closed."""
    Run.open(tmp_path, Recipe().changed(["edit.rate=3e-3"]), "m").close()
    command = [sys.executable, "-c", ENDED, "locate", str(tmp_path), str(signal.SIGHUP)]
    assert subprocess.run(command, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN), capture_output=True).returncode == 0


def quiet(number: signal.Signals) -> dict:
    """A job in the background, such as this may be, has Ctrl-C ignored, and its children with it."""
    return {"capture_output": True, "text": True, "preexec_fn": lambda: signal.signal(number, signal.SIG_DFL)}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_processes_that_draw_end_with_the_one_that_asked(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "mine.yaml").write_text(SUBJECTS)
    out = tmp_path / "set"
    command = [sys.executable, "-m", "neuralgate", "pairs", "synth", str(tmp_path / "mine.yaml"), "--out", str(out)]
    process = subprocess.Popen([*command, "--count", "2000", "--processes", "2"], stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_until(lambda: len(list(tmp_path.glob(".partial-*/new/images/*"))) > 8)
    process.send_signal(number)
    _, error = process.communicate(timeout=20)
    assert process.returncode == (2 if number == signal.SIGTERM else -signal.SIGKILL)
    wait_until(lambda: not members(process.pid))
    if number == signal.SIGTERM:
        assert "interrupted" in error and "Traceback" not in error
        assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]
    else:  # the next attempt clears away
        write_folder(out, lambda folder: write_bytes(folder / "file", b""))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.yaml", "set"]


def members(session: int) -> list[int]:
    """The processes of a session that are at work."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of_session = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:  # it has just ended
            continue
        if int(of_session) == session and state != "Z":
            found.append(int(stat.parent.name))
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_folder_that_is_being_filled_is_left_alone(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        write_bytes(folder / "first", b"")
        write_folder(tmp_path / "out", lambda other: write_bytes(other / "second", b""))
        assert (folder / "first").is_file()

    with pytest.raises(UserError, match="is in the way"):  # the second was quicker
        write_folder(tmp_path / "out", write)
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "second"]


def test_what_killed_writes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    kept = ["mine.tmp", ".mine.tmp", ".x.12345678.tmp.bak", ".git/.x.12345678.tmp"]
    for name in [*kept, ".manifest.json.abc_1234.tmp", "gate/.gate.json.abcd1234.tmp"]:
        write_bytes(tmp_path / name, b"")
    remove_litter(tmp_path)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)


def test_an_interrupt_inside_text_that_is_run_is_one_like_any_other() -> None:
    """Imports make dataclasses by running text; a Ctrl-C in there must not end the process by the signal."""
    code = textwrap.dedent("""
        import os, signal
        from neuralgate.cli import main as cli
        cli.app = lambda: exec("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
        cli.main()
    """)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    )
    assert (done.returncode, "continues where it stopped" in done.stderr) == (2, True), done.stderr
