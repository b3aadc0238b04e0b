"""What a person sees while a stage works."""

import io

from rich.console import Console

from neuralgate.progress import Display


def told(terminal: bool, monkeypatch, seconds_between: float = 0.0) -> str:
    monkeypatch.setattr("neuralgate.progress.SECONDS_BETWEEN_LINES", seconds_between)
    text = io.StringIO()
    display = Display(Console(file=text, force_terminal=terminal, width=160, highlight=False))
    display.start("edit")
    display.update(3, 10, "editing [layer] 0", {"loss": 0.12345, "step": 3})
    display.update(4, 10, "editing [layer] 0", {"loss": 0.1})
    display.stop()
    display.line("edit 1.0 s")
    return text.getvalue()


def test_elsewhere_than_on_a_terminal_there_are_plain_lines(monkeypatch):
    lines = told(False, monkeypatch).splitlines()
    assert lines == ["edit 3/10  editing [layer] 0  loss 0.123  step 3", "edit 4/10  editing [layer] 0  loss 0.1", "edit 1.0 s"]


def test_lines_are_seconds_apart(monkeypatch):
    assert told(False, monkeypatch, seconds_between=3600.0).splitlines() == ["edit 1.0 s"]


def test_on_a_terminal_there_is_a_bar(monkeypatch):
    shown = told(True, monkeypatch)
    assert "4/10" in shown and "editing [layer] 0" in shown and "━" in shown


def test_words_of_a_run_move_no_cursor():
    stream = io.StringIO()
    display = Display(Console(file=stream))
    display.start("locate")
    display._last_line = -1e9
    display.update(1, 2, "asking \x1b[2J\n", {})
    display.line("left out because x\x1b]0;y\x07 does not read them")
    assert "\x1b" not in stream.getvalue() and "\u241b[2J\u240a" in stream.getvalue() and stream.getvalue().count("\n") == 2
