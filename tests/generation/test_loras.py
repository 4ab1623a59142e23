"""LoRAs are added for one job: the picture is that of the baked model, and the model is afterwards what it was."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.core.error import ModelUnusable
from pipelines.core.event import Failed, Noted
from pipelines.core.model import Family, ModelInfo
from pipelines.core.placement import Placement
from pipelines.core.presets import STARTER_MODELS
from pipelines.core.recipe import Mix
from pipelines.core.request import LoraChoice
from pipelines.core.stop import StopSignal
from pipelines.generation.loras import applied, fitted
from pipelines.jobs.hashes import NoBook
from pipelines.jobs.keeping import Keeper
from pipelines.jobs.merging import merge
from pipelines.jobs.orders import Order
from pipelines.jobs.perform import Painter
from pipelines.jobs.worker import Work
from pipelines.models.loading import LoadedModel, Manner, load
from pipelines.models.lora.file import read_lora
from pipelines.models.lora.strength import Strength
from pipelines.models.reading import read_model
from pipelines.models.residency import Residency
from pipelines.models.scan import ModelLibrary
from pipelines.storage.pictures import PictureFiles
from pipelines.storage.sources import SourceStore
from tests.generation.painting import ask, difference, paint
from tests.jobs.studio import pixels
from tests.models import loras
from tests.models.synthetic import networks, write_single

GLOW = STARTER_MODELS / "loras" / "glow.safetensors"
WHOLE = Strength()
PLACES = [Placement.WHOLE, Placement.TURNS, Placement.STREAMED]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> ModelInfo:
    """A small SD 1.x whose text encoder can be changed, too."""
    return read_model(
        write_single(
            tmp_path_factory.mktemp("m") / "small.safetensors", networks(Family.SD1, small=True), torch.float16
        ),
        "small",
    )


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kind of adapter somewhere, in the UNet and in the text encoder."""
    shapes = {"lora_te_text_model_encoder_layers_0_mlp_fc1": (256, 64)}
    for number, side in enumerate(("to_q", "to_k", "to_v")):
        for n in (1, 2):
            shapes[f"lora_unet_down_blocks_{number}_attentions_0_transformer_blocks_0_attn{n}_{side}"] = (
                128 if number > 1 else 64, 64 if n == 2 and side != "to_q" else 128 if number > 1 else 64,
            )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    tensors: dict[str, torch.Tensor] = {}
    kinds = ["LoRA", "LoHa", "LoKr", "DoRA", "IA3", "OFT", "full difference"]
    for kind, (key, shape) in zip(kinds, shapes.items(), strict=True):
        parts = loras.KINDS[kind](shape, generator)
        if kind == "full difference":
            del parts["diff_b"]  # this one has no bias
        tensors |= {f"{key}.{part}": t.contiguous() for part, t in parts.items()}
    file = tmp_path_factory.mktemp("loras") / "everything.safetensors"
    save_file(tensors, file)
    return file


def loaded(info: ModelInfo, placement: Placement = Placement.WHOLE) -> LoadedModel:
    return load(info, Manner(torch.device("cpu"), torch.float32, placement))


def painted(model: LoadedModel, file: Path, strength: Strength = WHOLE) -> "np.ndarray":
    with applied(model, fitted(model, [(read_lora(file, "lora"), strength)])):
        return paint(model)[0]


def baked(info: ModelInfo, file: Path, target: Path, strength: Strength = WHOLE) -> ModelInfo:
    order = Order(Mix(method="keep", dtype="fp32"), (info,), target, loras=((read_model(file, "lora"), strength),))
    for _ in merge(order, NoBook()):
        pass
    return read_model(target, target.stem)


@pytest.mark.parametrize("strength", [Strength(), Strength(0.6, 0.3), Strength(-0.5)], ids=["1", "0.6:0.3", "-0.5"])
def test_painting_with_a_lora_is_painting_with_the_baked_model(
    strength: Strength, small: ModelInfo, everything: Path, tmp_path: Path
) -> None:
    beside = loaded(baked(small, everything, tmp_path / "baked.safetensors", strength))
    model = loaded(small)
    with_lora = painted(model, everything, strength)
    assert difference(with_lora, paint(beside)[0]) <= 1
    assert difference(with_lora, paint(model)[0]) > 3


def test_the_starter_lora_too(tmp_path: Path) -> None:
    flat = ModelLibrary([STARTER_MODELS]).usable("flat")
    beside = loaded(baked(flat, GLOW, tmp_path / "glowing.safetensors"))
    assert difference(painted(loaded(flat), GLOW), paint(beside)[0]) <= 1


@pytest.mark.parametrize("placement", PLACES, ids=str)
def test_wherever_the_weights_wait_and_nothing_is_left_behind(
    placement: Placement, small: ModelInfo, everything: Path
) -> None:
    model = loaded(small, placement)
    before = {n: p.detach().clone() for net in (model.unet, model.towers[0].encoder) for n, p in net.named_parameters()}
    owners = {id(p) for net in (model.unet, model.towers[0].encoder) for p in net.parameters()}
    plain = paint(model)[0]
    changed = painted(model, everything)
    assert difference(changed, painted(loaded(small), everything)) <= 1
    after = {n: p for net in (model.unet, model.towers[0].encoder) for n, p in net.named_parameters()}
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert {id(p) for p in after.values()} == owners
    assert np.array_equal(paint(model)[0], plain)  # also the texts are read as before


def test_a_strength_of_nothing_is_no_lora(small: ModelInfo, everything: Path) -> None:
    model = loaded(small)
    assert np.array_equal(painted(model, everything, Strength(0.0, 0.0)), paint(model)[0])
    zeros = Strength(1.0, 1.0, (0.0,) * 17)
    assert np.array_equal(painted(model, everything, zeros), paint(model)[0])


def test_one_for_another_model_is_refused(small: ModelInfo) -> None:
    with pytest.raises(ModelUnusable, match="is for another model: at lora_unet_down_blocks_0"):
        painted(loaded(small), GLOW)


class TestJobs:
    @pytest.fixture
    def painter(self, tmp_path: Path) -> Iterator[Painter]:
        broken = load_file(GLOW)
        broken["lora_unet_up_blocks_3_attentions_2_proj_out.lora_up.weight"][0, 0] = float("nan")
        save_file(broken, tmp_path / "broken.safetensors", {"ss_base_model_version": "sd_v1"})
        stray = load_file(GLOW) | {"lora_unet_nowhere.lora_up.weight": torch.ones(2, 2),
                                   "lora_unet_nowhere.lora_down.weight": torch.ones(2, 2)}  # fmt: skip
        save_file(stray, tmp_path / "stray.safetensors", {"ss_base_model_version": "sd_v1"})
        residency = Residency("cpu")
        library = ModelLibrary([STARTER_MODELS, tmp_path])
        yield Painter(library, residency, PictureFiles(tmp_path), SourceStore(tmp_path), Keeper(residency, tmp_path))

    def work(self, *names: str) -> Work:
        return Work(ask(model="flat", loras=tuple(LoraChoice(name=name) for name in names)))

    def test_a_job_that_fails_over_its_lora_leaves_nothing_to_the_next(self, painter: Painter, tmp_path: Path) -> None:
        plain = pixels(painter.perform(self.work(), StopSignal()), tmp_path)
        glowing = pixels(painter.perform(self.work("glow"), StopSignal()), tmp_path)
        assert glowing != plain
        *_, failed = painter.perform(self.work("glow", "broken"), StopSignal())
        assert (
            isinstance(failed, Failed) and "numbers that are none, in lora_unet_up_blocks_3" in failed.problem.problem
        )
        assert pixels(painter.perform(self.work(), StopSignal()), tmp_path) == plain

    def test_what_does_not_fit_is_told_and_what_is_not_there_refused(self, painter: Painter) -> None:
        events = list(painter.perform(self.work("stray"), StopSignal()))
        assert Noted(text="'stray': the model has no place for lora_unet_nowhere") in events
        for name, complaint in (("glou", "use 'glow'"), ("ink", "'ink' is no LoRA (checkpoint)")):
            *_, failed = painter.perform(self.work(name), StopSignal())
            assert isinstance(failed, Failed)
            assert complaint in f"{failed.problem.problem}; {failed.problem.fix}"

    def test_the_same_lora_twice_counts_twice(self, painter: Painter, tmp_path: Path) -> None:
        twice = pixels(painter.perform(self.work("glow", "glow"), StopSignal()), tmp_path)
        double = Work(ask(model="flat", loras=(LoraChoice(name="glow", unet=2.0, text=2.0),)))
        once = pixels(painter.perform(double, StopSignal()), tmp_path)
        apart = [np.frombuffer(one, np.uint8).astype(int) for one in (twice[0], once[0])]
        assert np.abs(apart[0] - apart[1]).max() <= 1
