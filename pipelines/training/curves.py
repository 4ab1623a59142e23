"""Loss curves as one picture, a panel for each stage."""

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw

PANEL = (420, 220)  # pixels
COLUMNS = 2
MARGIN = (54, 26, 14, 26)  # left, top, right, bottom: room for the numbers
PAPER, GRID, LINE, TEXT = (255, 255, 255), (226, 226, 232), (74, 86, 208), (70, 70, 84)

Curve = Sequence[tuple[int, float]]  # (step, loss)


def curves_sheet(curves: Mapping[str, Curve]) -> Image.Image:
    """A panel for each curve, in the order given; a stage that has only just begun has an empty one."""
    rows = -(-len(curves) // COLUMNS)
    sheet = Image.new("RGB", (PANEL[0] * COLUMNS, PANEL[1] * rows), PAPER)
    for i, (name, curve) in enumerate(curves.items()):
        sheet.paste(_panel(name, curve), (i % COLUMNS * PANEL[0], i // COLUMNS * PANEL[1]))
    return sheet


def _panel(name: str, curve: Curve) -> Image.Image:
    panel = Image.new("RGB", PANEL, PAPER)
    pen = ImageDraw.Draw(panel)
    left, top, right, bottom = MARGIN[0], MARGIN[1], PANEL[0] - MARGIN[2], PANEL[1] - MARGIN[3]
    pen.text((left, 8), name, fill=TEXT)
    if len(curve) < 2:
        return panel
    last = curve[-1][0]
    low, high = min(loss for _, loss in curve), sorted(loss for _, loss in curve)[-1 - len(curve) // 50]
    span = (high - low) or 1.0
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * (bottom - top)
        pen.line((left, y, right, y), fill=GRID)
        pen.text((6, y - 6), f"{low + share * span:.3g}", fill=TEXT)
        pen.text((left + share * (right - left) - 12 * share * 2, bottom + 6), f"{share * last:.0f}", fill=TEXT)
    heights = [min(1.0, (loss - low) / span) for _, loss in curve]  # the first losses may lie far above the rest
    points = [
        (left + step / last * (right - left), bottom - height * (bottom - top))
        for (step, _), height in zip(curve, heights, strict=True)
    ]
    pen.line(points, fill=LINE, width=2, joint="curve")
    return panel
