"""How a worker process makes its performer: plain values that travel into it. Torch is imported there, not here."""

from dataclasses import dataclass
from pathlib import Path

from pipelines.core.attention import AUTO
from pipelines.jobs.worker import Performer
from pipelines.models.scan import ModelLibrary
from pipelines.storage.pictures import PictureFiles
from pipelines.storage.sources import SourceStore


@dataclass(frozen=True, kw_only=True)
class PainterSetup:
    """Everything a painter needs to know. Calling it makes one."""

    models: tuple[Path, ...]
    """Models folders."""
    outputs: Path
    sources: Path
    """Where pictures that are painted over lie."""
    own_models: Path
    """The models folder that new models go to."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:N`, `mps`."""
    attention: str = AUTO
    """A key of `ATTENTIONS`."""
    favourite: str | None = None
    """The model to make ready before the first job."""

    def __call__(self) -> Performer:
        # Imported here: whoever makes a setup (the studio's process) must not load torch.
        from pipelines.jobs.keeping import Keeper  # noqa: PLC0415
        from pipelines.jobs.perform import Painter  # noqa: PLC0415
        from pipelines.models.residency import Residency  # noqa: PLC0415

        residency = Residency(self.device, attention=self.attention)
        return Painter(
            ModelLibrary(self.models), residency, PictureFiles(self.outputs), SourceStore(self.sources),
            Keeper(residency, self.own_models), favourite=self.favourite,
        )  # fmt: skip
