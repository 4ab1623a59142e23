"""`app.py generate --image FOLDER`: every picture of a folder painted over; what can be refused is refused before the
first."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.core.error import EaselError, InvalidRequest, WorkerLost
from pipelines.core.inpaint import InpaintRequest
from pipelines.core.request import GenerateRequest
from pipelines.core.stop import StopSignal
from pipelines.jobs.worker import Performer, Work
from pipelines.storage.facts import read_picture
from pipelines.storage.infotext import restore
from pipelines.storage.pixels import read_mask
from pipelines.storage.sources import SourceStore
from ui.cli.generate import (
    Means,
    Surroundings,
    check_writable,
    follow,
    is_folder,
    made_of,
    means,
    named_model,
    ready,
    say,
    setup_of,
    targets,
)
from ui.cli.over import Over

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".avif"})
OWN = (
    "prompt", "negative_prompt", "model", "vae", "loras", "sampler", "schedule", "steps", "cfg", "seed", "clip_skip",
)  # fmt: skip
"""What is taken of a picture's own settings: how it was painted, and not how large."""


@dataclass(frozen=True)
class Item:
    """A picture that is to be painted over, and what is to be done."""

    image: Path
    work: Work

    @property
    def request(self) -> InpaintRequest:
        assert isinstance(self.work.request, InpaintRequest)
        return self.work.request


def run(fields: Mapping[str, Any], around: Surroundings) -> None:
    """Paint over all of them, and say where the results are. Raises EaselError, at the end for those that failed."""
    overs, bare = _pairs(around.over)
    if len(overs) > 1 and around.output is not None and not is_folder(around.output):
        raise InvalidRequest(f"{len(overs)} pictures do not fit in one file", fix="give a folder with -o")
    by, items = _prepared(fields, around, overs)
    setup = setup_of(by, around)
    check_writable(_folder_of(around.output) or setup.outputs)
    if bare:
        sys.stderr.write(f"{_count(bare)} no mask and {_be(bare)} left out: {_names(bare)}\n")
    performer, told, failed = setup(), [], []
    for item in items:
        made, problem = _painted(item, performer, around)
        told.append({"image": str(item.image), "request": item.request.model_dump(mode="json"), "pictures": made,
                     "problem": problem and problem.as_problem.model_dump()})  # fmt: skip
        if problem is not None:
            sys.stderr.write(f"{item.image.name}: {problem}\n")
            failed.append(item.image)
    if around.as_json:
        say(json.dumps({"painted": told, "left_out": [str(path) for path in bare]}, indent=2))
    if failed:
        raise EaselError(f"{len(failed)} of {len(items)} pictures failed: {_names(failed)}", fix="see above for why")


def _painted(item: Item, performer: Performer, around: Surroundings) -> tuple[list[dict[str, Any]], EaselError | None]:
    """What was made of it, and why it is not all. Raises WorkerLost: what follows would fail, too."""
    made: list[dict[str, Any]] = []
    work = replace(item.work, targets=targets(around.output, item.request.picture))
    try:
        for saved in follow(performer.perform(work, StopSignal()), quiet=around.as_json):
            made.append(made_of(saved, around.folders.data.outputs))
            if not around.as_json:
                say(made[-1]["file"])
    except WorkerLost:
        raise
    except EaselError as error:
        return made, error
    return made, None


def _pairs(over: Over) -> tuple[list[Over], list[Path]]:
    """Each picture with its mask, in the order of their names; then those that have none. Raises InvalidRequest."""
    if over.image is None:
        raise InvalidRequest("There is no picture whose settings could be taken", fix="name it with --image")
    images = pictures_in(over.image) if over.image.is_dir() else [over.image]
    if not images:
        raise InvalidRequest(
            f"There are no pictures in {str(over.image)!r}", fix="put PNG, JPEG, WebP or AVIF files there"
        )
    if over.mask is None or not over.mask.is_dir():
        return [replace(over, image=image) for image in images], []
    masks: dict[str, Path] = {}
    for mask in pictures_in(over.mask):
        if (other := masks.setdefault(mask.stem, mask)) is not mask:
            raise InvalidRequest(
                f"{other.name} and {mask.name} are masks of the same picture", fix="take one away", field="mask"
            )
    pairs = [replace(over, image=image, mask=masks[image.stem]) for image in images if image.stem in masks]
    if not pairs:
        raise InvalidRequest(
            f"No picture has a mask in {str(over.mask)!r}", fix="call the masks as the pictures: house.png, house.jpg",
            field="mask",
        )  # fmt: skip
    return pairs, [image for image in images if image.stem not in masks]


def pictures_in(folder: Path) -> list[Path]:
    """The pictures in `folder`, by name. Raises InvalidRequest."""
    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and not path.name.startswith(".")]
    except OSError as error:
        raise InvalidRequest(f"{str(folder)!r} cannot be read: {error.strerror}", fix="allow reading it") from error
    return sorted(found, key=lambda path: path.name)


def _prepared(fields: Mapping[str, Any], around: Surroundings, overs: list[Over]) -> tuple[Means, list[Item]]:
    """What is to be done for each. Raises EaselError that names every picture at fault."""
    sources = SourceStore(around.folders.data.sources)
    used: dict[str, Means] = {}
    items: list[Item] = []
    problems: list[tuple[Path, EaselError]] = []
    if not around.own_settings:  # what is wrong with the options is wrong for all
        used[named_model(fields)] = means(named_model(fields), around)
    for over in overs:
        assert over.image is not None
        try:
            items.append(Item(over.image, _work(fields, around, over, sources, used)))
        except EaselError as error:
            problems.append((over.image, error))
    if problems and (len(overs) == 1 or (not items and len({str(error) for _, error in problems}) == 1)):
        raise problems[0][1]
    if problems:
        said = ", ".join(f"{path.name} ({error.problem.removeprefix(f'{path.name} ')})" for path, error in problems)
        raise InvalidRequest(
            f"{len(problems)} of {len(overs)} pictures cannot be painted over: {said}",
            fix="put them right or take them away; nothing was painted",
        )
    return next(iter(used.values())), items


def _work(
    fields: Mapping[str, Any], around: Surroundings, over: Over, sources: SourceStore, used: dict[str, Means]
) -> Work:
    """What is to be done with one picture; `used`: the models of those before. Raises EaselError."""
    assert over.image is not None
    mine = {**_own_settings(over.image), **fields} if around.own_settings else dict(fields)
    if around.own_settings and "prompt" not in mine:
        raise InvalidRequest(
            f"{over.image.name} carries no settings of its own", fix="say what to paint", field="prompt"
        )
    _check_mask(over.mask, sources)
    model = named_model(mine)
    if model not in used:
        used[model] = means(model, around)
    work = ready(mine, over, used[model], sources)
    assert isinstance(work.request, InpaintRequest)
    source = sources.facts(work.request.source)
    for mask in work.request.masks:
        if not read_mask(sources.path_of(mask), (source.width, source.height)).any() and not work.request.invert:
            raise InvalidRequest("The mask is empty", fix="paint over what shall change", field="mask")
    return work


def _check_mask(mask: Path | None, sources: SourceStore) -> None:
    """Raises InvalidRequest for a file that is none: masks are often called as their pictures are."""
    try:
        if mask is not None:
            sources.keep_file(mask)
    except EaselError as error:
        raise InvalidRequest(f"its mask {error.problem}", fix=error.fix, field="mask") from error


def _folder_of(output: Path | None) -> Path | None:
    """The folder that `-o` writes in."""
    return output if output is None or is_folder(output) else output.absolute().parent


def _own_settings(image: Path) -> dict[str, Any]:
    """Of the request in it, else of the text that other programs leave; nothing where there is neither."""
    facts = read_picture(image)
    if facts.request is None:
        told: Mapping[str, Any] = restore(facts.infotext).fields if facts.infotext else {}
    else:
        painted: GenerateRequest = facts.request.painted
        told = painted.model_dump(mode="json", include=set(OWN)) | {"seed": facts.seed}
    return {name: told[name] for name in OWN if name in told}


def _names(paths: list[Path]) -> str:
    return ", ".join(path.name for path in paths)


def _count(paths: list[Path]) -> str:
    return "1 picture has" if len(paths) == 1 else f"{len(paths)} pictures have"


def _be(paths: list[Path]) -> str:
    return "is" if len(paths) == 1 else "are"
