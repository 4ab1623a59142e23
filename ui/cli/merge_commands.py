"""The command `app.py merge`. What it does stands in `merge.py`, which is loaded when it is called."""

from typing import Annotated

import typer

from ui.cli.options import DataOption, FileOption, JsonOption, ModelsOption, OverwriteOption, folders


def merge(  # noqa: PLR0913, PLR0917, a command is its options
    models: Annotated[list[str] | None, typer.Argument(help="Names or paths: A B, and C for some methods.")] = None,
    base: Annotated[str | None, typer.Option(help="The common ancestor; else the last model.")] = None,
    method: Annotated[str | None, typer.Option(help="weighted_sum, add_difference, ties, ...; see the README.")] = None,
    alpha: Annotated[str | None, typer.Option(metavar="F")] = None,
    beta: Annotated[str | None, typer.Option(metavar="F")] = None,
    blocks: Annotated[
        str | None, typer.Option(metavar="PRESET|N,N,...", help="Alpha by block: 26 numbers, SDXL 20.")
    ] = None,
    blocks_beta: Annotated[str | None, typer.Option(metavar="PRESET|N,N,...", help="Beta by block.")] = None,
    elemental: Annotated[
        str | None, typer.Option(metavar="TEXT", help="BLOCKS:ELEMENTS:ratio, with commas between.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any other setting of the method.")
    ] = None,
    vae: Annotated[str | None, typer.Option(metavar="A|B|base|F|FILE", help="Whose VAE; A's if left out.")] = None,
    dtype: Annotated[str | None, typer.Option(help="fp16, bf16, fp32, fp8 or source.")] = None,
    pruned: Annotated[bool, typer.Option("--pruned", help="Leave out copies that were kept for training.")] = False,
    recipe: Annotated[str | None, typer.Option(metavar="FILE|MODEL", help="Repeat what this says or carries.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done, as JSON.")] = False,
    overwrite: OverwriteOption = False,
    output: FileOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    models_folders: ModelsOption = None,
) -> None:
    """Mix models, block by block if you like, and write the recipe into the result."""
    from ui.cli.merge import Asked, Ways, run

    asked = Asked(
        models=tuple(models or ()), base=base, method=method, alpha=alpha, beta=beta, blocks=blocks,
        blocks_beta=blocks_beta, elemental=elemental, settings=tuple(settings or ()), vae=vae, dtype=dtype,
        pruned=pruned,
    )  # fmt: skip
    ways = Ways(output=output, recipe=recipe, overwrite=overwrite, dry_run=dry_run, as_json=as_json)
    run(asked, ways, folders(data, models_folders))
