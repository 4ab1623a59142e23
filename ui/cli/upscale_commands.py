"""The command `app.py upscale`. What it does stands in `upscale.py`, which is loaded when it is called."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.core.attention import AUTO
from ui.cli.options import (
    AttentionOption,
    DataOption,
    DeviceOption,
    Hardware,
    JsonOption,
    ModelsOption,
    PicturesOption,
    folders,
)


def upscale(  # noqa: PLR0913, PLR0917, a command is its options
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Pictures, or folders of them.")],
    upscaler: Annotated[
        str | None,
        typer.Option(metavar="NAME|PATH", help="lanczos, bicubic, nearest, a network, or a diffusion upscaler."),
    ] = None,
    scale: Annotated[str | None, typer.Option(metavar="F", help="How much larger, 0.1 to 16.")] = None,
    size: Annotated[str | None, typer.Option(metavar="WxH", help="Instead: the size to fill.")] = None,
    fit: Annotated[str | None, typer.Option(help="How it comes into that size: crop, within, stretch.")] = None,
    tile: Annotated[str | None, typer.Option(metavar="N", help="Pixels that are seen at a time.")] = None,
    second: Annotated[str | None, typer.Option(metavar="NAME|PATH", help="An upscaler that is mixed in.")] = None,
    blend: Annotated[str | None, typer.Option(metavar="F", help="How much of the second, 0 to 1.")] = None,
    redraw: Annotated[str | None, typer.Option(metavar="F", help="Paint over it in tiles; strength, 0 to 1.")] = None,
    prompt: Annotated[str | None, typer.Option(help="What a redraw or a diffusion upscaler shall paint.")] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME|PATH", help="The model of a redraw.")] = None,
    noise_level: Annotated[
        list[str] | None,
        typer.Option(metavar="N", help="Of a diffusion upscaler; may be repeated, a picture for each."),
    ] = None,
    quality: Annotated[str | None, typer.Option(metavar="N", help="Of WebP, JPEG and AVIF, 1 to 100.")] = None,
    form: Annotated[str | None, typer.Option("--format", help="png, webp, jpeg or avif, for a folder.")] = None,
    output: PicturesOption = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any other field; of the painting: steps, ..."),
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    models: ModelsOption = None,
    device: DeviceOption = "auto",
    attention: AttentionOption = AUTO,
) -> None:
    """Make pictures larger: by resampling, networks, diffusion, or painted over in tiles."""
    from ui.cli.upscale import Asked, run

    texts = {"upscaler": upscaler, "second": second, "frame": fit, "output": form}
    numbers = {"factor": scale, "tile": tile, "blend": blend, "strength": redraw, "quality": quality}
    painting = {"prompt": prompt, "model": model}
    asked = Asked(tuple(images), texts, numbers, painting, size, tuple(noise_level or ()), tuple(settings or ()))
    run(asked, folders(data, models), Hardware(device, attention), output, as_json=as_json)
