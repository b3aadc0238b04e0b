"""A contact sheet: what is in a pair set at a glance."""

from __future__ import annotations

from PIL import Image, ImageDraw

from neuralgate.pairs.drawn.render import load_font
from neuralgate.pairs.images import open_image
from neuralgate.pairs.schema import Pair, PairSet

CELL_WIDTH, PICTURE_HEIGHT, LINE, GAP = 300, 300, 17, 12
COLUMNS = 4
RED, GREEN, DARK = (178, 24, 43), (27, 120, 55), (25, 25, 25)
ROLES = {"edit": "to refuse", "contrast": "to answer", "lookalike": "look-alike", "protected": "protected already"}


def spread(pairs: PairSet, count: int) -> list[Pair]:
    """``count`` pairs, taken from the subjects in turn."""
    queues = [[pair for pair in pairs if pair.subject == subject] for subject in pairs.subjects()]
    rounds = range(max(map(len, queues), default=0))
    return [queue[place] for place in rounds for queue in queues if place < len(queue)][:count]


def contact_sheet(pairs: PairSet, count: int = 24) -> Image.Image:
    """Pictures of ``count`` pairs with subject, role, split and both attributes with their truths."""
    chosen = spread(pairs, count)
    rows = -(-len(chosen) // COLUMNS)
    high = PICTURE_HEIGHT + 3 * LINE + 2 * GAP
    columns = min(COLUMNS, len(chosen))
    sheet = Image.new("RGB", (columns * (CELL_WIDTH + GAP) + GAP, rows * high + GAP), (255, 255, 255))
    draw = ImageDraw.Draw(sheet)
    for place, pair in enumerate(chosen):
        x, y = GAP + place % COLUMNS * (CELL_WIDTH + GAP), GAP + place // COLUMNS * high
        picture = open_image(pairs.folder / pair.image)
        picture.thumbnail((CELL_WIDTH, PICTURE_HEIGHT), Image.Resampling.LANCZOS)
        sheet.paste(picture, (x, y))
        first = RED if pair.role in ("edit", "protected") else GREEN
        lines = (
            (f"{pair.word} · {ROLES[pair.role]} · {pair.split}", DARK, "DejaVuSans-Bold"),
            (f"{pair.sensitive_attribute}: {pair.sensitive_truth or '?'}", first, "DejaVuSans"),
            (f"{pair.benign_attribute}: {pair.benign_truth or '?'}", GREEN, "DejaVuSans"),
        )
        for line, (text, colour, face) in enumerate(lines):
            font = load_font(face, 12)
            text = " ".join(text.split())
            while font.getlength(text) > CELL_WIDTH:
                text = text[:-2] + "…"
            draw.text((x, y + PICTURE_HEIGHT + 4 + line * LINE), text, fill=colour, font=font)
    return sheet
