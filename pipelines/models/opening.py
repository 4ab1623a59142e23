"""From what the scan knows of a model to its blueprint, read from its files as they are now. No torch here."""

from dataclasses import replace
from pathlib import Path

from pipelines.core.error import ModelUnusable
from pipelines.core.model import Family, ModelInfo
from pipelines.models.architecture import architectures
from pipelines.models.blueprint import Blueprint, Network
from pipelines.models.enlargers import EnlargerPlan, reader_of
from pipelines.models.single import SingleFile, read_single


def blueprint_of(info: ModelInfo) -> Blueprint:
    """How to build `info`. Raises ModelUnusable."""
    # A recipe makes a model that is built like its first.
    path, vae = Path(info.made_of[0] if info.made_of else info.path), None
    if info.vae_from and info.family:
        vae = _vae_at(Path(info.vae_from), info.family)
    if path.is_dir():
        blueprint = reader_of(path, info.name).blueprint()
        return replace(blueprint, vae=vae) if vae else blueprint
    return completed(read_single(path, info.name), info, vae)


def enlarger_of(info: ModelInfo) -> EnlargerPlan:
    """How to build `info`, which enlarges pictures. Raises ModelUnusable."""
    plan = blueprint_of(info)
    if not isinstance(plan, EnlargerPlan):
        raise ModelUnusable(f"{info.name!r} does not enlarge pictures", fix="choose an upscaler", field="upscaler")
    return plan


def completed(single: SingleFile, info: ModelInfo, vae: Network | None = None) -> Blueprint:
    """How to build what is in a single file, with the parts that `info` takes from elsewhere. Raises ModelUnusable."""
    lender = Path(info.text_from) if info.text_from else None
    return single.blueprint(vae=vae, towers=_whole_at(lender).towers if lender else None)


def files_behind(info: ModelInfo) -> tuple[Path, ...]:
    """The files and folders that `info` is built from."""
    return tuple(Path(path) for path in (info.path, info.vae_from, info.text_from, *info.made_of) if path)


def _whole_at(path: Path) -> Blueprint:
    """A model that lends its parts."""
    return reader_of(path, path.name).blueprint() if path.is_dir() else read_single(path, path.stem).blueprint()


def _vae_at(path: Path, family: Family) -> Network:
    """The VAE in a file or folder, with the numbers of `family`."""
    if path.is_dir():
        return reader_of(path, path.name).blueprint().vae
    return read_single(path, path.stem).vae_for(architectures()[family])
