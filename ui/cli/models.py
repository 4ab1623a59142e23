"""`app.py models list`, `show`, `verify`, `convert` and `download`."""

import json
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.core.error import InvalidRequest, StorageProblem
from pipelines.core.event import Hashed, Noted, Worked
from pipelines.core.kinds import ConvertRequest
from pipelines.core.model import ModelInfo
from pipelines.models.headers import SUFFIX
from pipelines.models.hub import cached
from pipelines.models.reading import size_on_disk
from pipelines.models.scan import SUFFIXES, ModelLibrary
from ui.cli.options import Folders
from ui.cli.progress import byte_bar


def print_list(folders: Folders, *, as_json: bool) -> None:
    """A table for people, or JSON for programs."""
    found = folders.library().list()
    if as_json:
        _print_json([info.model_dump() for info in found])
        return
    table = Table("Name", "Kind", "Family", "Precision", "Size", "State", box=None, pad_edge=False)
    for info in found:
        size = f"{info.size / 1e6:,.0f} MB"
        table.add_row(*_cells(info.name, _kind(info), info.family or "", info.dtype, size, _state(info)))
    Console().print(table)


def print_one(name_or_path: str, folders: Folders, *, as_json: bool) -> None:
    """Everything known about one model. Raises UnknownName with the nearest."""
    found = pick(name_or_path, folders).info
    if as_json:
        _print_json(found.model_dump())
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for key, value in found.model_dump(exclude={"problem"}).items():
        table.add_row(*_cells(key, str(value)))
    table.add_row(*_cells("state", _state(found)))
    Console().print(table)


def verify_one(name_or_path: str, folders: Folders, *, as_json: bool) -> None:
    """Read every number of a model. Raises ModelUnusable, saying what is wrong with it."""
    # Imported here: torch is needed for this and for nothing else a person asks of models.
    from pipelines.models.verify import verify  # noqa: PLC0415

    info, found = pick(name_or_path, folders).info, []
    with byte_bar(info.name, quiet=as_json) as tell:
        for event in verify(info):
            if isinstance(event, Worked):
                tell(event)
            else:
                found.append(event)
    warnings = [event.text for event in found if isinstance(event, Noted)]
    if as_json:
        hashes = [event.model_dump(exclude={"type"}) for event in found if isinstance(event, Hashed)]
        _print_json({"model": info.name, "sound": True, "warnings": warnings, "hashes": hashes[0] if hashes else None})
        return
    console = Console(highlight=False, soft_wrap=True)
    for warning in warnings:
        console.print(f"Note: {info.name} {warning}", markup=False)
    console.print(f"{info.name} is sound", markup=False)


@dataclass(frozen=True)
class Wanted:
    """What a model shall become, as typed."""

    output: Path
    dtype: str | None
    pruned: bool


def convert_one(name_or_path: str, folders: Folders, wanted: Wanted, *, as_json: bool) -> None:
    """Write a model in another form. Raises Conflict, InvalidRequest, ModelUnusable, StorageProblem."""
    ending = wanted.output.suffix
    if ending.lower() in SUFFIXES and ending != SUFFIX:  # else it would become a folder of that name
        raise InvalidRequest(
            f"Models are written as {SUFFIX}, not {ending}", fix=f"use -o {wanted.output.with_suffix(SUFFIX).name}"
        )
    from pipelines.jobs.converting import Form, convert  # noqa: PLC0415, see above

    info = pick(name_or_path, folders).info
    settings = {"dtype": wanted.dtype, "pruned": wanted.pruned}
    asked = ConvertRequest.model_validate({"model": info.name, "name": wanted.output.stem, **settings})
    made = wanted.output.absolute()
    try:
        with byte_bar(made.name, quiet=as_json) as tell:
            for event in convert(info, Form(asked.dtype, pruned=asked.pruned), made):
                tell(event)
    except OSError as error:
        raise StorageProblem(
            f"{str(wanted.output)!r} could not be written: {error.strerror}", fix="choose another place with -o"
        ) from error
    if as_json:
        _print_json({"model": info.name, "file": str(made), "size": size_on_disk(made)})
    else:
        Console(highlight=False, soft_wrap=True).print(str(made), markup=False)


@dataclass(frozen=True)
class Asked:
    """What to download, as typed."""

    source: str
    name: str | None
    sha256: str | None


def download_one(asked: Asked, folders: Folders, *, as_json: bool) -> None:
    """Fetch a model into the data folder. Raises EaselError."""
    from pipelines.jobs.downloading import Web, download  # noqa: PLC0415, only this command needs the network

    web, target = Web(), None
    wanted = web.find(asked.source, asked.name)
    with byte_bar(wanted.name, quiet=as_json) as tell:
        for event in download(wanted, folders.data.models, web, asked.sha256):
            if isinstance(event, Worked):
                tell(event)
            else:
                target = event
    if as_json:
        _print_json({"source": asked.source, "file": str(target)})
    else:
        Console(highlight=False, soft_wrap=True).print(str(target), markup=False)


@dataclass(frozen=True)
class Pick:
    """A model somebody named, by name or by path."""

    info: ModelInfo
    library: ModelLibrary
    folders: tuple[Path, ...]
    """The models folders it was found in, for whoever looks again in another process."""

    @property
    def usable(self) -> ModelInfo:
        """Raises ModelUnusable with its problem."""
        return self.library.usable(self.info.name)


def pick(name_or_path: str, folders: Folders) -> Pick:
    """The model meant: one of the library by its name, else a file or folder by its path, or `author/model` in Hugging
    Face's cache. Raises UnknownName.
    """
    places = tuple(folders.with_models())
    library = ModelLibrary(places)
    path = Path(name_or_path)
    if not _exists(path) and (snapshot := cached(name_or_path)):
        path = snapshot
    if any(info.name == name_or_path for info in library.list()) or not _exists(path):
        return Pick(library.find(name_or_path), library, places)
    places = (*places, path.absolute())
    library = ModelLibrary(places)
    here = (info for info in library.list() if Path(info.path).samefile(path))
    return Pick(next(here, None) or library.find(name_or_path), library, places)


def _exists(path: Path) -> bool:
    """Whether something is there, as far as may be seen; a name too long for any file is nowhere."""
    try:
        return path.exists()
    except OSError:
        return False


def _cells(*values: str) -> list[Text]:
    """`values` as they are: a name may hold [what looks like] markup."""
    return [Text(value) for value in values]


def _kind(info: ModelInfo) -> str:
    return f"{info.kind} ({info.detail})" if info.detail else info.kind


def _state(info: ModelInfo) -> str:
    return f"{info.problem.problem}; {info.problem.fix}" if info.problem else "ready"


def _print_json(value: object) -> None:
    Console(highlight=False, soft_wrap=True).print(json.dumps(value, indent=2), markup=False)
