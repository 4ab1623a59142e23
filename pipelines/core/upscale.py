"""What is asked when a picture is to be larger: by what, how large, and what is painted into it on the way."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from pipelines.core.error import InvalidRequest
from pipelines.core.inpaint import SourceId
from pipelines.core.request import BaseRequest, GenerateRequest

LARGEST_SIDE = 32_768
"""Pixels of what comes out."""
LEAST_FACTOR, MOST_FACTOR = 0.1, 16.0
MOST_LEVELS = 8


class Resampler(StrEnum):
    """Ways to enlarge that need no model: names that any upscaler's name may stand for."""

    LANCZOS = "lanczos"
    BICUBIC = "bicubic"
    NEAREST = "nearest"


RESAMPLERS = frozenset(Resampler)


class Frame(StrEnum):
    """How a picture comes into a size of other proportions."""

    CROP = "crop"
    """It covers the size, and what stands out is cut off."""
    WITHIN = "within"
    """All of it is seen; one side is shorter than asked."""
    STRETCH = "stretch"


class Format(StrEnum):
    """What the result is saved as."""

    PNG = "png"
    WEBP = "webp"
    JPEG = "jpeg"
    AVIF = "avif"


@dataclass(frozen=True, slots=True)
class Sized:
    """How large a result is: the picture is enlarged to `width` x `height`, and of that the box is kept."""

    width: int
    height: int
    box: tuple[int, int, int, int]
    """Left, top, right, bottom."""

    @property
    def kept(self) -> tuple[int, int]:
        """Width and height of what comes out."""
        left, top, right, bottom = self.box
        return right - left, bottom - top


class UpscaleRequest(BaseRequest):
    """A picture made larger (or smaller): enlarged by an upscaler, and painted over in tiles if `strength` is not 0."""

    model_config = ConfigDict(strict=True)

    kind: Literal["upscale"] = "upscale"
    model: str = ""
    """That of `picture` if it is painted over, else the upscaler; whatever is said, it is worked out anew."""
    source: SourceId
    upscaler: str = Field("starter-x4", title="Upscaler", min_length=1, max_length=1000)
    """A resampler, a network, or a diffusion model that was trained to enlarge; by its name."""
    second: str = Field("", title="Second upscaler", max_length=1000)
    """A resampler or network whose result is mixed in; empty: none."""
    blend: float = Field(0.5, title="Share of the second", ge=0, le=1)
    factor: float = Field(2.0, title="Scale", ge=LEAST_FACTOR, le=MOST_FACTOR)
    """Counts while no size is given."""
    width: int | None = Field(None, title="Width", ge=1, le=LARGEST_SIDE)
    height: int | None = Field(None, title="Height", ge=1, le=LARGEST_SIDE)
    """Pixels. One alone: the other follows."""
    frame: Frame = Field(Frame.CROP, title="Fit", strict=False)
    tile: int = Field(0, title="Tile", ge=0, le=4096)
    """Pixels of a tile that a network sees at a time; 0: as suits it."""
    strength: float = Field(0.0, title="Redraw strength", ge=0, le=1)
    """How much of the enlarged picture is painted anew, in tiles; 0: nothing."""
    overlap: float = Field(0.25, title="Overlap", ge=0, le=0.5)
    """Of the tiles that are painted, as a share of their side."""
    noise_levels: tuple[int, ...] = Field((), title="Noise levels", max_length=MOST_LEVELS, strict=False)
    """Of a diffusion upscaler: how much noise its picture is given (Ho et al. 2022, noise augmentation). Each makes a
    picture of its own; empty: the model's own."""
    picture: GenerateRequest = Field(default_factory=GenerateRequest, strict=False)
    """How it is painted: words, sampler, steps, cfg, seed; when it is painted over also the model and the size of its
    tiles."""
    output: Format = Field(Format.PNG, title="Format", strict=False)
    quality: int = Field(90, title="Quality", ge=1, le=100)
    """Of WebP, JPEG and AVIF; 100: without loss, where the format can."""

    @field_validator("noise_levels")
    @classmethod
    def _are_levels(cls, levels: tuple[int, ...]) -> tuple[int, ...]:
        for level in levels:
            if not 0 <= level <= 999:
                raise InvalidRequest(f"Noise level cannot be {level}", fix="use 0 to 350", field="noise_levels")
        return tuple(dict.fromkeys(levels))

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        object.__setattr__(self, "model", self.picture.model if self.strength else self.upscaler)
        if self.picture.count != 1 or self.picture.hires is not None:
            object.__setattr__(self, "picture", self.picture.model_copy(update={"count": 1, "hires": None}))
        if self.strength and self.walked < 1:
            raise InvalidRequest(
                f"At strength {self.strength} no step of {self.picture.steps} is left",
                fix=f"use {round(1 / self.strength + 0.5)} steps or more", field="strength",
            )  # fmt: skip
        if len(self.noise_levels) > 1 and self.strength:
            raise InvalidRequest(
                "Several noise levels and a redraw at once would not be comparable", fix="try the levels first",
                field="noise_levels",
            )  # fmt: skip
        return self

    @property
    def pictures(self) -> int:
        return max(1, len(self.noise_levels))

    @property
    def painted(self) -> GenerateRequest:
        """What every request for pictures comes down to."""
        return self.picture

    def seed_of(self, index: int) -> int:
        """The seed of picture `index` (from 0): that of all, for only so noise levels compare."""
        return self.picture.seed

    @property
    def walked(self) -> int:
        """Steps of a redraw, of those of `picture`; rounded down, as in diffusers."""
        return int(self.picture.steps * self.strength)

    @property
    def upscalers(self) -> tuple[str, ...]:
        """The models among its upscalers."""
        named = (self.upscaler, *([self.second] if self.second and self.blend else []))
        return tuple(name for name in named if name not in RESAMPLERS)

    def sized(self, width: int, height: int) -> Sized:
        """What becomes of a picture of that size. Raises InvalidRequest when it would be too large or too small."""
        large = self._enlarged(width, height)
        if max(large) > LARGEST_SIDE or min(large) < 1:
            problem = f"{width} x {height} would become {large[0]} x {large[1]}"
            fix = (
                f"stay within {LARGEST_SIDE:,} pixels on a side" if max(large) > LARGEST_SIDE else "use a larger scale"
            )
            raise InvalidRequest(problem, fix=fix, field="width" if self.width or self.height else "factor")
        asked = (self.width, self.height)
        if self.frame is not Frame.CROP or None in asked:
            return Sized(*large, (0, 0, *large))
        assert self.width and self.height
        left, top = (large[0] - self.width) // 2, (large[1] - self.height) // 2
        return Sized(*large, (left, top, left + self.width, top + self.height))

    def _enlarged(self, width: int, height: int) -> tuple[int, int]:
        if self.width is None and self.height is None:
            return round(width * self.factor), round(height * self.factor)
        factors = [wanted / side for wanted, side in ((self.width, width), (self.height, height)) if wanted]
        if self.frame is Frame.STRETCH and len(factors) == 2:
            return _both(self.width, self.height)
        factor = min(factors) if self.frame is Frame.WITHIN else max(factors)
        # The side that decides is met exactly, whatever rounding makes of the other.
        return tuple(wanted if wanted and wanted / side == factor else max(round(side * factor), 1)
                     for wanted, side in ((self.width, width), (self.height, height)))  # type: ignore[return-value]  # fmt: skip


def _both(*sides: Any) -> tuple[int, int]:
    return sides[0], sides[1]
