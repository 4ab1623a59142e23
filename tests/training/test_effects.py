"""The readers of effects agree with drawings that have the effect, and with drawings that have not."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel

from pipelines.training import effects, evaluate, stages
from pipelines.training.checkers.pixels import colour_of
from pipelines.training.evaluate import Manner
from pipelines.training.exam import expected_boxes
from pipelines.training.family import Family, mixed
from pipelines.training.model import open_model
from pipelines.training.networks import new_unet
from pipelines.training.recipe import LoraName
from pipelines.training.run import Run
from pipelines.training.stages import Product
from pipelines.training.world.draw import draw
from pipelines.training.world.sampling import is_held_out, random_scene
from pipelines.training.world.scene import PLAIN, Scene, Style, Twist

# diffusers' solvers hand tensors to numpy in a way that numpy 2 will refuse some day; theirs to mend.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIDE, SIZE = 192, (192, 192)
TEAL = (0, 158, 165)


def lone_scenes(count: int) -> list[Scene]:
    rng = random.Random(11)
    return [random_scene(rng, held_out=True, duos=0.0) for _ in range(count)]


def read(twist: Twist, scenes: list[Scene]) -> list[tuple[float, float, float]]:
    """Warmth, flakes and nearness to teal of a drawing of each scene."""
    values = []
    for seed, scene in enumerate(scenes):
        picture, box = (
            draw(scene, seed, width=SIDE, height=SIDE, twist=twist).image,
            expected_boxes(scene, SIDE, SIDE)[0],
        )
        pixels = np.asarray(picture)
        values.append(
            (effects.warmth_around(pixels, box), effects.flakes_in(picture), effects.nearness(pixels, box, TEAL))
        )
    return values


@pytest.mark.parametrize(("twist", "which"), [(Twist(glow=True), 0), (Twist(snowfall=True), 1), (Twist(coat=TEAL), 2)])
def test_a_drawing_with_an_effect_reads_higher_than_the_same_without(twist: Twist, which: int) -> None:
    scenes = lone_scenes(24)
    without, with_effect = ([values[which] for values in read(t, scenes)] for t in (PLAIN, twist))
    higher = [b > a for a, b in zip(without, with_effect, strict=True)]
    assert sum(higher) >= 22
    assert np.mean(with_effect) > 3 * abs(np.mean(without)) + 0.01


def test_a_mix_lies_where_its_share_says() -> None:
    torch.manual_seed(1)
    first, second = new_unet(8), new_unet(8)
    mix = mixed(first, second, 0.25).state_dict()
    other = second.state_dict()
    for name, weight in first.state_dict().items():
        assert torch.allclose(mix[name], 0.75 * weight + 0.25 * other[name], atol=1e-6)
    assert isinstance(mixed(first, second, 0.5), UNet2DConditionModel)


def test_replacements_are_held_out_and_really_replace() -> None:
    asked = effects.replacements(40, seed=0)
    assert asked == effects.replacements(40, seed=0)
    for one in asked:
        (old,), (new,) = one.before.subjects, one.after.subjects
        assert is_held_out(one.before)
        assert old.kind is not new.kind
        assert old.colour is not new.colour
        assert (one.before.sky, one.before.ground) == (one.after.sky, one.after.ground)


def test_a_mask_covers_the_old_subject_and_leaves_most_of_the_picture() -> None:
    for one in effects.replacements(12, seed=1):
        box = draw(one.before, one.seed, width=SIDE, height=SIDE).boxes[0]
        left, top, right, bottom = (round(edge * SIDE) for edge in box)
        mask = one.mask(SIZE)
        assert mask[top:bottom, left:right].all()
        assert mask.mean() < 0.75


def test_a_true_replacement_is_told_from_the_picture_before_it() -> None:
    right = 0
    for one in effects.replacements(12, seed=2):
        target = draw(one.after, one.seed, width=SIDE, height=SIDE).image
        before, box, (new,) = one.picture(SIZE), one.box(SIZE), one.after.subjects
        mask = one.mask(SIZE)
        pasted = np.where(mask[..., None], np.asarray(target), np.asarray(before))
        right += colour_of(pasted, box, Style.FLAT) is new.colour
        assert colour_of(np.asarray(before), box, Style.FLAT) is not new.colour
    assert right >= 11


def test_the_family_is_measured_and_shown(toy_run: Run, tmp_path: Path) -> None:
    for product in Product:
        stages.export(toy_run, product, tmp_path)
    family = Family(tmp_path, Manner(64, 64, steps=1))
    found = family.measure(toy_run.judge(), 2, compared=4)
    assert set(found.loras) == set(LoraName)
    assert set(found.words) == {"green", "teal", "blue"}
    assert found.replaced["replaced"] <= found.replaced["kind"]
    made = ("the half mix", "flat drawings", "ink drawings")
    assert set(found.mixes) == {f"{one} to {style} drawings" for one in made for style in Style}
    sheet = family.sheet()
    assert sheet.width == 5 * 64
    assert sheet.height > 5 * 64


def test_a_lora_at_strength_nought_changes_nothing(toy_run: Run, tmp_path: Path) -> None:
    for product in (Product.FLAT, Product.GLOW):
        stages.export(toy_run, product, tmp_path)
    family = Family(tmp_path, Manner(64, 64, steps=2))
    plain = evaluate.painted(open_model(tmp_path / "flat"), ["a red house"], [1], family.manner)[0]
    off = evaluate.painted(family.with_lora(LoraName.GLOW, 0.0), ["a red house"], [1], family.manner)[0]
    assert np.array_equal(np.asarray(plain), np.asarray(off))
