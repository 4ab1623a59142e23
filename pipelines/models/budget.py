"""What a job needs of a device's memory, told from headers before it runs. No torch here: the page asks, too.

Weights are counted to the byte. What the networks work with besides is estimated from measurements at full size
(`tests/bench/RESULTS.md`), on the cautious side.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pipelines.core.model import ModelInfo
from pipelines.core.placement import Phase, Placement
from pipelines.core.request import GenerateRequest, Precision
from pipelines.models.blueprint import PIXELS_PER_LATENT, Blueprint, Network
from pipelines.models.enlargers import EnlargerPlan

BYTES = {Precision.FP32: 4, Precision.FP16: 2, Precision.BF16: 2}
UNET_MAPS = 45
"""How many maps of the UNet's first width, as large as the latents, it holds at its peak."""
VAE_MAPS = 5
"""How many maps of the VAE's last but one width, as large as the picture, the decoder holds at its peak."""
TILE = 512
"""Pixels: the side of a tile when the decoder works in tiles."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Bytes of a model's weights as they lie on the device."""

    unet: int
    vae: int
    texts: int
    largest: int
    """Of the largest tensor."""

    def on_device(self, placement: Placement) -> int:
        """Those that lie on the device all the time."""
        match placement:
            case Placement.WHOLE:
                return self.unet + self.vae + self.texts
            case Placement.TURNS:
                return self.unet
            case Placement.STREAMED:
                return 0


@dataclass(frozen=True, slots=True)
class Work:
    """Bytes that a job works with besides weights."""

    denoising: int
    decoding: int

    @property
    def most(self) -> int:
        return max(self.denoising, self.decoding)


@dataclass(frozen=True, slots=True)
class Thrift:
    """How sparingly a job uses memory; the pictures are the same, but for the seams of tiles."""

    at_once: int = 1
    """Pictures in one pass."""
    tiled: bool = False
    """The decoder works in tiles."""
    placement: Placement = Placement.WHOLE

    def and_also(self, other: "Thrift") -> "Thrift":
        """As sparing as the more sparing of both, in every respect."""
        order = list(Placement)
        return Thrift(
            at_once=min(self.at_once, other.at_once),
            tiled=self.tiled or other.tiled,
            placement=max(self.placement, other.placement, key=order.index),
        )


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a job needs, and what there is for it."""

    thrift: Thrift
    """The most generous that fits; the most sparing where none does."""
    needs: int
    """Bytes, in that way."""
    room: int
    """Bytes that are free or could be made so."""

    @property
    def fits(self) -> bool:
        return self.needs <= self.room


@dataclass(frozen=True, slots=True)
class Numbers:
    """How a model's numbers lie on a device."""

    weight: int | None
    """Bytes of each weight; None: as in the file."""
    map: int
    """Bytes of each number that is worked with."""
    on_cpu: bool


def numbers_of(info: ModelInfo, precision: Precision, *, on_cpu: bool) -> Numbers:
    """How the numbers of `info` lie on a device: a CPU leaves weights in their file; fp8 stays fp8 everywhere."""
    asked = precision if precision is not Precision.AUTO else None
    if on_cpu:
        return Numbers(None, BYTES[asked or Precision.FP32], on_cpu=True)
    narrow = info.dtype.startswith("fp8")
    computed = BYTES[asked or (Precision.FP32 if info.dtype == "fp32" else Precision.FP16)]
    return Numbers(None if narrow else computed, computed, on_cpu=False)


def weights_of(blueprint: Blueprint, numbers: Numbers) -> Weights:
    """Those of the networks of `blueprint`."""
    number = numbers.weight
    of_vae = BYTES[Precision.FP32] if number and blueprint.vae_overflows else number
    towers = [list(_sizes(tower.network, number)) for tower in blueprint.towers]
    unet, vae = list(_sizes(blueprint.unet, number)), list(_sizes(blueprint.vae, of_vae))
    return Weights(sum(unet), sum(vae), sum(map(sum, towers)), largest=max(map(max, (unet, vae, *towers))))


def work_of(blueprint: Blueprint, request: GenerateRequest, thrift: Thrift, numbers: Numbers) -> Work:
    """What painting `request` takes besides the weights: the more of its passes."""
    if (second := request.second) is not None:
        first = request.model_copy(update={"hires": None})
        both = [work_of(blueprint, one, thrift, numbers) for one in (first, second)]
        return Work(max(one.denoising for one in both), max(one.decoding for one in both))
    wide = numbers.map
    of_vae = BYTES[Precision.FP32] if blueprint.vae_overflows else wide
    pixels = request.width * request.height
    unet, vae = blueprint.unet.part.config, blueprint.vae.part.config
    passes = thrift.at_once * (1 if request.cfg == 1 else 2)
    decoded = min(pixels, TILE * TILE) if thrift.tiled else pixels
    width = vae["block_out_channels"][1]
    return Work(
        denoising=UNET_MAPS * passes * unet["block_out_channels"][0] * pixels // PIXELS_PER_LATENT**2 * wide,
        decoding=VAE_MAPS * decoded * width * of_vae,
    )


def enlarging_work(plan: EnlargerPlan, side: int, *, passes: int, wide: int) -> Work:
    """What enlarging a square of `side` pixels at once takes besides the weights; `passes`: 2 with guidance.

    `wide`: bytes of each number that is worked with.
    """
    made = side * plan.factor
    latents = (made // plan.pixels_per_latent) ** 2
    of_vae = BYTES[Precision.FP32] if plan.vae_overflows else wide
    unet, vae = plan.unet.part.config, plan.vae.part.config
    # How far each latent lies from each word of the codebook, if there is one.
    codebook = latents * int(vae.get("num_vq_embeddings", 0)) * of_vae
    return Work(
        denoising=UNET_MAPS * passes * unet["block_out_channels"][0] * latents * wide,
        decoding=VAE_MAPS * made * made * vae["block_out_channels"][1] * of_vae + codebook,
    )


def placed(weights: Weights, work: int, room: int, *, on_cpu: bool) -> Placement:
    """The quickest placement that leaves room for `work` bytes; the most sparing where none does."""
    ways = _placements(on_cpu=on_cpu)
    return next((way for way in ways if weights.on_device(way) + weights.largest + work <= room), ways[-1])


def thriftier(thrift: Thrift, phase: Phase, *, on_cpu: bool) -> Thrift | None:
    """What to try after memory ran out in `phase`: the least change that may help; None when nothing is left.

    Tiles are not tried here but where the picture is decoded, with the latents in hand.
    """
    if phase is Phase.DENOISING and thrift.at_once > 1:
        return replace(thrift, at_once=thrift.at_once // 2)
    order = _placements(on_cpu=on_cpu)
    later = order[order.index(thrift.placement) + 1 :]
    return replace(thrift, placement=later[0]) if later else None


def forecast(blueprint: Blueprint, request: GenerateRequest, room: int, numbers: Numbers) -> Forecast:
    """How `request` can be painted within `room` bytes, by the first way that fits. Raises nothing."""
    weights, told = weights_of(blueprint, numbers), None
    for thrift in _ways(min(request.batch_size, request.count), on_cpu=numbers.on_cpu):
        work = work_of(blueprint, request, thrift, numbers)
        # One layer's weights are there twice for a moment.
        told = Forecast(thrift, weights.on_device(thrift.placement) + weights.largest + work.most, room)
        if told.fits:
            break
    assert told is not None
    return told


def _ways(at_once: int, *, on_cpu: bool) -> Iterator[Thrift]:
    """From the quickest to the most sparing: tiles and single pictures cost little, streaming a lot."""
    quick, slow = [Placement.WHOLE, Placement.TURNS], [Placement.STREAMED]
    for placements in [[Placement.WHOLE]] if on_cpu else [quick, slow]:
        for tiled in (False, True):
            for together in sorted({at_once, 1}, reverse=True):
                yield from (Thrift(together, tiled, placement) for placement in placements)


def _placements(*, on_cpu: bool) -> list[Placement]:
    """On a CPU nothing waits anywhere else: large weights stay in their files as it is."""
    return [Placement.WHOLE] if on_cpu else list(Placement)


def _sizes(network: Network, number: int | None) -> Iterator[int]:
    """Bytes of each of its tensors."""
    for name, entry in network.header.tensors.items():
        if name.startswith(network.part.root):
            yield entry.end - entry.start if number is None else number * entry.numel
