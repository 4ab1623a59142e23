"""An evaluation from a model to its figures, and the sheets of pictures."""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from diffusers import StableDiffusionPipeline
from PIL import Image

from pipelines.training import evaluate, stages
from pipelines.training.__main__ import main
from pipelines.training.checkers.judge import FEATURES
from pipelines.training.evaluate import Manner, Sitting
from pipelines.training.exam import Question, Score, Topic, questions
from pipelines.training.model import open_model
from pipelines.training.run import Run
from pipelines.training.stages import Product
from pipelines.training.world.sampling import is_held_out
from pipelines.training.world.scene import Colour, Ground, Kind, Place, Relation, Scene, Sky, Style, Subject
from tests.training.judges import shipped_judge

# diffusers' solvers hand tensors to numpy in a way that numpy 2 will refuse some day; theirs to mend.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SMALL = Manner(64, 64, steps=2)


@pytest.fixture(scope="module")
def toy(toy_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has hardly learnt anything."""
    return stages.export(toy_run, Product.FLAT, tmp_path_factory.mktemp("evaluate"))


@pytest.fixture(scope="module")
def pipeline(toy: Path) -> StableDiffusionPipeline:
    return open_model(toy)


@pytest.fixture(scope="module")
def untrained(pipeline: StableDiffusionPipeline) -> Sitting:
    return evaluate.sit(evaluate.model(pipeline, SMALL), questions(Topic.DUOS, 9, seed=0), shipped_judge(), Style.FLAT)


@pytest.mark.parametrize("style", Style)
def test_the_world_itself_passes_its_own_examination(style: Style) -> None:
    manner = Manner(128, 128, style)
    sitting = evaluate.sit(evaluate.drawings(manner), questions(Topic.DUOS, 30, seed=0), shipped_judge(), style)
    assert min(sitting.score.sky, sitting.score.ground, sitting.score.colour) >= 0.95


def test_an_untrained_model_fails_the_examination(untrained: Sitting) -> None:
    assert untrained.score.pictures == 9
    assert untrained.score.whole == 0
    assert untrained.score.colour < 0.3


def test_a_sitting_keeps_what_its_pictures_are_compared_by(untrained: Sitting) -> None:
    assert untrained.features.shape == (9, FEATURES)


def test_a_pictures_time_is_that_of_one_made_alone_and_not_of_the_first() -> None:
    asked_for: list[int] = []

    def artist(asked: Sequence[Question]) -> list[Image.Image]:
        asked_for.append(len(asked))
        time.sleep(0.5 if len(asked_for) == 1 else 0.02)
        return [Image.new("RGB", (8, 8)) for _ in asked]

    assert 0.02 <= evaluate.seconds_alone(artist, questions(Topic.SEEN, 8, seed=0)) < 0.4
    assert asked_for == [1] * (1 + evaluate.TIMED)


def test_the_same_question_gets_the_same_picture_alone_and_among_others(pipeline: StableDiffusionPipeline) -> None:
    artist = evaluate.model(pipeline, SMALL)
    asked = questions(Topic.COMBINATIONS, 3, seed=0)
    together, alone = artist(asked)[1], artist(asked[1:2])[0]
    assert np.abs(np.asarray(together).astype(int) - np.asarray(alone)).max() <= 1


def test_drawings_are_nearer_to_drawings_of_their_style_than_to_the_others() -> None:
    asked = questions(Topic.SIDES, 48, seed=0)
    manner = Manner(64, 64, Style.INK)
    made = {"ink": evaluate.sit(evaluate.drawings(manner), asked, shipped_judge(), Style.INK).features}
    found = evaluate.distances(made, asked, shipped_judge(), manner)
    assert set(found) == {"ink to flat drawings", "ink to ink drawings"}
    assert 0 < 3 * found["ink to ink drawings"] < found["ink to flat drawings"]


def test_the_grids_questions_are_held_out_mixed_and_not_chosen() -> None:
    asked = evaluate.mixed(64, seed=1)
    assert len(asked) == 64
    assert all(is_held_out(q.scene) for q in asked)
    assert {len(q.scene.subjects) for q in asked[:3]} == {1, 2}
    assert {q.scene.place for q in asked if len(q.scene.subjects) == 1} == set(Place)
    assert asked[:20] == evaluate.mixed(20, seed=1)


def test_a_label_says_what_was_asked_for() -> None:
    subjects = (Subject(Kind.CAT, Colour.RED), Subject(Kind.CAR, Colour.BLUE))
    duo = Scene(subjects, Sky.NIGHT, Ground.SEA, relation=Relation.BEHIND)
    alone = Scene(subjects[:1], Sky.DAY, Ground.SNOW, place=Place.LEFT)
    assert evaluate.short_label(duo) == "red cat behind blue car\nnight, sea"
    assert evaluate.short_label(alone) == "red cat, left\nday, snow"


def test_a_sheet_has_room_for_its_pictures_and_their_labels() -> None:
    pictures = [Image.new("RGB", (64, 48), "red")] * 5
    assert evaluate.sheet(pictures, columns=2).size == (128, 144)
    labelled = evaluate.sheet(pictures, columns=2, labels=["one\ntwo"] * 5)
    assert labelled.width == 128
    assert labelled.height > 144
    paper = np.asarray(labelled.crop((0, 48, 64, labelled.height // 3)))
    assert (paper < 128).any()


def test_the_command_prints_a_table_and_all_figures_as_json(
    toy_run: Run, toy: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    judge = stages.export(toy_run, Product.JUDGE, toy.parent)
    words = ("--judge", judge, "--model", toy, "--style", "ink", "--size", "64x64", "--count", 2, "--steps", 2)
    monkeypatch.setattr(sys, "argv", ["training", "evaluate", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    said = capfd.readouterr()
    found = json.loads(said.out)
    assert found["scores"]["combinations, drawings"]["pictures"] == 2
    assert set(found["scores"]["duos, model"]) == {field.name for field in fields(Score)}
    assert found["fid_pictures"] == 8
    artists = ("drawings", "through the VAE", "model")
    assert set(found["fid"]) == {f"{artist} to {style} drawings" for artist in artists for style in Style}
    assert found["manner"] == {"width": 64, "height": 64, "style": "ink", "steps": 2, "guidance": 4.0}
    assert set(found["psnr"]) == set(found["judge"]) == {"flat", "ink"}
    assert found["seconds"] > 0
    assert all(word in said.err for word in ("through the VAE", "whole", "FID", "PSNR", "s per picture"))
