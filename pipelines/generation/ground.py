"""The picture that is painted over: what the walk begins from, and what it is held to while it goes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.generation.schedules import Move, Walk


@dataclass(frozen=True)
class Words:
    """What a place is painted by."""

    prompt: str
    negative: str
    share: Tensor
    """(1, 1, h, w): how much of each latent they decide; those of all places add up to 1."""


@dataclass(frozen=True)
class Ground:
    """Latents of a picture, and how much of it may change.

    A hard mask is the blending of Blended Latent Diffusion (Avrahami et al. 2023): after each step all that is not
    painted is the picture again, with the noise of that level. A soft one is differential diffusion (Levin & Fried
    2023): the less a place may change, the longer it is held.
    """

    latents: Tensor
    """(1, c, h, w) float32 of unit variance: what painting begins from."""
    kept: Tensor
    """(1, c, h, w) float32: what stays where nothing is painted."""
    mask: Tensor | None = None
    """(1, 1, h, w), 0 stays and 1 is painted; None: all is painted."""
    strength: float = 1.0
    """The share of the steps that is walked."""
    words: tuple[Words, ...] = ()
    """Of places that have their own; empty: those of the request are for all."""
    hint: Tensor | None = None
    """(1, 5, h, w) that an inpainting UNet sees beside the noise: the mask, and the picture without what is hidden."""

    def begin(self, noise: Tensor, walk: Walk) -> Tensor:
        """The first x, (n, c, h, w): at full strength nothing but noise."""
        if self.strength >= 1:
            return noise * walk.noise_scale
        return self.latents + walk.moves[0].start.sigma * noise

    def hold(self, x: Tensor, noise: Tensor, move: Move, steps: int) -> Tensor:
        """`x` after a move, with the picture where the mask still holds it; `noise` is that of the beginning."""
        if self.mask is None:
            return x
        held = (self.mask == 0) | (self.mask < 1 - move.number / steps)
        # Some walks end a little above sigma 0: what is kept has no noise in the end all the same.
        is_last = move.number == steps
        picture = self.kept * move.end.scale if is_last else self.kept + move.end.sigma * noise
        return torch.where(held, picture, x)
