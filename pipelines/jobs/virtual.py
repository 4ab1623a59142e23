"""Recipes among the models, mixed when somebody wants to paint with them."""

import hashlib
import os
import shutil
import weakref
from collections import OrderedDict
from pathlib import Path

from pipelines.core.error import Conflict
from pipelines.core.model import ModelInfo
from pipelines.jobs.hashes import NoBook
from pipelines.jobs.merging import merge, one_thread
from pipelines.jobs.orders import Order
from pipelines.models.hashing import Hashing, read_through
from pipelines.models.lora.strength import Strength
from pipelines.models.reading import read_model
from pipelines.models.recipes import recipe_at
from pipelines.models.scan import stamp_of
from pipelines.storage.files import OURS

KEPT = 2
"""Mixes that are kept, the ones used last."""


class Realiser:
    """Mixes recipes into files of its own, in a hidden folder in `place`; the next start of a studio sweeps it."""

    def __init__(self, place: Path) -> None:
        self._folder = place / f"{OURS}{os.getpid()}-mixed"
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)  # at the end of this process, too
        self._made: OrderedDict[str, ModelInfo] = OrderedDict()
        self._hashes: dict[str, str] = {}

    def real(self, info: ModelInfo) -> ModelInfo:
        """`info` itself; of a recipe, the model that it makes. Raises what `merge` does, and Conflict for files that
        are no longer those of the recipe.
        """
        if not info.made_of:
            return info
        stamps = "\n".join(stamp_of(Path(path)) for path in (info.path, *info.made_of))
        key = hashlib.sha256(stamps.encode()).hexdigest()
        if key not in self._made or not Path(self._made[key].path).exists():
            self._made[key] = self._mixed(info, self._folder / f"{key[:16]}.safetensors")
        self._made.move_to_end(key)
        while len(self._made) > KEPT:
            _, oldest = self._made.popitem(last=False)
            Path(oldest.path).unlink(missing_ok=True)
        return self._made[key].model_copy(
            update={"name": info.name, "vae_from": info.vae_from, "text_from": info.text_from}
        )

    def _mixed(self, info: ModelInfo, target: Path) -> ModelInfo:
        recipe = recipe_at(Path(info.path))
        pairs = list(zip(info.made_of, info.ingredients, strict=True))
        files = iter([read_model(Path(path), wanted.name) for path, wanted in pairs])
        for path, wanted in pairs:
            if self._hash(Path(path)) != wanted.sha256:
                raise Conflict(
                    f"{wanted.name!r} is not the file that the recipe {info.name!r} was made with",
                    fix="put that one back, or mix anew", field="model",
                )  # fmt: skip
        models = tuple(next(files) for _ in recipe.models)
        vae = next(files) if recipe.vae_from else None
        loras = tuple((next(files), Strength(use.unet, use.text, use.blocks)) for use in recipe.loras)
        order = Order(recipe.mix, models, target, vae, overwrite=True, loras=loras, recipe=recipe)
        with one_thread():
            for _ in merge(order, NoBook()):
                pass
        return read_model(target, info.name)

    def _hash(self, path: Path) -> str:
        """Worked out once for each state of a file."""
        stamp = stamp_of(path)
        if stamp not in self._hashes:
            hashing = Hashing()
            for _ in read_through(path, hashing):
                pass
            self._hashes[stamp] = hashing.found.sha256
        return self._hashes[stamp]
