"""Options that every command shares, and the services they describe."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from pipelines.core.attention import ATTENTIONS, AUTO
from pipelines.core.block_presets import BlockPreset, block_presets
from pipelines.core.error import InvalidRequest
from pipelines.core.presets import STARTER_MODELS
from pipelines.models.scan import ModelLibrary
from pipelines.storage.folder import DataFolder
from pipelines.storage.presets import PresetStore

ROOT = Path(__file__).parents[2]

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data", help="Folder for models, pictures and the database. Default: data/ beside app.py, or EASEL_DATA."
    ),
]
ModelsOption = Annotated[
    list[Path] | None,
    typer.Option("--models", help="A models folder of yours; may be repeated."),
]


def _device(text: str) -> str:
    """Whether there is such a device is seen where torch is; a word that is none can be refused at once."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]{1,3})?", text):
        raise InvalidRequest(f"There is no device {text!r}", fix="use auto, cpu, cuda, cuda:N or mps", field="device")
    return text


DeviceOption = Annotated[
    str, typer.Option("--device", callback=_device, help="auto, cpu, cuda, cuda:N or mps: where pictures are computed.")
]

AttentionOption = Annotated[
    str,
    typer.Option(
        "--attention", callback=lambda name: ATTENTIONS.find(name, field="attention").key,
        help=f"How attention is computed: {', '.join(one.key for one in ATTENTIONS)}.",
    ),
]  # fmt: skip

FileOption = Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="What to write.")]
PicturesOption = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE|DIR", help="Where the pictures go.")
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace a file of that name.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print what came of it as JSON, for programs.")]


@dataclass(frozen=True)
class Hardware:
    """What computes, and how."""

    device: str = "auto"
    attention: str = AUTO


@dataclass(frozen=True)
class Folders:
    """Where things lie on this machine."""

    data: DataFolder
    models: tuple[Path, ...] = ()
    """The `--models` folders."""

    def with_models(self) -> list[Path]:
        """Every models folder: the starter models, the data folder's, then the `--models` folders."""
        return [STARTER_MODELS, self.data.models, *self.models]

    def library(self) -> ModelLibrary:
        """The models in all of them."""
        return ModelLibrary(self.with_models())

    def block_presets(self) -> PresetStore[BlockPreset]:
        """Block weights by name."""
        return PresetStore(self.data.block_presets, BlockPreset, block_presets())


def folders(data: Path | None, models: list[Path] | None) -> Folders:
    """The folders meant by `--data` and `--models`. Raises InvalidRequest for a models folder that is not there."""
    for folder in models or ():
        if not folder.is_dir():
            raise InvalidRequest(f"There is no models folder {str(folder)!r}", fix="check the path given with --models")
    chosen = data or Path(os.environ.get("EASEL_DATA") or ROOT / "data")
    return Folders(DataFolder(chosen.absolute()), tuple(m.absolute() for m in models or ()))
