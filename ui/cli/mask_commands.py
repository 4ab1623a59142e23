"""The command `app.py mask`. What it does stands in `mask.py`, which is loaded when it is called."""

from pathlib import Path
from typing import Annotated

import typer

from ui.cli.options import DataOption, DeviceOption, Hardware, JsonOption, ModelsOption, folders


def mask(  # noqa: PLR0913, PLR0917, a command is its options
    image: Annotated[Path, typer.Argument(help="A picture.")],
    text: Annotated[str, typer.Argument(help='What to look for in it: "the cat".')],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The mask, a PNG.")],
    model: Annotated[str | None, typer.Option(help="Name or path of a segmenter; may be left out for one.")] = None,
    threshold: Annotated[str | None, typer.Option(metavar="F", help="How sure it must be, 0 to 1.")] = None,
    soft: Annotated[bool, typer.Option("--soft", help="As white as the model is sure, without a threshold.")] = False,
    grow: Annotated[str | None, typer.Option(metavar="N", help="Pixels that the mask grows by.")] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    models: ModelsOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Find in a picture what a text names, and write it as a mask for `generate --mask`."""
    from ui.cli.mask import Asked, run

    asked = Asked(image, text, model, threshold, soft, grow)
    run(asked, output, folders(data, models), Hardware(device), as_json=as_json)
