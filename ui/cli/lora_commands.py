"""The commands of `app.py lora`. What they do stands in `lora.py`, which is loaded when one is called."""

from typing import Annotated

import typer

from ui.cli.options import DataOption, FileOption, JsonOption, ModelsOption, OverwriteOption, folders

lora_app = typer.Typer(help="LoRAs: into checkpoints, with each other, out of checkpoints.", no_args_is_help=True)


@lora_app.command("bake")
def lora_bake(  # noqa: PLR0913, PLR0917, a command is its options
    checkpoint: Annotated[str, typer.Argument(help="Name or path of a model.")],
    specs: Annotated[list[str], typer.Argument(metavar="FILE[:unet[:text]][@BLOCKS]", help="LoRAs, in their order.")],
    dtype: Annotated[str | None, typer.Option(help="fp16, bf16, fp32, fp8 or source.")] = None,
    pruned: Annotated[bool, typer.Option("--pruned", help="Leave out copies that were kept for training.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell how they fit, as JSON.")] = False,
    overwrite: OverwriteOption = False,
    output: FileOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    models: ModelsOption = None,
) -> None:
    """Add LoRAs to a checkpoint for good."""
    from ui.cli.lora import Baking, bake
    from ui.cli.merge import Ways

    ways = Ways(output=output, overwrite=overwrite, dry_run=dry_run, as_json=as_json)
    bake(Baking(checkpoint=checkpoint, specs=tuple(specs), dtype=dtype, pruned=pruned), ways, folders(data, models))


@lora_app.command("show")
def lora_show(
    lora: Annotated[str, typer.Argument(help="Name or path.")],
    model: Annotated[str | None, typer.Option(help="A model to see how it fits.")] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    models: ModelsOption = None,
) -> None:
    """What a LoRA is, and how it fits a model."""
    from ui.cli.lora import show

    show(lora, model, folders(data, models), as_json=as_json)


RankOption = Annotated[int | None, typer.Option("--rank", metavar="N", help="Of each module, at most.")]
EnergyOption = Annotated[
    float | None, typer.Option("--energy", metavar="F", help="Share of the squared singular values that stays.")
]
LoraDtype = Annotated[str, typer.Option("--dtype", help="fp16, bf16 or fp32.")]


@lora_app.command("merge")
def lora_merge(  # noqa: PLR0913, PLR0917, a command is its options
    specs: Annotated[list[str], typer.Argument(metavar="FILE[:unet[:text]][@BLOCKS]", help="Any number of LoRAs.")],
    method: Annotated[str | None, typer.Option(help="concat (exact), or svd (to a size).")] = None,
    rank: RankOption = None,
    energy: EnergyOption = None,
    dtype: LoraDtype = "fp16",
    overwrite: OverwriteOption = False,
    output: FileOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    models: ModelsOption = None,
) -> None:
    """Add LoRAs up: exactly, or as near as a size allows."""
    from ui.cli.lora import Sizes, add
    from ui.cli.merge import Ways

    ways = Ways(output=output, overwrite=overwrite, as_json=as_json)
    add(tuple(specs), method, Sizes(rank=rank, energy=energy, dtype=dtype), ways, folders(data, models))


@lora_app.command("resize")
def lora_resize(  # noqa: PLR0913, PLR0917, a command is its options
    lora: Annotated[str, typer.Argument(help="Name or path.")],
    rank: RankOption = None,
    energy: EnergyOption = None,
    dtype: LoraDtype = "fp16",
    overwrite: OverwriteOption = False,
    output: FileOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    models: ModelsOption = None,
) -> None:
    """Bring a LoRA to another size, as near to itself as that allows."""
    from ui.cli.lora import Sizes, add
    from ui.cli.merge import Ways

    ways = Ways(output=output, overwrite=overwrite, as_json=as_json)
    add((lora,), "svd", Sizes(rank=rank, energy=energy, dtype=dtype), ways, folders(data, models))


@lora_app.command("extract")
def lora_extract(  # noqa: PLR0913, PLR0917, a command is its options
    tuned: Annotated[str, typer.Argument(help="Name or path of a model.")],
    base: Annotated[str, typer.Argument(help="The one it was trained from.")],
    rank: RankOption = None,
    energy: EnergyOption = None,
    auto: Annotated[bool, typer.Option("--auto", help="As --energy 0.95.")] = False,
    conv_rank: Annotated[int | None, typer.Option(metavar="N", help="Of 3x3 convolutions; left out otherwise.")] = None,
    dtype: LoraDtype = "fp16",
    overwrite: OverwriteOption = False,
    output: FileOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    models: ModelsOption = None,
) -> None:
    """Take what a model learnt beyond its base out as a LoRA."""
    from ui.cli.lora import AUTO_ENERGY, Sizes, extract
    from ui.cli.merge import Ways

    ways = Ways(output=output, overwrite=overwrite, as_json=as_json)
    energy = AUTO_ENERGY if auto and energy is None else energy
    extract(tuned, base, Sizes(rank=rank, energy=energy, conv_rank=conv_rank, dtype=dtype), ways, folders(data, models))
