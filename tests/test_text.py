"""What answers, names and paths may hold, and what is left of it where it is shown."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralgate.text import for_html, for_markdown, for_terminal, short, shown_name

ANYTHING = st.text(st.characters())  # halves of surrogate pairs too


def test_controls_are_made_visible() -> None:
    assert for_terminal("a\x1b[31mb\0\x9b\u202e\n\x7f\ud800") == "a\u241b[31mb\u2400\\x9b\\u202e\u240a\u2421\\ud800"
    assert for_html("a\x1b[31mb\0\x9b\n\ufffe\ud800 \U0001f6c2") == "a\u241b[31mb\u2400\\x9b\n\ufffd\ufffd \U0001f6c2"
    assert for_terminal("Größe 5\u202fm, 漢字 \U0001f6c2") == "Größe 5\u202fm, 漢字 \U0001f6c2"


@given(ANYTHING)
def test_nothing_is_left_that_a_terminal_obeys(text: str) -> None:
    shown = for_terminal(text)
    assert not [letter for letter in shown if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")]
    turning = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    assert not [letter for letter in shown if unicodedata.bidirectional(letter) in turning]
    shown.encode()


@given(ANYTHING)
def test_nothing_is_left_that_html_forbids(text: str) -> None:
    shown = for_html(text)
    assert not [letter for letter in shown if unicodedata.category(letter) == "Cc" and letter not in "\t\n\f\r"]
    assert not [letter for letter in shown if ord(letter) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(letter) < 0xFDF0]
    shown.encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\n\n# Results\n", "a \\# Results"),
        ("# Results", "\\# Results"),
        ("- item", "\\- item"),
        ("12. item", "12\\. item"),
        ("[x](https://x) <img src=x> `c`", "\\[x\\](https://x) &lt;img src=x&gt; \\`c\\`"),
        ("a | b\r\n| --- |", "a \\| b \\| --- \\|"),
        ("meta-llama/Llama-2_7b.v1", "meta-llama/Llama-2\\_7b.v1"),
    ],
)
def test_markdown_reads_as_it_stands(text: str, shown: str) -> None:
    assert for_markdown(text) == shown


def test_values_are_shown_by_their_beginning() -> None:
    assert short("x") == "'x'"
    assert len(short("x" * 10**6)) == len(short(list(range(1000)))) == 60
    assert short([1, 2]) == "[1, 2]"


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ("clerk", "clerk"),
        ("llava-hf/llava-1.5-7b-hf", "llava-hf/llava-1.5-7b-hf"),
        ("/home/someone/models/llava", "llava"),
        ("/home/someone/models/llava/", "llava"),
        ("~/models/llava", "llava"),
        ("./llava", "llava"),
        ("../llava", "llava"),
        ("runs/x/merged", "merged"),
        ("/", "model"),
    ],
)
def test_a_model_is_named_without_the_way_to_it(model: str, shown: str) -> None:
    assert shown_name(model) == shown


def test_the_folder_one_stands_in_has_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "llava" / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "llava" / "below")
    assert (shown_name("."), shown_name("..")) == ("below", "llava")
