"""What a network that enlarges is shown beside its latents, and how its answer is read: one class for each way.

A denoiser each, which may be shown a window: the small picture is cut with it. With guidance both halves go through the
network in one pass, as in `pipelines.generation.guidance`.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.core.stop import StopSignal
from pipelines.generation.conditioning import chunks, encode
from pipelines.generation.guidance import StoppedNow
from pipelines.generation.levels import Level, noise_table
from pipelines.generation.predictions import PREDICTIONS, Prediction
from pipelines.generation.windows import Place
from pipelines.models.enlargers import NOISE_TOLD, Way
from pipelines.models.loading import LoadedEnlarger


class Preconditioned:
    """x0 = x / (sigma^2 + 1) + sigma / sqrt(sigma^2 + 1) output (Karras et al. 2022, table 1, sigma_data 1)."""

    def x0(self, output: Tensor, x: Tensor, level: Level) -> Tensor:
        return x / level.scale**2 + (level.sigma / level.scale) * output

    def output(self, x0: Tensor, x: Tensor, level: Level) -> Tensor:
        return (level.scale / level.sigma) * x0 - x / (level.sigma * level.scale)


@dataclass(frozen=True, slots=True)
class Words:
    """What guides."""

    prompt: str
    negative: str
    cfg: float
    """1: unguided."""


class Shown(ABC):
    """Answers "which large picture is in this noise?", shown the small one."""

    def __init__(self, model: LoadedEnlarger, small: Tensor, words: Words, stop: StopSignal) -> None:
        """`small`: (1, c, h, w) float32 on the device, as large as the latents."""
        self.prediction: Prediction = self._prediction(model)
        self.table = noise_table(model.scheduler_config)
        self._model, self._stop, self._cfg = model, stop, words.cfg
        self._small = small.to(model.dtype)
        self._texts = _texts(model, words)
        """(halves, tokens, width); None for a network that reads no words."""
        self._halves = 1 if self._texts is None else len(self._texts)

    def level(self, sigma: float) -> Level:
        return self.table.of(sigma)

    def x0(self, x: Tensor, level: Level, place: Place | None = None) -> Tensor:
        """The guided estimate in `x` (1, c, h, w) float32 at `level`; `place`: the window of the whole that `x` is.

        Raises StoppedNow.
        """
        if self._stop.now:
            raise StoppedNow
        small = self._small if place is None else place.cut(self._small)
        seen = torch.cat([(x / level.scale).to(self._model.dtype), small], dim=1)
        output = self._ask(seen.expand(self._halves, -1, -1, -1), level).float()
        if self._halves == 2:
            uncond, cond = output.chunk(2)
            output = torch.lerp(uncond, cond, self._cfg)
        return self.prediction.x0(output, x, level)

    def _prediction(self, model: LoadedEnlarger) -> Prediction:
        return PREDICTIONS[model.scheduler_config.get("prediction_type", "epsilon")]

    def _time(self, time: float) -> Tensor:
        return torch.full((self._halves,), time, device=self._model.device)

    @abstractmethod
    def _ask(self, seen: Tensor, level: Level) -> Tensor:
        """The network's answer to `seen` (halves, c, h, w): (halves, c, h, w)."""


class Pixels(Shown):
    """The SD x4 upscaler: pixels that are as noisy as it is told by a class, in steps of `low_res` (Ho et al. 2022)."""

    def __init__(self, model: LoadedEnlarger, small: Tensor, words: Words, stop: StopSignal, noise: int) -> None:
        """`noise`: how noisy `small` is, 0 to `model.most_noise`."""
        super().__init__(model, small, words, stop)
        self._noise = torch.full((self._halves,), noise, device=model.device)

    def _ask(self, seen: Tensor, level: Level) -> Tensor:
        answer: Tensor = self._model.unet(
            seen, self._time(level.time), encoder_hidden_states=self._texts, class_labels=self._noise,
            return_dict=False,
        )[0]  # fmt: skip
        return answer


class Latents(Shown):
    """The SD x2 latent upscaler (Crowson 2022): latents, each shown as four; told that they are without noise.

    It was trained to be told how noisy they are, but published with 0 throughout: more only loosens its hold.
    """

    def __init__(self, model: LoadedEnlarger, small: Tensor, words: Words, stop: StopSignal) -> None:
        super().__init__(model, small, words, stop)
        texts = [words.prompt] if self._halves == 1 else [words.negative, words.prompt]
        summaries = torch.cat([_summary(model, text) for text in texts])
        told = torch.zeros((self._halves, NOISE_TOLD), device=model.device, dtype=summaries.dtype)
        told[:, : NOISE_TOLD // 2] = 1  # cosines and sines of 0
        self._told = torch.cat([told, summaries], dim=1).to(model.dtype)

    def _prediction(self, model: LoadedEnlarger) -> Prediction:
        return Preconditioned()

    def _ask(self, seen: Tensor, level: Level) -> Tensor:
        answer: Tensor = self._model.unet(
            seen, self._time(math.log(level.sigma) / 4), encoder_hidden_states=self._texts, timestep_cond=self._told,
            return_dict=False,
        )[0]  # fmt: skip
        return answer[:, :-1]  # the last channel says how sure it is, which nobody asks


class Plain(Shown):
    """LDM super-resolution: pixels, and nothing else (Rombach et al. 2022, section 4.4)."""

    def _ask(self, seen: Tensor, level: Level) -> Tensor:
        answer: Tensor = self._model.unet(seen, self._time(level.time), return_dict=False)[0]
        return answer


def shown(model: LoadedEnlarger, small: Tensor, words: Words, stop: StopSignal, noise: int) -> Shown:
    """The denoiser of `model`."""
    match model.plan.way:
        case Way.PIXELS:
            return Pixels(model, small, words, stop, noise)
        case Way.LATENTS:
            return Latents(model, small, words, stop)
        case Way.PLAIN:
            return Plain(model, small, words, stop)


def _texts(model: LoadedEnlarger, words: Words) -> Tensor | None:
    if not model.takes_words:
        return None
    conditioning = encode(model, words.prompt, words.negative if words.cfg != 1 else None, clip_skip=1)
    if conditioning.negative is None:
        return conditioning.prompt.states
    return torch.cat([conditioning.negative.states, conditioning.prompt.states])


def _summary(model: LoadedEnlarger, text: str) -> Tensor:
    """(1, width): what CLIP says of the first chunk as a whole."""
    return model.recall.get(("summary", text), lambda: (_pooled(model, text),))[0]


@torch.inference_mode()
def _pooled(model: LoadedEnlarger, text: str) -> Tensor:
    tower = model.towers[0]
    pooled: Tensor = tower.encoder(torch.tensor(chunks(tower, text)[:1], device=model.device)).pooler_output
    return pooled
