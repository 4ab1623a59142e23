"""A contact sheet: pictures in columns and rows, with what each stands for written beside it."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from pipelines.storage.facts import open_picture

MOST_SIDE = 8_192
"""Pixels: larger sheets are drawn with smaller pictures."""
GAP, LETTERS = 8, 14
PAPER, INK, BLANK = "#f8f8f9", "#1b1b1f", "#dededf"
MOST_WORDS = 60
"""Characters of a label."""


def contact_sheet(columns: Sequence[str], rows: Sequence[str], pictures: Mapping[int, Path]) -> bytes:
    """The sheet as PNG; `pictures` by their place, row by row. A place without a picture stays blank.

    Raises StorageProblem for a picture that cannot be read.
    """
    lines = max(1, len(rows))
    wide, high = _size(pictures)
    shrink = min(1.0, MOST_SIDE / (len(columns) * (wide + GAP)), MOST_SIDE / (lines * (high + GAP)))
    cell = max(8, int(wide * shrink)), max(8, int(high * shrink))
    font = ImageFont.load_default(LETTERS)
    left = GAP + (max(int(font.getlength(_short(row))) for row in rows) + GAP if rows else 0)
    top = GAP + 2 * LETTERS
    sheet = Image.new("RGB", (left + len(columns) * (cell[0] + GAP), top + lines * (cell[1] + GAP)), PAPER)
    draw = ImageDraw.Draw(sheet)
    for x, column in enumerate(columns):
        text = _fitting(column, font, cell[0])
        draw.text((left + x * (cell[0] + GAP), GAP), text, fill=INK, font=font)
    for y in range(lines):
        at = top + y * (cell[1] + GAP)
        if rows:
            draw.text((GAP, at + cell[1] // 2 - LETTERS // 2), _short(rows[y]), fill=INK, font=font)
        for x in range(len(columns)):
            corner = left + x * (cell[0] + GAP), at
            path = pictures.get(y * len(columns) + x)
            if path is None:
                draw.rectangle((*corner, corner[0] + cell[0], corner[1] + cell[1]), fill=BLANK)
                continue
            with open_picture(path) as image:
                sheet.paste(image.convert("RGB").resize(cell, Image.Resampling.LANCZOS), corner)
    buffer = BytesIO()
    sheet.save(buffer, format="PNG")
    return buffer.getvalue()


def _size(pictures: Mapping[int, Path]) -> tuple[int, int]:
    """Of the largest picture."""
    sizes = []
    for path in pictures.values():
        with open_picture(path) as image:
            sizes.append(image.size)
    return max((w for w, _ in sizes), default=192), max((h for _, h in sizes), default=192)


def _short(label: str) -> str:
    return label if len(label) <= MOST_WORDS else f"{label[: MOST_WORDS - 1]}…"


def _fitting(label: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    text = _short(label)
    while len(text) > 1 and font.getlength(text) > width:
        text = f"{text[:-2]}…"
    return text
