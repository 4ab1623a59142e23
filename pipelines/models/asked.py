"""The models that a request names, as they are now: found by whoever sends the work. No torch here."""

from collections.abc import Callable

from pipelines.core.desk import AddLorasRequest, CompareRequest, ExtractRequest, MergeRequest, Mixture, PreviewRequest
from pipelines.core.error import ModelUnusable, UnknownName
from pipelines.core.inpaint import InpaintRequest
from pipelines.core.kinds import ConvertRequest, LoadRequest, Request, VerifyRequest
from pipelines.core.model import PAINTS, Kind, ModelInfo
from pipelines.core.request import LATENT, GenerateRequest
from pipelines.core.segment import SegmentRequest
from pipelines.core.sheet import SheetRequest
from pipelines.core.upscale import RESAMPLERS, UpscaleRequest
from pipelines.models.scan import ModelLibrary

Parts = tuple[ModelInfo, ...]


def model_of(library: ModelLibrary, request: Request) -> ModelInfo | None:  # noqa: PLR0911, one for each kind
    """The model a request is about; None for one that only has parts. Raises UnknownName, ModelUnusable."""
    match request:
        case GenerateRequest():
            return library.with_vae(library.usable_now(request.model), request.vae)
        case InpaintRequest(picture=picture):
            return model_of(library, picture)
        case UpscaleRequest(picture=picture, strength=strength) if strength:
            return model_of(library, picture)
        case PreviewRequest():
            return as_one(request.mixture, parts(library, request.mixture))
        case LoadRequest():
            return library.usable_now(request.model)
        case SegmentRequest():
            return _now(library, library.segmenter, request.model)
        case VerifyRequest() | ConvertRequest():
            library.rescan()
            return library.find(request.model)
        case _:
            return None


def parts_of(library: ModelLibrary, request: Request) -> Parts:
    """What a request names besides its model, in its order.

    Raises UnknownName, or ModelUnusable for what cannot be what it is named as.
    """
    found: Parts = ()
    match request:
        case GenerateRequest(loras=loras, hires=hires):
            found = tuple(_now(library, library.lora, one.name) for one in loras)
            if hires is not None and hires.upscaler not in {*RESAMPLERS, LATENT}:
                found = (*found, _now(library, library.upscaler, hires.upscaler))
        case AddLorasRequest(loras=loras):
            found = tuple(_now(library, library.lora, one.name) for one in loras)
        case InpaintRequest(picture=picture):
            found = parts_of(library, picture)
        case UpscaleRequest(upscalers=names, picture=picture, strength=strength):
            upscalers = tuple(_now(library, library.upscaler, name) for name in names)
            found = (*upscalers, *(parts_of(library, picture) if strength else ()))
        case PreviewRequest(mixture=mixture) | MergeRequest(mixture=mixture):
            found = parts(library, mixture)
        case SheetRequest(cells=cells):
            found = tuple(_part(library, name) for name in dict.fromkeys(n for c in cells for n in c.mixture.parts))
        case ExtractRequest(model=model, base=other) | CompareRequest(model=model, other=other):
            found = (library.usable_now(model), library.usable_now(other))
    return found


def parts(library: ModelLibrary, mixture: Mixture) -> Parts:
    """The files of a mixture, in the order of `Mixture.parts`. Raises as `parts_of`."""
    models = tuple(library.usable_now(name) for name in mixture.models)
    vae = (library.vae(mixture.vae_from),) if mixture.vae_from else ()
    return (*models, *vae, *(_now(library, library.lora, one.name) for one in mixture.loras))


def _part(library: ModelLibrary, name: str) -> ModelInfo:
    """Whatever may go into a mixture."""
    info = library.find(name)
    if info.kind is Kind.LORA:
        return library.lora(name)
    return library.usable_now(name) if info.kind in PAINTS else library.vae(name)


def _now(library: ModelLibrary, find: Callable[[str], ModelInfo], name: str) -> ModelInfo:
    """After another look at the folders if need be: it may have been put there a moment ago."""
    try:
        return find(name)
    except (UnknownName, ModelUnusable):
        library.rescan()
        return find(name)


def as_one(mixture: Mixture, parts: Parts) -> ModelInfo:
    """What a mixture of `parts` (in the order of `Mixture.parts`) is to paint with: a model like its first."""
    return parts[0].model_copy(
        update={
            "name": mixture.name, "made_of": tuple(one.path for one in parts), "ingredients": (), "starter": False,
        }
    )  # fmt: skip
