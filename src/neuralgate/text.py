"""Text of unknown origin on its way out: one function for each place that it can end up in.

Answers, names and paths may hold anything. Each function makes what the place would obey visible instead.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

#: C0 and C1 controls, DEL, line and paragraph separators, marks that turn the direction of writing, halves of surrogate pairs.
OBEYED = r"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff"
_OBEYED = re.compile(rf"[{OBEYED}\ud800-\udfff]")
#: What HTML forbids in text: controls other than blanks, halves of surrogate pairs, the last two code points of every plane.
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
    + "]"
)
_MARKUP = re.compile(r"[\\`*_\[\]|~#$]")
_HUB_ID = re.compile(r"\w[\w.-]*(?:/\w[\w.-]*)?")


def _picture(match: re.Match[str]) -> str:
    """A control character as its picture in Unicode; what has none, as an escape."""
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def for_terminal(text: str) -> str:
    """``text`` on one line of a terminal: nothing in it moves the cursor, colours, turns the writing or ends the line."""
    return _OBEYED.sub(_picture, text)


def for_html(text: str) -> str:
    """A page, or a text for one, without the characters that HTML forbids. Escaping is the template's business."""
    return _FORBIDDEN.sub(lambda match: _picture(match) if ord(match.group()) < 0x100 else "\ufffd", text)


def for_markdown(text: str) -> str:
    """``text`` inside a line, a heading or a table cell of Markdown, where it reads as it stands and opens nothing."""
    line = _MARKUP.sub(r"\\\g<0>", for_terminal(" ".join(text.split())))
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", line)  # a list or an underline


def short(value: Any, length: int = 60) -> str:
    """A value as an error message shows it: of a long one the beginning. Text is quoted."""
    return clipped(repr(value[: length + 1] if isinstance(value, str) else value), length)


def clipped(text: str, length: int = 60) -> str:
    return text if len(text) <= length else f"{text[: length - 4].rstrip()} ..."


def shown_name(model: str) -> str:
    """A model as results name it: an id of the hub as it is, a folder by its last part, so that no path on a user's machine shows."""
    if _HUB_ID.fullmatch(model):
        return model
    name = Path(os.path.normpath(model)).name
    return name if name not in ("", "..") else Path(model).resolve().name or "model"
