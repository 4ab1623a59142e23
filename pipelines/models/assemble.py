"""Networks whose weights are views into files: built without memory, filled without a copy."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel, UNet2DModel, VQModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from pipelines.models.architecture import Part
from pipelines.models.blueprint import Blueprint
from pipelines.models.enlargers import EnlargerPlan, Way
from pipelines.models.names import View
from pipelines.models.recognise import MARKS
from pipelines.models.tensors import Tensors

Make = Callable[[Part, Tensors], nn.Module]
"""Builds a network. Raises Misfit."""
VIEWS: Mapping[View, Callable[[Tensor], Tensor]] = {
    View.WHOLE: lambda tensor: tensor,
    View.MATRIX: lambda tensor: tensor.flatten(1),
    View.TURNED: lambda tensor: tensor.T,
    View.QUERY: lambda tensor: tensor.chunk(3)[0],
    View.KEY: lambda tensor: tensor.chunk(3)[1],
    View.VALUE: lambda tensor: tensor.chunk(3)[2],
}


class Misfit(ValueError):
    """A file's tensors do not fill the network they are for; the text says how, after the part's name."""


def unet_of(part: Part, tensors: Tensors) -> UNet2DConditionModel:
    """The UNet of `part`. Raises Misfit, also for tensors that have no place in it: it would paint as another."""
    unet = filled(lambda: UNet2DConditionModel.from_config(dict(part.config)), part, tensors)
    used = {origin.name for name in unet.state_dict() if (origin := part.origin(name))}
    spare = sorted(name for name in tensors.below(part.root) if name not in used and name not in MARKS)
    if spare:
        raise Misfit(f"holds {len(spare)} tensors that have no place in it, {spare[0]} the first of them")
    return unet


def vae_of(part: Part, tensors: Tensors) -> AutoencoderKL:
    """The autoencoder of `part`. Raises Misfit."""
    return filled(lambda: AutoencoderKL.from_config(dict(part.config)), part, tensors)


def plain_unet_of(part: Part, tensors: Tensors) -> UNet2DModel:
    """The UNet of `part`, which reads no words. Raises Misfit."""
    return filled(lambda: UNet2DModel.from_config(dict(part.config)), part, tensors)


def vq_of(part: Part, tensors: Tensors) -> VQModel:
    """The autoencoder of `part`, which keeps to a codebook. Raises Misfit."""
    return filled(lambda: VQModel.from_config(dict(part.config)), part, tensors)


def makers_of(blueprint: Blueprint) -> tuple[Make, Make]:
    """What builds its UNet, and its VAE."""
    plain = isinstance(blueprint, EnlargerPlan) and blueprint.way is Way.PLAIN
    return (plain_unet_of, vq_of) if plain else (unet_of, vae_of)


def text_encoder_of(part: Part, tensors: Tensors, *, projects: bool) -> CLIPTextModel:
    """The text tower of `part`. Raises Misfit."""
    kind = CLIPTextModelWithProjection if projects else CLIPTextModel
    return filled(lambda: kind(CLIPTextConfig(**part.config)), part, tensors)


def filled(make: Callable[[], Any], part: Part, tensors: Tensors) -> Any:
    """The network that `make` makes, in evaluation mode, with `tensors` as its weights. Raises Misfit."""
    with init_empty_weights():  # buffers stay real: `position_ids` is in no file
        network: nn.Module = make()
    state, missing = {}, []
    for name, empty in network.state_dict().items():
        origin = part.origin(name.removeprefix("text_model."))
        if origin is None or origin.name not in tensors:
            missing.append(origin.name if origin else name)
            continue
        state[name] = VIEWS[origin.view](tensors[origin.name])
        if state[name].shape != empty.shape:
            raise Misfit(f"has {origin.name} in the shape {_sides(state[name])} where {_sides(empty)} belongs")
    if missing:
        raise Misfit(f"lacks {len(missing)} tensors, {min(missing)} the first of them")
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)


def refill(network: nn.Module, part: Part, tensors: Tensors, changed: Collection[str]) -> None:
    """Put those of `tensors` that have `changed` into a network again, wherever and in whatever format it has them."""
    for name, weight in network.named_parameters():
        origin = part.origin(name.removeprefix("text_model."))
        if origin is not None and origin.name in changed:
            now = VIEWS[origin.view](tensors[origin.name])
            if weight.data_ptr() != now.data_ptr():  # else it is a view of this very tensor
                weight.data.copy_(now)


def _sides(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "none"
