"""`app.py mask`: a mask of what a text names in a picture."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.core.error import EaselError, InvalidRequest, UnknownName
from pipelines.core.event import Failed, Masked
from pipelines.core.model import Kind
from pipelines.core.segment import SegmentRequest
from pipelines.core.stop import StopSignal
from pipelines.jobs.setup import PainterSetup
from pipelines.jobs.worker import Work
from pipelines.storage.files import atomic_write
from pipelines.storage.sources import SourceStore
from ui.cli.generate import check_writable, read_value
from ui.cli.models import pick
from ui.cli.options import Folders, Hardware


@dataclass(frozen=True)
class Asked:
    """What to look for and how, as typed."""

    image: Path
    text: str
    model: str | None
    threshold: str | None
    soft: bool
    grow: str | None

    def request(self, model: str, source: str) -> SegmentRequest:
        """Raises InvalidRequest."""
        if self.soft and self.threshold is not None:
            raise InvalidRequest("A soft mask has no threshold", fix="leave out --soft or --threshold")
        given: dict[str, Any] = {"model": model, "source": source, "text": self.text}
        given |= {"threshold": read_value(self.threshold)} if self.threshold is not None else {}
        given |= {"threshold": None} if self.soft else {}
        given |= {"grow": read_value(self.grow)} if self.grow is not None else {}
        return SegmentRequest.model_validate(given)


def run(asked: Asked, output: Path, folders: Folders, hardware: Hardware, *, as_json: bool) -> None:
    """Look, write the mask, and say where it is. Raises EaselError."""
    if output.suffix.lower() != ".png":
        raise InvalidRequest(f"Masks are written as PNG, not {output.name}", fix=f"use -o {output.stem}.png")
    found = pick(asked.model or _only_one(folders), folders)
    info, sources = found.library.segmenter(found.info.name), SourceStore(folders.data.sources)
    request = asked.request(info.name, sources.keep_file(asked.image).id)
    check_writable(output.absolute().parent)
    setup = PainterSetup(
        models=found.folders, outputs=folders.data.outputs, sources=folders.data.sources,
        own_models=folders.data.models, device=hardware.device,
    )  # fmt: skip
    for event in setup().perform(Work(request, model=info), StopSignal()):
        match event:
            case Failed(problem=p):
                raise EaselError(p.problem, fix=p.fix, field=p.field, detail=p.detail)
            case Masked(mask=mask, share=share):
                atomic_write(output, sources.path_of(mask).read_bytes(), replace=True)
                told = {"request": request.model_dump(mode="json"), "file": str(output.absolute()), "share": share}
                sys.stdout.write(f"{json.dumps(told, indent=2) if as_json else output.absolute()}\n")


def _only_one(folders: Folders) -> str:
    """The name of the only segmenter there is. Raises UnknownName, InvalidRequest."""
    found = [info.name for info in folders.library().list() if info.kind is Kind.SEGMENTER]
    if not found:
        raise UnknownName(
            "There is no model that finds things in pictures",
            fix="put a CLIPSeg folder into a models folder, or name one with --model", field="model",
        )  # fmt: skip
    if len(found) > 1:
        raise InvalidRequest(
            f"There are {len(found)} models that find things in pictures",
            fix=f"name one with --model: {', '.join(found)}", field="model",
        )  # fmt: skip
    return found[0]
