"""A small network that looks at views: it names a subject's kind, or says that there is none, and describes a picture.

One trunk serves both: `frechet` compares whole pictures by what it makes of them. While it learns it sees drawings only
(see `lessons`), never a generated picture.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save
from torch import Tensor, nn

from pipelines.core.error import EaselError
from pipelines.training.pictures import as_tensor
from pipelines.training.whole import write_whole
from pipelines.training.world.canvas import Box
from pipelines.training.world.scene import Colour, Ground, Kind, Sky, Style

VIEW = 64  # pixels a side: what the network sees of a subject or of a picture
MARGIN = 1.4  # side of a subject's view, in longer sides of its box
WIDTHS = (3, 32, 64, 128, 160)  # channels; each step halves the view
FEATURES = 64

Answer = StrEnum | bool | None

KIND: tuple[Kind | None, ...] = (*Kind, None)
QUESTIONS: Mapping[str, tuple[Answer, ...]] = {
    "kind": KIND,  # of the subject in the middle of a view, if there is one; the others are asked of whole pictures
    "shown": tuple(Kind),
    "colour": tuple(Colour),
    "style": tuple(Style),
    "sky": tuple(Sky),
    "ground": tuple(Ground),
    "worn": (False, True),  # so that no blur escapes the features by which pictures are compared
}


class Judge(nn.Module):
    """Views (n, 3, 64, 64) in -1..1 to one logit (n, answers) per answer, in the order of `QUESTIONS`."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for narrow, wide in pairwise(WIDTHS):
            layers += [nn.Conv2d(narrow, wide, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]
        left = VIEW >> (len(WIDTHS) - 1)
        self.trunk = nn.Sequential(*layers, nn.Flatten(), nn.Linear(WIDTHS[-1] * left**2, FEATURES), nn.ReLU())
        self.answers = nn.Linear(FEATURES, sum(map(len, QUESTIONS.values())))

    def forward(self, views: Tensor) -> Tensor:
        logits: Tensor = self.answers(self.trunk(views))
        return logits


JUDGE_FILE = "judge.weights"
"""A safetensors file by another name: a models folder shall not list it among what paints."""


def save_judge(file: Path, judge: Judge) -> None:
    """Write a judge in fp16, so that an examination needs no run."""
    tensors = {name: t.half() if t.is_floating_point() else t for name, t in judge.state_dict().items()}
    write_whole(file, lambda opened: opened.write(save(tensors)))


def open_judge(file: Path) -> Judge:
    """The judge in `file`. Raises EaselError when there is none."""
    if not file.is_file():
        raise EaselError(
            f"There is no judge at {file}", fix="run the stages `judge` and `export judge`, or name its --judge"
        )
    judge = Judge()
    judge.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in load_file(file).items()})
    return judge.eval()


def by_question(answers: Tensor) -> dict[str, Tensor]:
    """What belongs to each question in (n, answers)."""
    return dict(zip(QUESTIONS, torch.split(answers, [len(some) for some in QUESTIONS.values()], dim=-1), strict=True))


def view(picture: Image.Image, box: Box) -> np.ndarray:
    """A square around `box` (fractions of the picture), (64, 64, 3) uint8; beyond the picture it is black."""
    width, height = picture.size
    left, top, right, bottom = (f * s for f, s in zip(box, (width, height, width, height), strict=True))
    reach = max(right - left, bottom - top) * MARGIN / 2
    x, y = (left + right) / 2, (top + bottom) / 2
    square = picture.crop((round(x - reach), round(y - reach), round(x + reach), round(y + reach)))
    return np.asarray(square.resize((VIEW, VIEW), Image.Resampling.BOX))


def overview(picture: Image.Image) -> np.ndarray:
    """The whole picture, squeezed into (64, 64, 3) uint8."""
    return np.asarray(picture.resize((VIEW, VIEW), Image.Resampling.BOX))


@torch.no_grad()
def kinds_in(judge: Judge, views: Sequence[np.ndarray]) -> tuple[Kind | None, ...]:
    """What stands in the middle of each view."""
    logits = by_question(judge(as_tensor(np.stack(views))))["kind"]
    return tuple(KIND[int(answer)] for answer in logits.argmax(-1))


def kinds_of(judge: Judge, picture: Image.Image, boxes: Sequence[Box]) -> tuple[Kind | None, ...]:
    """What stands in each of `boxes` (fractions of the picture)."""
    return kinds_in(judge, [view(picture, box) for box in boxes])


@torch.no_grad()
def features_of(judge: Judge, pictures: Sequence[Image.Image]) -> np.ndarray:
    """What the judge makes of whole pictures: (n, 64) float64."""
    features: np.ndarray = (
        judge.trunk(as_tensor(np.stack([overview(picture) for picture in pictures]))).double().numpy()
    )
    return features
