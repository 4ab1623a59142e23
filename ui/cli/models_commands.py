"""The commands of `app.py models`. What they do stands in `models.py`, which is loaded when one is called."""

from pathlib import Path
from typing import Annotated

import typer

from ui.cli.options import DataOption, JsonOption, ModelsOption, folders

models_app = typer.Typer(help="The models that can be used.", no_args_is_help=False)


@models_app.command("list")
def models_list(as_json: JsonOption = False, data: DataOption = None, models: ModelsOption = None) -> None:
    """Every model found, usable or not."""
    from ui.cli.models import print_list

    print_list(folders(data, models), as_json=as_json)


@models_app.command("show")
def models_show(
    model: Annotated[str, typer.Argument(help="Name or path.")],
    as_json: JsonOption = False,
    data: DataOption = None,
    models: ModelsOption = None,
) -> None:
    """What is known about one model."""
    from ui.cli.models import print_one

    print_one(model, folders(data, models), as_json=as_json)


@models_app.command("verify")
def models_verify(
    model: Annotated[str, typer.Argument(help="Name or path.")],
    as_json: JsonOption = False,
    data: DataOption = None,
    models: ModelsOption = None,
) -> None:
    """Read every number of a model: exit 0 when it is sound, 2 when it must not be used."""
    from ui.cli.models import verify_one

    verify_one(model, folders(data, models), as_json=as_json)


@models_app.command("convert")
def models_convert(
    model: Annotated[str, typer.Argument(help="Name or path; a pickle is read safely, in a process of its own.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="A .safetensors file, or a new diffusers folder.")],
    dtype: Annotated[str | None, typer.Option(help="fp16, bf16, fp32 or fp8; as it is if left out.")] = None,
    pruned: Annotated[bool, typer.Option("--pruned", help="Leave out what painting does not need.")] = False,
    as_json: JsonOption = False,
    data: DataOption = None,
    models: ModelsOption = None,
) -> None:
    """Write a model in another form: safetensors, another precision, pruned, one file or a folder."""
    from ui.cli.models import Wanted, convert_one

    convert_one(model, folders(data, models), Wanted(output, dtype, pruned), as_json=as_json)


@models_app.command("download")
def models_download(
    source: Annotated[str, typer.Argument(help="author/model, author/model/file.safetensors, or an https address.")],
    name: Annotated[str | None, typer.Option(help="What to call it here.")] = None,
    sha256: Annotated[str | None, typer.Option(help="The hash the file must have; the hub tells its own.")] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Fetch a model into the data folder; one that broke off goes on where it stopped."""
    from ui.cli.models import Asked, download_one

    download_one(Asked(source, name, sha256), folders(data, None), as_json=as_json)
