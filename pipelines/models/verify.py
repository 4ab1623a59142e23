"""Whether a model is sound through and through: every number is read, and nothing is missing or left over."""

from collections.abc import Iterator
from pathlib import Path

import torch

from pipelines.core.error import ModelUnusable
from pipelines.core.event import Hashed, Noted, Worked
from pipelines.core.model import PAINTS, Kind, ModelInfo
from pipelines.models.assemble import Misfit, makers_of, text_encoder_of
from pipelines.models.blueprint import Blueprint, Network
from pipelines.models.folder import files_of
from pipelines.models.hashing import Hashing
from pipelines.models.headers import Header
from pipelines.models.layouts import DENOISERS, ROOTS
from pipelines.models.lora.file import read_lora
from pipelines.models.opening import blueprint_of
from pipelines.models.recognise import find
from pipelines.models.single import SingleFile, read_single
from pipelines.models.tensors import OpenTensors

AGAIN = "download it again"
TEXT_PLACES = ("cond_stage_model.", "conditioner.", "text_encoders.")
"""Where text encoders stand: SD 1.x and 2.x, SDXL, SD 3. A model has one of them."""
NUMBERS_AT_ONCE = 16 * 1024 * 1024
BYTES_AT_ONCE = 32 * 1024 * 1024
"""Also how often it is told how far the reading is."""


def verify(info: ModelInfo) -> Iterator[Worked | Noted | Hashed]:
    """Read all of `info`: how far it is, what a person should know, at the end the hashes of a single file.

    Raises ModelUnusable for what must not be used: damaged, half there, or with numbers that are none.
    """
    if info.problem is not None:
        p = info.problem
        raise ModelUnusable(p.problem, fix=p.fix, field=p.field, detail=p.detail)
    if info.kind in PAINTS:
        _check_parts(info, blueprint_of(info))
    done = 0
    for file in _files(info):
        single = read_single(file, info.name)
        for warning in _warnings(single.header, info):
            yield Noted(text=warning)
        if info.kind is Kind.LORA:
            read_lora(file, info.name)
        hashing = Hashing()
        for read in _check_numbers(single, hashing):
            done += read
            yield Worked(done=done, total=max(info.size, done))
        if Path(info.path).is_file():
            yield hashing.found


def _check_parts(info: ModelInfo, blueprint: Blueprint) -> None:
    """Every network can be built, which needs no memory."""

    def opened(network: Network) -> OpenTensors:
        return OpenTensors(network.file, network.header)

    try:
        make_unet, make_vae = makers_of(blueprint)
        make_unet(blueprint.unet.part, opened(blueprint.unet))
        make_vae(blueprint.vae.part, opened(blueprint.vae))
        for tower in blueprint.towers:
            text_encoder_of(tower.network.part, opened(tower.network), projects=tower.projects)
    except Misfit as error:
        raise ModelUnusable(
            f"The model {info.name!r} is not whole: a part {error}", fix=AGAIN, field="model"
        ) from error


def _files(info: ModelInfo) -> list[Path]:
    path = Path(info.path)
    if path.is_file():
        return [path]
    return sorted(file for file, _ in files_of(path) if file.suffix == ".safetensors")


def _warnings(header: Header, info: ModelInfo) -> Iterator[str]:
    denoisers = [found for root in ROOTS if root and (found := find(DENOISERS, header.tensors, [root]))]
    texts = {root for root in TEXT_PLACES if any(name.startswith(root) for name in header.tensors)}
    if len(denoisers) > 1 or len(texts) > 1:
        raise ModelUnusable(
            f"The file of {info.name!r} holds parts of two models", fix="use one of them", field="model"
        )
    copies = sum(name.startswith("model_ema.") for name in header.tensors)
    if copies:
        yield f"holds {copies} tensors for training only; a pruned copy is smaller and paints the same"
    if not header.tensors:
        raise ModelUnusable(f"The file of {info.name!r} holds nothing", fix=AGAIN, field="model")


def _check_numbers(single: SingleFile, hashing: Hashing) -> Iterator[int]:
    """Bytes read, now and then; all of them go to `hashing`. Raises ModelUnusable for a number that is none."""
    entries = single.header.tensors
    tensors, unsaid = OpenTensors(single.path, single.header), 0
    with single.path.open("rb") as file:
        hashing.head(file.read(min((entry.start for entry in entries.values()), default=single.header.size)))
    for name, entry in entries.items():  # in the order of their bytes
        tensor = tensors[name].reshape(-1)
        hashing.weights(tensor.view(torch.uint8).numpy().data)
        unsaid += entry.end - entry.start
        if not _all_finite(tensor):
            raise ModelUnusable(
                f"The file of {single.name!r} holds numbers that are none, in {name}", fix="use another", field="model"
            )
        if unsaid > BYTES_AT_ONCE:
            yield unsaid
            unsaid = 0
    yield unsaid


def _all_finite(tensor: torch.Tensor) -> bool:
    if not tensor.is_floating_point():
        return True
    parts = torch.split(tensor, NUMBERS_AT_ONCE)
    return all(torch.isfinite(part.float() if part.dtype.itemsize == 1 else part).all() for part in parts)
