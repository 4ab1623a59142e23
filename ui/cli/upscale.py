"""`app.py upscale`: pictures and folders of them, one after another; a broken one holds up no other."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from pipelines.core.error import EaselError, InvalidRequest, WorkerLost
from pipelines.core.request import GenerateRequest, random_seed
from pipelines.core.stop import StopSignal
from pipelines.core.upscale import RESAMPLERS, Format, UpscaleRequest
from pipelines.jobs.checking import check
from pipelines.jobs.setup import PainterSetup
from pipelines.jobs.worker import Performer, Work
from pipelines.models.asked import model_of, parts_of
from pipelines.models.scan import ModelLibrary
from pipelines.storage.sources import SourceStore
from pipelines.storage.streaming import SUFFIXES
from ui.cli.batch import pictures_in
from ui.cli.generate import check_writable, follow, is_folder, made_of, read_size, read_value, say
from ui.cli.models import pick
from ui.cli.options import Folders, Hardware

FORMATS: Mapping[str, Format] = {suffix: output for output, suffix in SUFFIXES.items()} | {".jpeg": Format.JPEG}
"""By the ending of a file."""
NAMED = ("upscaler", "second")
"""What names an upscaler."""


@dataclass(frozen=True)
class Asked:
    """As typed."""

    images: tuple[Path, ...]
    texts: Mapping[str, str | None]
    numbers: Mapping[str, str | None]
    painting: Mapping[str, str | None]
    size: str | None
    noise_levels: tuple[str, ...]
    settings: tuple[str, ...]

    @property
    def fields(self) -> dict[str, Any]:
        """Of the request; `picture` with those of the painting. Raises InvalidRequest."""
        fields: dict[str, Any] = {name: text for name, text in self.texts.items() if text is not None}
        fields |= {name: read_value(text) for name, text in self.numbers.items() if text is not None}
        painting: dict[str, Any] = {name: text for name, text in self.painting.items() if text is not None}
        if self.noise_levels:
            fields["noise_levels"] = [read_value(text) for text in self.noise_levels]
        if self.size is not None:
            if "factor" in fields:
                raise InvalidRequest("--scale and --size say two things", fix="give one of them", field="size")
            fields["width"], fields["height"] = read_size(self.size)
        for pair in self.settings:
            key, equals, value = pair.partition("=")
            if not equals:
                raise InvalidRequest(f"--set {pair!r} has no value", fix="write it like --set steps=30")
            of = fields if key in UpscaleRequest.model_fields else painting
            of[key] = read_value(value)
        return {**fields, "picture": {"seed": random_seed(1), **painting}}


@dataclass(frozen=True)
class Means:
    """What upscales."""

    folders: Folders
    library: ModelLibrary
    fields: Mapping[str, Any]
    """Of the request, with models by their names in the library."""


def run(asked: Asked, folders: Folders, hardware: Hardware, output: Path | None, *, as_json: bool) -> None:
    """Upscale all of them, and say where the results are. Raises EaselError, at the end for those that failed."""
    images = [image for given in asked.images for image in _pictures(given)]
    by = _means(_in_format(asked.fields, output), folders)
    if output is not None and not is_folder(output) and len(images) > 1:
        raise InvalidRequest(f"{len(images)} pictures do not fit in one file", fix="give a folder with -o")
    setup = PainterSetup(
        models=tuple(by.folders.with_models()), outputs=folders.data.outputs, sources=folders.data.sources,
        own_models=folders.data.models, device=hardware.device, attention=hardware.attention,
    )  # fmt: skip
    check_writable(setup.outputs if output is None else output if is_folder(output) else output.absolute().parent)
    sources = SourceStore(folders.data.sources)
    performer: Performer | None = None
    told, failed = [], []
    for image in images:
        made: list[dict[str, Any]] = []
        request, problem = None, None
        try:
            request = _request(image, by, sources)
            performer = performer or setup()
            work = Work(request, model=model_of(by.library, request), parts=parts_of(by.library, request),
                        targets=_targets(output, image, request))  # fmt: skip
            for saved in follow(performer.perform(work, StopSignal()), quiet=as_json):
                made.append(made_of(saved, setup.outputs))
                if not as_json:
                    say(made[-1]["file"])
        except WorkerLost:
            raise
        except EaselError as error:
            if len(images) == 1:
                raise
            problem = error
            sys.stderr.write(f"{image.name}: {error}\n")
            failed.append(image)
        told.append({"image": str(image), "request": request and request.model_dump(mode="json"), "pictures": made,
                     "problem": problem and problem.as_problem.model_dump()})  # fmt: skip
    if as_json:
        say(json.dumps({"upscaled": told}, indent=2))
    if failed:
        names = ", ".join(path.name for path in failed)
        raise EaselError(f"{len(failed)} of {len(images)} pictures failed: {names}", fix="see above for why")


def _pictures(given: Path) -> list[Path]:
    """Those in a folder by name, or the file. Raises InvalidRequest."""
    if not given.is_dir():
        return [given]
    found = pictures_in(given)
    if not found:
        raise InvalidRequest(f"There are no pictures in {str(given)!r}", fix="put PNG, JPEG, WebP or AVIF files there")
    return found


def _in_format(fields: dict[str, Any], output: Path | None) -> dict[str, Any]:
    """With the format that the ending of the output says. Raises InvalidRequest for one that is none."""
    if output is None or is_folder(output):
        return fields
    ending = output.suffix.lower()
    if ending not in FORMATS:
        raise InvalidRequest(
            f"Pictures are not written as {ending}", fix=f"use {', '.join(SUFFIXES.values())}", field="output"
        )
    return {**fields, "output": FORMATS[ending].value}


def _means(fields: Mapping[str, Any], folders: Folders) -> Means:
    """Raises UnknownName, ModelUnusable."""
    painting = dict(fields["picture"])
    names = {name: str(fields[name]) for name in NAMED if name in fields}
    default = str(GenerateRequest.model_fields["model"].default)
    model = str(painting.get("model", default))
    known, folders = _named({name for name in (*names.values(), model) if name not in RESAMPLERS}, folders)
    library = ModelLibrary(tuple(folders.with_models()))
    painting["model"] = known.get(model, model)
    if fields.get("strength"):
        info = library.usable(painting["model"])
        painting = {"width": info.native_size, "height": info.native_size, **painting}
    return Means(folders, library, {**fields, **{name: known.get(of, of) for name, of in names.items()},
                                    "picture": painting})  # fmt: skip


def _named(given: set[str], folders: Folders) -> tuple[dict[str, str], Folders]:
    """What is given as a path, by its name in the library; and the folders with it."""
    known: dict[str, str] = {}
    for name in sorted(given):
        if Path(name).exists():
            folders = replace(folders, models=(*folders.models, Path(name).absolute()))
            known[name] = pick(name, folders).info.name
    return known, folders


def _request(image: Path, by: Means, sources: SourceStore) -> UpscaleRequest:
    """Raises EaselError."""
    request = UpscaleRequest.model_validate({"source": sources.keep_file(image).id, **by.fields})
    check(by.library, sources, request)
    return request


def _targets(output: Path | None, image: Path, request: UpscaleRequest) -> tuple[Path, ...] | None:
    """None for the outputs folder, one FILE (replaced), or free names in a DIR, like the picture's own."""
    if output is None:
        return None
    if not is_folder(output):
        if request.pictures > 1:
            raise InvalidRequest(f"{request.pictures} pictures do not fit in one file", fix="give a folder with -o")
        return (output,)
    stems = [f"{image.stem}-noise-{level}" for level in request.noise_levels] or [image.stem]
    return tuple(_free(output, stem, SUFFIXES[request.output]) for stem in stems)


def _free(folder: Path, stem: str, suffix: str) -> Path:
    """Only a file that is named is ever replaced."""
    names: Iterator[str] = (f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}" for number in count(1))
    return next(folder / name for name in names if not (folder / name).exists())
