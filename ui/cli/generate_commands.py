"""The command `app.py generate`. What it does stands in `generate.py` and `batch.py`, loaded when it is called."""

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


def generate(  # noqa: PLR0913, PLR0917, a command is its options
    prompt: Annotated[str | None, typer.Argument(help="What to paint.")] = None,
    negative: Annotated[str | None, typer.Option(help="What to avoid.")] = None,
    model: Annotated[str | None, typer.Option(help="Name or path of a model.")] = None,
    vae: Annotated[str | None, typer.Option(help="A VAE, or a model whose VAE to use.")] = None,
    sampler: Annotated[str | None, typer.Option(help='For example "Euler a" or "DPM++ 2M".')] = None,
    schedule: Annotated[str | None, typer.Option(help="automatic, normal, karras, exponential, sgm_uniform.")] = None,
    steps: Annotated[str | None, typer.Option(metavar="N", help="20 to 30 suit most samplers.")] = None,
    cfg: Annotated[str | None, typer.Option(metavar="F", help="Classifier-free guidance scale; 1 is off.")] = None,
    seed: Annotated[str | None, typer.Option(metavar="N", help="-1 or nothing draws a new one.")] = None,
    size: Annotated[str | None, typer.Option(metavar="WxH", help="In pixels, multiples of 8.")] = None,
    count: Annotated[str | None, typer.Option(metavar="N", help="Pictures, with seeds counting up.")] = None,
    lora: Annotated[
        list[str] | None, typer.Option(metavar="FILE[:unet[:text]][@BLOCKS]", help="A LoRA to add; may be repeated.")
    ] = None,
    image: Annotated[
        Path | None, typer.Option(metavar="PATH", help="A picture to paint over, or a folder of them.")
    ] = None,
    strength: Annotated[str | None, typer.Option(metavar="F", help="How much of it changes, 0 to 1.")] = None,
    mask: Annotated[
        Path | None, typer.Option(metavar="PATH", help="White is painted over, black stays; for a folder, a folder.")
    ] = None,
    own_settings: Annotated[
        bool, typer.Option("--own-settings", help="Each picture's own prompt, seed, ... where you name no other.")
    ] = False,
    output: PicturesOption = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any field of the request.")
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    models: ModelsOption = None,
    device: DeviceOption = "auto",
    attention: AttentionOption = AUTO,
) -> None:
    """Paint pictures from a text."""
    from ui.cli import batch
    from ui.cli import generate as command
    from ui.cli.over import Over

    given = {"prompt": prompt, "negative_prompt": negative, "model": model, "vae": vae}
    given |= {"sampler": sampler, "schedule": schedule}
    numbers = {"steps": steps, "cfg": cfg, "seed": seed, "count": count}
    fields = command.read_fields(given, numbers, size, settings or [])
    loras = tuple(lora or ())
    over = Over(image, mask, strength)
    around = command.Surroundings(
        folders(data, models), Hardware(device, attention), output, as_json, loras, over, own_settings
    )
    run = batch.run if over.is_many or own_settings else command.run
    run(fields, around)
