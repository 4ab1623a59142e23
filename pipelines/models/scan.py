"""Which models there are: the files and folders below the models folders, known from headers and configs alone.

No torch here: the page lists models within milliseconds, in a process that never loads one.
"""

import hashlib
import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Protocol

from pipelines.core import model as core_model
from pipelines.core.error import EaselError, ModelUnusable, Problem, UnknownName
from pipelines.core.model import Kind, ModelInfo, Seen, Task
from pipelines.core.presets import STARTER_MODELS
from pipelines.core.registry import fold, unknown
from pipelines.core.upscale import Resampler
from pipelines.models import enlargers, folder, layouts, reading, segmenters, single
from pipelines.models import recognise as recognise_module
from pipelines.models.folder import INDEX, as_text, states_of
from pipelines.models.pickles import looks_like_pickle
from pipelines.models.reading import growing, own_name, read_model
from pipelines.models.recipes import is_recipe
from pipelines.models.segmenters import CONFIG, is_segmenter
from pipelines.models.upscalers import FILE as NETWORKS

VAE_KINDS = frozenset({Kind.VAE, Kind.CHECKPOINT})
"""What may hold a VAE."""
log = logging.getLogger(__name__)

DEPTH = 8
"""How many folders deep a model may lie below a models folder."""
SUFFIXES = frozenset({".safetensors", ".ckpt", ".pt", ".pth", ".bin"})
TICK = 1.0
"""Seconds in which two changes of a folder may have one time."""
LOOK_SECONDS = 2.0
"""Between two glances at the folders' times."""

READERS = (core_model, reading, layouts, recognise_module, single, folder, enlargers, segmenters)
READ = (*(Path(str(module.__file__)) for module in READERS), NETWORKS)
READING = hashlib.sha256(b"".join(file.read_bytes() for file in READ)).hexdigest()[:12]
"""Tells one way of reading from another: what an older Easel found is looked at again."""


class Memory(Protocol):
    """What outlives a scan, so that the next one reads only what has changed."""

    def recall(self) -> Mapping[str, Seen]: ...
    def remember(self, seen: Mapping[str, Seen], gone: Iterable[str]) -> None: ...


class Forgetful:
    """Remembers nothing."""

    def recall(self) -> Mapping[str, Seen]:
        return {}

    def remember(self, seen: Mapping[str, Seen], gone: Iterable[str]) -> None:
        pass


class ModelLibrary:
    """The models in `folders`, earlier folders first; scanned when first asked, and again on `rescan`."""

    def __init__(self, folders: Sequence[Path], memory: Memory | None = None) -> None:
        self._folders = tuple(folders)
        self._memory: Memory = memory or Forgetful()
        self._lock, self._scanning = threading.Lock(), threading.RLock()
        self._models: dict[str, ModelInfo] | None = None
        self._places: dict[Path, int] = {}
        """The folders that were looked into, and when each had changed last."""
        self._unsettled = True
        self.revision = 0
        """Grows whenever the list changes, or what is known of a model."""

    def list(self) -> list[ModelInfo]:
        """All models, usable or not, by their names; starter models first, and those that only enlarge last of them."""
        return sorted(
            self._scanned().values(), key=lambda m: (not m.starter, m.task is Task.UPSCALING, m.name.casefold())
        )

    def find(self, name: str) -> ModelInfo:
        """The model called `name`. Raises UnknownName with the nearest."""
        models = self._scanned()
        if name in models:
            return models[name]
        alike = [m for m in models.values() if fold(m.name) == fold(name)]
        if len(alike) == 1:
            return alike[0]
        raise unknown(name, models, noun="model", field="model")

    def exactly(self, name: str) -> ModelInfo:
        """As `find`, but by the very name: for what cannot be taken back. Raises UnknownName."""
        models = self._scanned()
        if name not in models:
            raise unknown(name, models, noun="model", field="model")
        return models[name]

    def usable(self, name: str) -> ModelInfo:
        """The model called `name`, ready to paint with. Raises UnknownName, or ModelUnusable with its problem."""
        info = self.find(name)
        if info.problem is not None:
            p = info.problem
            raise ModelUnusable(p.problem, fix=p.fix, field=p.field, detail=p.detail)
        if not info.paints:
            enlarges = info.task is Task.UPSCALING
            raise ModelUnusable(
                f"{info.name!r} is no model to paint with ({info.task if enlarges else info.kind})",
                fix="choose it on the Upscale tab" if enlarges else "choose a checkpoint", field="model",
            )  # fmt: skip
        return info

    def usable_now(self, name: str) -> ModelInfo:
        """As `usable`, after another look at the folders if need be: it may have been put there a moment ago."""
        try:
            return self.usable(name)
        except (UnknownName, ModelUnusable):
            self.rescan()
            return self.usable(name)

    def lora(self, name: str) -> ModelInfo:
        """The LoRA called `name`. Raises UnknownName, ModelUnusable."""
        info = self.find(name)
        if info.problem is not None:
            p = info.problem
            raise ModelUnusable(p.problem, fix=p.fix, field="loras", detail=p.detail)
        if info.kind is not Kind.LORA:
            raise ModelUnusable(f"{info.name!r} is no LoRA ({info.kind})", fix="choose a LoRA", field="loras")
        return info

    def segmenter(self, name: str) -> ModelInfo:
        """The segmenter called `name`. Raises UnknownName, ModelUnusable."""
        info = self.find(name)
        if info.problem is not None:
            p = info.problem
            raise ModelUnusable(p.problem, fix=p.fix, field=p.field, detail=p.detail)
        if info.kind is not Kind.SEGMENTER:
            raise ModelUnusable(
                f"{info.name!r} finds nothing in pictures ({info.kind})", fix="choose a segmenter", field="model"
            )
        return info

    def upscaler(self, name: str) -> ModelInfo:
        """The upscaler called `name`: a network, or a diffusion model. Raises UnknownName, ModelUnusable."""
        try:
            info = self.find(name)
        except UnknownName:
            able = [one.name for one in self.list() if one.kind is Kind.UPSCALER or one.task is Task.UPSCALING]
            raise unknown(name, [*(one.value for one in Resampler), *able], noun="upscaler", field="upscaler") from None
        if info.problem is not None:
            p = info.problem
            raise ModelUnusable(p.problem, fix=p.fix, field="upscaler", detail=p.detail)
        if info.kind is not Kind.UPSCALER and info.task is not Task.UPSCALING:
            raise ModelUnusable(
                f"{info.name!r} does not enlarge pictures ({info.kind})", fix="choose an upscaler", field="upscaler"
            )
        return info

    def with_vae(self, info: ModelInfo, name: str) -> ModelInfo:
        """`info` with the VAE of another file, if one is named. Raises UnknownName, ModelUnusable."""
        if not name:
            return info
        return info.model_copy(update={"vae_from": self.vae(name).path})

    def vae(self, name: str) -> ModelInfo:
        """The VAE called `name`, or the model that has one. Raises UnknownName, ModelUnusable."""
        vae = self.find(name)
        whole = vae.problem is None and vae.task is not Task.UPSCALING
        if not whole or vae.kind not in VAE_KINDS or Kind.VAE in vae.lacks:
            raise ModelUnusable(f"{vae.name!r} has no VAE that can be used", fix="choose another VAE", field="vae")
        return vae

    def rescan(self) -> None:
        """Look at the folders again; a model added or removed meanwhile appears or goes."""
        with self._scanning:
            known = self._memory.recall()
            seen: dict[str, Seen] = {}
            places: dict[Path, int] = {}
            for path in model_paths(self._folders, places):
                key = str(path.absolute())
                seen[key] = _look(path, known.get(key))
            self._memory.remember(
                {key: one for key, one in seen.items() if known.get(key) != one}, known.keys() - seen.keys()
            )
            self._places = places
            self._unsettled = any(not one.stamp for one in seen.values()) or _just_changed(places.values())
            self._show(seen)

    def _show(self, seen: Mapping[str, Seen]) -> None:
        """From now on these are the models."""
        found: dict[str, ModelInfo] = {}
        for key, one in seen.items():
            if one.info is not None:
                name = _free_name(Path(key), found)
                found[name] = one.info.model_copy(update={"name": as_text(name)})
        whole = [info for info in found.values() if _lends(info)]
        models = {name: _completed(info, whole) for name, info in found.items()}
        models = {name: _gathered(info, models) if info.ingredients else info for name, info in models.items()}
        with self._lock:
            self.revision += models != self._models
            self._models = models

    def learnt(self) -> None:
        """More is known of a model than the list says: whoever shows it may look again."""
        with self._lock:
            self.revision += 1

    def begin(self) -> Callable[[], None]:
        """Show what is remembered at once, then look at the folders, and again whenever something changes there.

        In a thread of its own; call the result to end it. A drive that does not answer holds up nobody else.
        """
        remembered = {path: one for path, one in self._memory.recall().items() if one.stamp}
        starters = {str(path.absolute()): _look(path, None) for path in model_paths([STARTER_MODELS])}
        self._show({**starters, **remembered})
        ended = threading.Event()
        threading.Thread(target=self._watch, args=(ended,), name="models", daemon=True).start()
        return ended.set

    def glance(self) -> None:
        """Look at the folders again if something came to one of them or left it, or was still being written."""
        if self._unsettled or self._places != {place: _changed_at(place) for place in self._places}:
            self.rescan()

    def _watch(self, ended: threading.Event) -> None:
        while not ended.is_set():
            try:
                self.glance()
            except (EaselError, OSError) as error:
                log.warning("The models folders could not be looked at: %s", error)
            ended.wait(LOOK_SECONDS)

    def _scanned(self) -> dict[str, ModelInfo]:
        if self._models is None:
            self.rescan()
        with self._lock:
            return dict(self._models or {})


def _look(path: Path, known: Seen | None) -> Seen:
    """What is at `path`: as remembered while nothing there has changed."""
    stamp = f"{READING}{stamp_of(path)}"
    if known is not None and known.stamp == stamp:
        return known
    is_model = path.is_dir() or path.suffix.casefold() == ".safetensors" or is_recipe(path) or _is_pickle(path)
    info = read_model(path, own_name(path)) if is_model else None
    # A file that still grows may pause for a moment: it is looked at again, whatever its times say.
    settled = info is None or info.problem is None or info.problem.problem != growing(info.name)
    return Seen(stamp if settled else "", info)


def stamp_of(path: Path) -> str:
    """What changes whenever a file of the model does."""
    states = [(state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns) for _, state in states_of(path)]
    return "" if not states else hashlib.sha256(repr(sorted(states)).encode()).hexdigest()


def _is_pickle(path: Path) -> bool:
    try:
        return looks_like_pickle(path)
    except OSError:
        return False


def _changed_at(place: Path) -> int:
    """When something last came to a folder or left it; -1 for one that is gone."""
    try:
        return place.stat().st_mtime_ns
    except OSError:
        return -1


def _gathered(info: ModelInfo, models: Mapping[str, ModelInfo]) -> ModelInfo:
    """A recipe with its ingredients, told by name and size; their hashes are compared when it is mixed."""
    paths = []
    for wanted in info.ingredients:
        found = next((o for o in models.values() if o.name == wanted.name and o.size == wanted.size), None)
        if found is None:
            problem = Problem(
                problem=f"The recipe {info.name!r} wants {wanted.name!r}, which is not here as it was then",
                fix="put it into a models folder", field="model",
            )  # fmt: skip
            return info.model_copy(update={"problem": problem})
        paths.append(found)
    first = paths[0]
    told: dict[str, object] = {
        "family": first.family,
        "task": first.task,
        "native_size": first.native_size,
        "dtype": info.dtype or first.dtype,
    }
    told |= {"vae_from": first.vae_from, "text_from": first.text_from, "problem": first.problem}
    return info.model_copy(update={**told, "prediction": first.prediction, "made_of": tuple(one.path for one in paths)})


def _just_changed(times: Iterable[int]) -> bool:
    """Whether a folder may change once more without its time showing it: clocks of file systems tick slowly."""
    return any(0 <= time.time_ns() - changed < TICK * 10**9 for changed in times)


def _lends(info: ModelInfo) -> bool:
    """Whether its parts fit other models of its family; the starter models are a world of their own."""
    return info.kind is Kind.CHECKPOINT and not (info.lacks or info.problem or info.starter or info.ingredients)


def _completed(info: ModelInfo, whole: Iterable[ModelInfo]) -> ModelInfo:
    """`info` with what it lacks taken from the first whole model of its family; a problem if there is none."""
    if not info.lacks or info.problem:
        return info
    lender = next((other for other in whole if other.family is info.family), None)
    if lender:
        taken = {"vae_from": lender.path if Kind.VAE in info.lacks else ""}
        taken["text_from"] = lender.path if Kind.TEXT_ENCODER in info.lacks else ""
        return info.model_copy(update=taken)
    parts = " and ".join(info.lacks)
    problem = Problem(
        problem=f"The model {info.name!r} has no {parts} of its own",
        fix=f"put a whole {info.family} model into the models folder, too", field="model",
    )  # fmt: skip
    return info.model_copy(update={"problem": problem})


def model_paths(roots: Iterable[Path], places: dict[Path, int] | None = None) -> Iterator[Path]:
    """The model files and model folders below `roots`, each once however many links lead to it.

    A root may be a model itself. `places` takes down the folders that were looked into, and when each last changed.
    """
    seen: set[tuple[int, int]] = set()
    for root in roots:
        if root.is_file() and _new(root, seen):
            yield root
        if places is not None:
            places[root] = _changed_at(root)  # also one that is not there yet
        for at, below, files in os.walk(root, followlinks=True):
            here = Path(at)
            below[:] = sorted((name for name in below if not name.startswith(".")), key=str.casefold)
            if len(here.relative_to(root).parts) >= DEPTH or not _new(here, seen):
                below.clear()
                continue
            if places is not None:
                places[here] = _changed_at(here)
            if INDEX in files or (CONFIG in files and is_segmenter(here)):
                below.clear()  # a model's parts are no models
                yield here
                continue
            for name in sorted(files, key=str.casefold):
                file = here / name
                if (file.suffix.casefold() in SUFFIXES or is_recipe(file)) and _new(file, seen) and _is_file(file):
                    yield file


def _new(path: Path, seen: set[tuple[int, int]]) -> bool:
    """Whether `path` is there and not in `seen`; it is, from now on."""
    try:
        state = path.stat()
    except OSError:
        return False
    key = (state.st_dev, state.st_ino)
    if key in seen:
        return False
    seen.add(key)
    return True


def _is_file(path: Path) -> bool:
    """Whether it is a file, and no pipe, which would hang whoever opens it."""
    return stat.S_ISREG(path.stat().st_mode)


def _free_name(path: Path, taken: dict[str, ModelInfo]) -> str:
    """The file's or folder's name; `parent/name` when another model has it; numbered when that is taken, too."""
    own, parent = as_text(own_name(path)), as_text(path.parent.name)
    candidates = chain([own, f"{parent}/{own}"], (f"{own} {number}" for number in count(2)))
    return next(name for name in candidates if name not in taken)
