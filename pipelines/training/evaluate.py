"""Sits the examination: the model's pictures, and beside them the drawings and reconstructions that bound its score."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter

import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from PIL import Image, ImageDraw

from pipelines.training.autoencoder import decoded, latent_means, psnr
from pipelines.training.checkers.judge import Judge, features_of
from pipelines.training.checkers.lessons import Accuracy, accuracy
from pipelines.training.exam import Question, Score, Topic, mark, questions, score
from pipelines.training.frechet import fitted, frechet_distance
from pipelines.training.pictures import PictureSet, as_tensor
from pipelines.training.world.draw import draw
from pipelines.training.world.scene import Place, Scene, Style

Artist = Callable[[Sequence[Question]], list[Image.Image]]  # answers questions with pictures

ANSWER_AT_ONCE = 8
TIMED = 5  # pictures
COMPARED = (Topic.SEEN, Topic.COMBINATIONS, Topic.SIDES, Topic.DUOS)  # pairs would fill the set with four subjects
ANOTHER = 1_000_000  # added to a question's seed: the same scene, drawn by chance another way
REBUILT = 32  # held-out drawings per style that tell the VAE's PSNR


@dataclass(frozen=True, slots=True)
class Manner:
    """How pictures are asked for."""

    width: int = 192  # pixels
    height: int = 192  # pixels
    style: Style = Style.FLAT
    steps: int = 20
    guidance: float = 4.0


@dataclass(frozen=True, slots=True)
class Sitting:
    """What an artist's answers came to. The pictures themselves are not kept."""

    score: Score
    features: np.ndarray  # (pictures, judge's FEATURES)


@dataclass(frozen=True, slots=True)
class Appraisal:
    """All that is measured of a model."""

    manner: Manner
    scores: Mapping[str, Score]  # by "topic, artist"
    fid: Mapping[str, float]  # Fréchet distances by "artist to style drawings", of two sets of `fid_pictures`
    fid_pictures: int
    psnr: Mapping[Style, float]  # dB, of held-out drawings that went through the VAE and back
    seconds: float  # the model takes for a single picture, with the threads it was given
    judge: Mapping[Style, Accuracy]


def drawings(manner: Manner) -> Artist:
    """The world itself: what a perfect model would answer."""

    def answer(asked: Sequence[Question]) -> list[Image.Image]:
        width, height, style = manner.width, manner.height, manner.style
        return [draw(q.scene, q.seed, width=width, height=height, style=style).image for q in asked]

    return answer


def reconstructions(vae: AutoencoderKL, manner: Manner) -> Artist:
    """Drawings through the VAE and back: the best that a model with this VAE could answer."""

    def answer(asked: Sequence[Question]) -> list[Image.Image]:
        pixels = np.stack([np.asarray(picture) for picture in drawings(manner)(asked)])
        return as_pictures(_through(vae, as_tensor(pixels)))

    return answer


def model(pipeline: StableDiffusionPipeline, manner: Manner) -> Artist:
    """The model, prompted with the question's words; each picture's noise comes from its own seed."""

    def answer(asked: Sequence[Question]) -> list[Image.Image]:
        return painted(pipeline, [q.prompt for q in asked], [q.seed for q in asked], manner)

    return answer


def painted(
    pipeline: StableDiffusionPipeline, prompts: Sequence[str], seeds: Sequence[int], manner: Manner
) -> list[Image.Image]:
    """A picture for each prompt, each with the noise of its own seed."""
    pictures: list[Image.Image] = pipeline(
        list(prompts),
        width=manner.width,
        height=manner.height,
        num_inference_steps=manner.steps,
        guidance_scale=manner.guidance,
        generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
    ).images
    return pictures


def answers(artist: Artist, asked: Sequence[Question]) -> Iterator[tuple[Question, Image.Image]]:
    """Each question with its picture, made a few at a time."""
    for some in _few(asked):
        yield from zip(some, artist(some), strict=True)


def sit(artist: Artist, asked: Sequence[Question], judge: Judge, style: Style) -> Sitting:
    """Have `artist` answer, mark its pictures as ones in `style`, and keep what they are compared by."""
    marks, features = [], []
    for some in _few(asked):
        pictures = artist(some)
        marks += [mark(question, picture, judge, style) for question, picture in zip(some, pictures, strict=True)]
        features.append(features_of(judge, pictures))
    return Sitting(score(marks), np.concatenate(features))


def seconds_alone(artist: Artist, asked: Sequence[Question]) -> float:
    """The median time of a picture that is made alone, after a first one that is not counted."""
    artist(asked[:1])
    times = []
    for question in asked[:TIMED]:
        start = perf_counter()
        artist([question])
        times.append(perf_counter() - start)
    return median(times)


def appraise(
    pipeline: StableDiffusionPipeline, judge: Judge, manner: Manner, count: int, *, seed: int = 0
) -> Appraisal:
    """Ask `count` questions on every topic; each picture of the model is made once and serves all measures."""
    artists = {
        "drawings": drawings(manner),
        "through the VAE": reconstructions(pipeline.vae, manner),
        "model": model(pipeline, manner),
    }
    asked = {topic: questions(topic, count, seed=seed) for topic in Topic}
    sittings = {
        (topic, name): sit(artist, asked[topic], judge, manner.style)
        for topic in Topic
        for name, artist in artists.items()
    }
    compared = [question for topic in COMPARED for question in asked[topic]]
    made = {name: np.concatenate([sittings[topic, name].features for topic in COMPARED]) for name in artists}
    return Appraisal(
        manner=manner,
        scores={f"{topic}, {name}": sitting.score for (topic, name), sitting in sittings.items()},
        fid=distances(made, compared, judge, manner),
        fid_pictures=len(compared),
        psnr={style: _held_out_psnr(pipeline.vae, replace(manner, style=style)) for style in Style},
        seconds=seconds_alone(artists["model"], asked[Topic.SEEN]),
        judge={style: accuracy(judge, style, count) for style in Style},
    )


def distances(
    made: Mapping[str, np.ndarray], asked: Sequence[Question], judge: Judge, manner: Manner
) -> dict[str, float]:
    """How far each set of features is from fresh drawings, in every style, of what was asked for."""
    others = [replace(question, seed=question.seed + ANOTHER) for question in asked]
    found: dict[str, float] = {}
    for style in Style:
        artist = drawings(replace(manner, style=style))
        fresh = fitted(np.concatenate([features_of(judge, artist(some)) for some in _few(others)]))
        found |= {f"{name} to {style} drawings": frechet_distance(fitted(made[name]), fresh) for name in made}
    return found


def reconstruction_psnr(vae: AutoencoderKL, pixels: np.ndarray) -> float:
    """Mean dB over pictures (n, h, w, 3) that went through the VAE and back."""
    pictures = as_tensor(pixels)
    rebuilt = _through(vae, pictures)
    return float(np.mean([psnr(r, p) for r, p in zip(rebuilt, pictures, strict=True)]))


def _held_out_psnr(vae: AutoencoderKL, manner: Manner) -> float:
    wanted = PictureSet(ANOTHER, REBUILT, manner.width, manner.height, manner.style, held_out=True)
    return reconstruction_psnr(vae, np.stack([wanted.picture(i)[0] for i in range(wanted.count)]))


@torch.no_grad()
def _through(vae: AutoencoderKL, pictures: torch.Tensor) -> torch.Tensor:
    parts = [decoded(vae, latent_means(vae, some)) for some in torch.split(pictures, ANSWER_AT_ONCE)]
    return torch.cat(parts)


def _few(asked: Sequence[Question]) -> Iterator[Sequence[Question]]:
    """The questions, as many at a time as are answered at once."""
    for start in range(0, len(asked), ANSWER_AT_ONCE):
        yield asked[start : start + ANSWER_AT_ONCE]


def as_pictures(tensor: torch.Tensor) -> list[Image.Image]:
    """Pictures of (n, 3, h, w) in -1..1."""
    pixels = ((tensor.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    return [Image.fromarray(p) for p in pixels]


def mixed(count: int, *, seed: int) -> tuple[Question, ...]:
    """The first `count` held-out questions on combinations, sides and duos, by turns."""
    topics = (Topic.COMBINATIONS, Topic.SIDES, Topic.DUOS)
    turns = zip(*(questions(topic, -(-count // len(topics)), seed=seed) for topic in topics), strict=True)
    return tuple(question for turn in turns for question in turn)[:count]


def short_label(scene: Scene) -> str:
    """A scene in a few words on two lines, to go under a small picture."""
    subjects = f" {scene.relation} ".join(f"{s.colour} {s.kind}" for s in scene.subjects)
    place = f", {scene.place}" if len(scene.subjects) == 1 and scene.place is not Place.CENTRE else ""
    return f"{subjects}{place}\n{scene.sky}, {scene.ground}"


def sheet(pictures: Sequence[Image.Image], *, columns: int, labels: Sequence[str] = ()) -> Image.Image:
    """A contact sheet of equally large pictures, each with a label in small type beneath it, if there are labels."""
    width, height = pictures[0].size
    line = 2 + 14 * max((label.count("\n") + 1 for label in labels), default=0) if labels else 0
    rows = -(-len(pictures) // columns)
    page = Image.new("RGB", (columns * width, rows * (height + line)), "white")
    pen = ImageDraw.Draw(page)
    for i, picture in enumerate(pictures):
        x, y = i % columns * width, i // columns * (height + line)
        page.paste(picture, (x, y))
        if labels:
            pen.text((x + 3, y + height + 1), labels[i], fill="black")
    return page
