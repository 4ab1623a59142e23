"""What the network sees in the noise, guided by the words: the only place where the UNet runs."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pipelines.core.stop import StopSignal
from pipelines.generation.conditioning import Conditioning
from pipelines.generation.knowledge import Canvas, added_conditions, under_the_mask
from pipelines.generation.levels import Level, noise_table
from pipelines.generation.predictions import PREDICTIONS
from pipelines.generation.windows import Place
from pipelines.models.loading import LoadedModel


class StoppedNow(Exception):
    """A person asked to stop; raised before a UNet pass, caught by `generate`."""


class GuidedDenoiser:
    """Answers "which picture is in this noise?" by classifier-free guidance (Ho & Salimans 2022, eq. 6).

    output = uncond + cfg (cond - uncond), both in one UNet pass; with cfg 1 the unconditional half is left out.
    """

    def __init__(
        self, model: LoadedModel, conditioning: Conditioning, cfg: float, canvas: Canvas, stop: StopSignal,
        hint: Tensor | None = None,
    ) -> None:  # fmt: skip
        """`canvas`: what is seen at a time; `hint`: (1, 5, h, w) of the whole for an inpainting UNet; None: nothing is
        there yet."""
        self.prediction = PREDICTIONS[model.scheduler_config.get("prediction_type", "epsilon")]
        self.table = noise_table(model.scheduler_config)
        self.latest: Tensor | None = None
        """The latest x0, (n, c, h, w) float32, for previews."""
        self._unet = model.unet
        self._dtype = model.dtype
        self._cfg = cfg
        self._stop = stop
        texts = [conditioning.prompt] if conditioning.negative is None else [conditioning.negative, conditioning.prompt]
        self._halves = len(texts)
        self._texts = torch.cat([text.states.expand(canvas.pictures, -1, -1) for text in texts])
        self._added = added_conditions(model, conditioning, canvas)
        self._hint = hint
        self._masked = under_the_mask(model, canvas) if hint is None else hint

    def level(self, sigma: float) -> Level:
        return self.table.of(sigma)

    def x0(self, x: Tensor, level: Level, place: Place | None = None) -> Tensor:
        """The guided estimate of the picture in `x` (n, c, h, w) float32 at `level`. Raises StoppedNow.

        `place`: the window of the whole that `x` is; None: all of it.
        """
        if self._stop.now:
            raise StoppedNow
        self.latest = self.prediction.x0(self._guided(x / level.scale, level, place), x, level)
        return self.latest

    def _guided(self, scaled: Tensor, level: Level, place: Place | None) -> Tensor:
        """The network's output, (n, c, h, w) float32."""
        seen = scaled.to(self._dtype)
        masked = self._masked if place is None or self._hint is None else place.cut(self._hint)
        if masked is not None:
            seen = torch.cat([seen, masked.to(self._dtype).expand(len(seen), -1, -1, -1)], dim=1)
        seen = torch.cat([seen, seen]) if self._halves == 2 else seen
        # Filled on the device: copying a number there would wait for the steps before.
        time = torch.full((len(seen),), level.time, device=seen.device)
        answer: Tensor = self._unet(
            seen, time, encoder_hidden_states=self._texts, added_cond_kwargs=self._added, return_dict=False
        )[0]
        output = answer.float()
        if self._halves == 1:
            return output
        uncond, cond = output.chunk(2)
        return torch.lerp(uncond, cond, self._cfg)


class RegionalDenoiser:
    """Several places, each with its own words: x0 is theirs, as much as each decides there."""

    def __init__(self, parts: Sequence[tuple[GuidedDenoiser, Tensor]]) -> None:
        """`parts`: each with its share, (1, 1, h, w); the shares add up to 1."""
        self._parts = parts
        self.prediction, self.table = parts[0][0].prediction, parts[0][0].table
        self.latest: Tensor | None = None
        """As `GuidedDenoiser.latest`."""

    def level(self, sigma: float) -> Level:
        return self.table.of(sigma)

    def x0(self, x: Tensor, level: Level, place: Place | None = None) -> Tensor:
        """As `GuidedDenoiser.x0`."""
        each = [
            (share if place is None else place.cut(share)) * part.x0(x, level, place) for part, share in self._parts
        ]
        self.latest = torch.stack(each).sum(dim=0)
        return self.latest
