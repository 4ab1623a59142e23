"""Super-resolution by diffusion: a small picture becomes a large one, invented where the small one is silent.

The story of a picture that is painted, with another denoiser: it is shown the small picture (`shown.py`). Pictures
larger than memory are seen through windows that overlap, over one field of noise (`pipelines.generation.windows`), and
decoded in tiles.

All chance comes from one generator on the CPU, seeded with the seed that is wished for, in this order: the noise that
the small picture is given, if the model takes any; the noise that the latents begin with; then that of each step, for
samplers that draw it. The noise covers the picture with its padding.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pipelines.core.error import EaselError, InvalidRequest
from pipelines.core.event import Noted, Preview, Progress
from pipelines.core.placement import Phase
from pipelines.core.samplers import SAMPLERS
from pipelines.core.stop import StopSignal
from pipelines.generation.denoise import Denoised, denoise
from pipelines.generation.forecast import Forecast
from pipelines.generation.guidance import StoppedNow
from pipelines.generation.levels import noise_table
from pipelines.generation.previews import Previewer
from pipelines.generation.samplers import NUMERICS
from pipelines.generation.schedules import Plan, automatic
from pipelines.generation.windowed import Windowed
from pipelines.generation.windows import Blend, Place, Windows
from pipelines.models.budget import enlarging_work
from pipelines.models.devices import give_back, unused
from pipelines.models.enlargers import Way
from pipelines.models.loading import LoadedEnlarger
from pipelines.models.memory import RanOut, is_memory_error, watched
from pipelines.models.on_use import brought
from pipelines.upscaling.shown import Words, shown
from pipelines.upscaling.tiles import Levels

USUAL_NOISE = 20
"""What the x4 upscaler is published with, of 1000."""
OWN_SAMPLER = {Way.PIXELS: "ddim", Way.LATENTS: "euler", Way.PLAIN: "ddim"}
"""What each was published with."""
SIDES = (1024, 768, 512, 384, 256, 192, 128, 96, 64)
"""Pixels of the small picture that a window may show."""
OVERLAP = 0.25
"""Of windows and tiles, as a share of their side."""
SPARE = 0.8
"""How much of what is free is planned with."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of one pass."""

    prompt: str = ""
    """Words are for models that read them."""
    negative_prompt: str = ""
    steps: int = 30
    cfg: float = 5.0
    """1: unguided."""
    seed: int = 0
    sampler: str = ""
    """By its name; empty: the model's own."""
    noise_level: int | None = None
    """How much noise the small picture is given, 0 to the model's `most_noise`; None: the model's own."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """The large picture."""

    pixels: Levels
    """(h * factor, w * factor, 3) float32, 0 to 1."""
    seconds: float
    """Time it took."""


Happening = Progress | Preview | Noted | Resolved
"""What `super_resolved` tells."""


def super_resolved(
    model: LoadedEnlarger, low: Levels, wish: Wish, stop: StopSignal, *, tile: int = 0, room: int | None = None
) -> Iterator[Happening]:
    """`low` (h, w, 3) float32, 0 to 1, made `model.factor` times as wide and high, with what happens on the way.

    Ends early, and in silence, when `stop` asks for now. `tile`: pixels of `low` that a window shows, rounded to what
    the network can see; 0: as many as memory has room for. `room`: bytes that may be used besides the weights; None:
    those that the device has free.

    Raises InvalidRequest for what the model cannot be asked, EaselError when its numbers overflow, RanOut when there is
    no room even for the smallest window.
    """
    if low.ndim != 3 or low.shape[2] != 3 or 0 in low.shape:
        raise InvalidRequest("There is no picture to enlarge", fix="use one in colour", field="source")
    sampler = SAMPLERS.find(wish.sampler, field="sampler").key if wish.sampler else OWN_SAMPLER[model.plan.way]
    made = Pass(model, low, replace(wish, sampler=sampler, noise_level=noise_level(model, wish)), stop, room, tile)
    side = made.side(Phase.DENOISING)
    while True:
        try:
            yield from made.resolved(side)
        except StoppedNow:
            return
        except RanOut as error:
            smaller = made.rounded(min(side, max(low.shape)) // 2)
            if error.phase is not Phase.DENOISING or smaller < SIDES[-1]:
                raise
        else:
            return
        give_back(model.device)  # only here: before, the error held all that was in hand
        side = smaller
        yield Noted(text=f"Memory ran out: now the picture is seen in tiles of {side} pixels")


def noise_level(model: LoadedEnlarger, wish: Wish) -> int:
    """How much noise the small picture is given. Raises InvalidRequest for more than the model was trained with."""
    asked = wish.noise_level
    if not model.takes_noise:
        if asked:
            raise InvalidRequest(
                f"{model.info.name!r} gives its picture no noise", fix="leave the noise level empty",
                field="noise_levels",
            )  # fmt: skip
        return 0
    if asked is None:
        return min(USUAL_NOISE, model.most_noise)
    if not 0 <= asked <= model.most_noise:
        raise InvalidRequest(
            f"{model.info.name!r} was not trained with noise level {asked}", fix=f"use 0 to {model.most_noise}",
            field="noise_levels",
        )  # fmt: skip
    return asked


class Draws:
    """All chance of one pass, on the CPU, in float32."""

    def __init__(self, seed: int, shape: tuple[int, ...], device: torch.device) -> None:
        """`shape`: (1, c, h, w) of the latents."""
        self._generator = torch.Generator("cpu").manual_seed(seed)
        self._shape, self._device = shape, device

    def draw(self) -> Tensor:
        return self.of(self._shape)

    def of(self, shape: tuple[int, ...]) -> Tensor:
        """Unit Gaussian noise on the device."""
        return torch.randn(shape, generator=self._generator).to(self._device)


@dataclass(frozen=True)
class Pass:
    """One way from the small picture to the large one. Sides are pixels of the small one."""

    model: LoadedEnlarger
    low: Levels
    wish: Wish
    """With sampler and noise level."""
    stop: StopSignal
    room: int | None
    tile: int

    def side(self, phase: Phase) -> int:
        """Of what is seen at once, or decoded: all there is, if memory has room for it."""
        if self.tile:
            return self.rounded(self.tile)
        free = int(SPARE * unused(self.model.device)) if self.room is None else self.room
        height, width = (self.rounded(length) for length in self.low.shape[:2])
        if self._work(math.isqrt(height * width), phase) <= free:
            return max(height, width)
        return self.rounded(next((side for side in SIDES if self._work(side, phase) <= free), SIDES[-1]))

    def rounded(self, length: int) -> int:
        """To a side that the network can see."""
        plan = self.model.plan
        return max(plan.least, -(-length // plan.multiple) * plan.multiple)

    def resolved(self, side: int) -> Iterator[Happening]:
        """Through windows of `side`. Raises StoppedNow, RanOut, EaselError."""
        began, forecast, wish = time.monotonic(), Forecast([1], self.wish.steps), self.wish
        yield self._progress(0, forecast.batch_begins())
        with watched(Phase.DENOISING):
            previewer, (draws, denoiser) = Previewer(self.model, every=1), self._begun(side)
            config, numerics = self.model.scheduler_config, NUMERICS[wish.sampler]
            plan = Plan(noise_table(config), wish.steps, numerics.habits, config, offset=config.get("steps_offset", 0))
            for done in denoise(numerics.solver(denoiser, draws), automatic(plan), draws):
                if not isinstance(done, Denoised):
                    continue
                latents = done.latents
                if done.number == 0:
                    continue
                yield self._progress(done.number, forecast.step_done(done.number))
                if denoiser.latest is not None and previewer.due(done.number):
                    jpeg = previewer.draw(self._without_padding(denoiser.latest))
                    yield Preview(picture=1, step=done.number, jpeg=jpeg)
        with watched(Phase.DECODING):
            pixels = self._decoded(latents)
        yield Resolved(pixels, time.monotonic() - began)

    @torch.inference_mode()
    def _begun(self, side: int) -> tuple[Draws, Windowed]:
        """What chance there is, and the denoiser that is shown the small picture."""
        model, wish = self.model, self.wish
        more = [self.rounded(length) - length for length in self.low.shape[:2]]
        padded = np.pad(self.low, [(0, more[0]), (0, more[1]), (0, 0)], mode="symmetric")
        small = torch.from_numpy(padded).permute(2, 0, 1)[None].to(model.device) * 2 - 1
        sides = [self._latents(length) for length in small.shape[-2:]]
        draws = Draws(wish.seed, (1, int(model.vae.config.latent_channels), *sides), model.device)
        if model.plan.way is Way.LATENTS:
            small = torch.nn.functional.interpolate(self._encoded(small, side), scale_factor=2, mode="nearest")
        if model.takes_noise:
            level = noise_table(model.plan.low_res).at(wish.noise_level or 0)
            small = (small + level.sigma * draws.of(small.shape)) / level.scale
        words = Words(wish.prompt, wish.negative_prompt, wish.cfg)
        inner = shown(model, small, words, self.stop, wish.noise_level or 0)
        return draws, Windowed(inner, self._windows(side), self.stop)

    def _encoded(self, pixels: Tensor, side: int) -> Tensor:
        """(1, c, h / 8, w / 8) of `pixels` (1, 3, h, w): the mean of what the encoder says, not a draw from it."""
        model, reduction = self.model, self.model.plan.pixels_per_latent
        height, width = (length // reduction for length in pixels.shape[-2:])
        windows = Windows(side // reduction, side // reduction, OVERLAP)
        blend = Blend((1, int(model.vae.config.latent_channels), height, width), windows, model.device)
        for place in windows.places(height, width):
            self._heed()
            told = model.vae.encode(place.cut(pixels, reduction).to(model.vae_dtype)).latent_dist.mode()
            blend.add(place, told.float() * float(model.vae.config.scaling_factor))
        return blend.whole()

    def _decoded(self, latents: Tensor) -> Levels:
        """(h * factor, w * factor, 3) of `latents` (1, c, h, w); in smaller tiles if memory runs out meanwhile."""
        side = min(self.side(Phase.DECODING), self.rounded(max(self.low.shape)))
        while True:
            try:
                return self._decoded_in(latents, side)
            except (RuntimeError, MemoryError, OSError) as error:
                if not is_memory_error(error) or side // 2 < SIDES[-1]:
                    raise
            give_back(self.model.device)
            side = self.rounded(side // 2)

    @torch.inference_mode()
    def _decoded_in(self, latents: Tensor, side: int) -> Levels:
        windows, reduction = self._windows(side), self.model.plan.pixels_per_latent
        height, width = latents.shape[-2:]
        places = windows.places(height, width)
        large = Windows(windows.height * reduction, windows.width * reduction, OVERLAP)
        blend = Blend((1, 3, height * reduction, width * reduction), large, torch.device("cpu"))
        for place in places:
            self._heed()
            seen = self._made_of(place.cut(latents)).cpu()
            if len(places) > 1:
                sides = (place.top, place.left, place.bottom, place.right)
                blend.add(Place(*(length * reduction for length in sides)), seen)
        factor, (rows, columns) = self.model.factor, self.low.shape[:2]
        pixels = (blend.whole() if len(places) > 1 else seen)[0, :, : rows * factor, : columns * factor]
        levels: Levels = (pixels / 2 + 0.5).clamp(0, 1).permute(1, 2, 0).contiguous().numpy()
        return levels

    def _made_of(self, latents: Tensor) -> Tensor:
        """(1, 3, h, w) float32 of -1..1. A decoder that overflows is tried once more in float32."""
        vae, dtype = self.model.vae, self.model.vae_dtype
        # A codebook's latents are decoded as they are.
        scaled = latents if self.model.plan.way is Way.PLAIN else latents / vae.config.scaling_factor
        pixels: Tensor = vae.decode(scaled.to(dtype), return_dict=False)[0]
        if not pixels.isfinite().all() and dtype is not torch.float32:
            with brought(vae, self.model.device, torch.float32):
                pixels = vae.decode(scaled.float(), return_dict=False)[0]
        if not pixels.isfinite().all():
            raise EaselError(
                "The picture came out empty: the numbers overflowed",
                fix="lower CFG, choose precision fp32, or check the model's files", field="precision",
            )  # fmt: skip
        return pixels.float()

    def _without_padding(self, latents: Tensor) -> Tensor:
        rows, columns = (self._latents(length) for length in self.low.shape[:2])
        return latents[..., :rows, :columns]

    def _latents(self, length: int) -> int:
        """Of the large picture, along `length` pixels of the small one; at least those that it touches."""
        return -(-length * self.model.factor // self.model.plan.pixels_per_latent)

    def _windows(self, side: int) -> Windows:
        return Windows(self._latents(side), self._latents(side), OVERLAP)

    def _work(self, side: int, phase: Phase) -> int:
        """Bytes that a square of `side` takes besides the weights."""
        passes = 2 if self.model.takes_words and self.wish.cfg != 1 else 1
        work = enlarging_work(self.model.plan, side, passes=passes, wide=self.model.dtype.itemsize)
        return work.denoising if phase is Phase.DENOISING else work.decoding

    def _heed(self) -> None:
        if self.stop.now:
            raise StoppedNow

    def _progress(self, step: int, seconds_left: float | None) -> Progress:
        return Progress(picture=1, count=1, step=step, steps=self.wish.steps, seconds_left=seconds_left)
