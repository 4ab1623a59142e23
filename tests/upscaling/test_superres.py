"""Diffusion models that enlarge: ours against the stock pipelines, and what holds for pictures of any size."""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pipelines.core.error import InvalidRequest, UnknownName
from pipelines.core.event import Noted, Preview, Progress
from pipelines.core.placement import Phase
from pipelines.core.stop import StopMode, StopSignal
from pipelines.generation.previews import latent_colours
from pipelines.models.loading import LoadedEnlarger
from pipelines.models.memory import RanOut
from pipelines.models.residency import Residency
from pipelines.models.scan import ModelLibrary
from pipelines.upscaling.superres import Resolved, Wish, super_resolved
from pipelines.upscaling.tiles import Levels
from tests.models.enlargers import latent, ldm, write_x4_file, x4

MAKES: dict[str, Callable[[], Any]] = {"x4": x4, "latent": latent, "ldm": ldm}
WISH = Wish("a red fox", "grey", steps=3, cfg=4.0, seed=7)


@pytest.fixture(scope="module")
def stock() -> dict[str, Any]:
    """The stock pipelines, of chance. Shared: leave them as they are."""
    torch.set_num_threads(1)
    made = {name: make() for name, make in MAKES.items()}
    for pipeline in made.values():
        pipeline.set_progress_bar_config(disable=True)
    return made


@pytest.fixture(scope="module")
def models(stock: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, LoadedEnlarger]:
    """The same as Easel loads them, and the x4 upscaler as one file, too."""
    root = tmp_path_factory.mktemp("models")
    for name, pipeline in stock.items():
        pipeline.save_pretrained(root / name)
    write_x4_file(root / "single.safetensors", stock["x4"])
    library, residency = ModelLibrary([root]), Residency("cpu")
    return {name: residency.lend_enlarger(library.upscaler(name)) for name in (*MAKES, "single")}


def picture(height: int, width: int) -> Levels:
    """Soft fields of colour."""
    fields = torch.rand((1, 3, 3, 3), generator=torch.Generator().manual_seed(3))
    soft = torch.nn.functional.interpolate(fields, size=(height, width), mode="bicubic", align_corners=True)
    levels: Levels = soft.clamp(0, 1)[0].permute(1, 2, 0).contiguous().numpy()
    return levels


def made(model: LoadedEnlarger, low: Levels, wish: Wish = WISH, **settings: Any) -> Levels:
    *_, last = super_resolved(model, low, wish, StopSignal(), **settings)
    assert isinstance(last, Resolved)
    return last.pixels


def furthest(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """In 255ths."""
    assert a.shape == b.shape
    return float(np.abs(a - b).max() * 255)


def by_stock_x4(pipeline: Any, low: Levels, wish: Wish) -> Levels:
    """Both draw the noise of the picture first, then that of the latents."""
    painted: Levels = pipeline(
        wish.prompt, low[None], wish.steps, wish.cfg, 20 if wish.noise_level is None else wish.noise_level,
        wish.negative_prompt, generator=torch.Generator().manual_seed(wish.seed), output_type="np",
    ).images[0]  # fmt: skip
    return painted


@pytest.mark.parametrize("wish", [WISH, Wish("", steps=2, cfg=1, seed=1, noise_level=0), Wish("x", steps=2, cfg=9,
                                  noise_level=350)], ids=["guided", "unguided", "noisy"])  # fmt: skip
def test_the_x4_upscaler_equals_stock(wish: Wish, stock: dict[str, Any], models: dict[str, LoadedEnlarger]) -> None:
    low = picture(16, 24)
    ours = made(models["x4"], low, wish)
    assert ours.shape == (64, 96, 3) and np.ptp(ours) > 0.2
    assert furthest(ours, by_stock_x4(stock["x4"], low, wish)) < 1


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_the_latent_upscaler_equals_stock(stock: dict[str, Any], models: dict[str, LoadedEnlarger]) -> None:
    """Stock draws from what the encoder says; this encoder is sure of it. Its latents begin with our noise."""
    low, noise = picture(64, 96), torch.randn((1, 4, 16, 24), generator=torch.Generator().manual_seed(WISH.seed))
    theirs = stock["latent"](
        WISH.prompt, low[None], WISH.steps, WISH.cfg, WISH.negative_prompt, latents=noise, output_type="np"
    ).images[0]
    ours = made(models["latent"], low)
    assert ours.shape == (128, 192, 3) and np.ptp(ours) > 0.2
    assert furthest(ours, theirs) < 1


def test_ldm_super_resolution_equals_stock(stock: dict[str, Any], models: dict[str, LoadedEnlarger]) -> None:
    low = picture(32, 64)
    shown = torch.from_numpy(low).permute(2, 0, 1)[None] * 2 - 1
    generator = torch.Generator().manual_seed(WISH.seed)
    theirs = stock["ldm"](shown, num_inference_steps=3, generator=generator, output_type="np").images[0]
    ours = made(models["ldm"], low)
    assert ours.shape == (128, 256, 3) and np.ptp(ours) > 0.2
    assert furthest(ours, theirs) < 1


def test_a_single_file_is_the_folder(models: dict[str, LoadedEnlarger]) -> None:
    low = picture(16, 16)
    assert furthest(made(models["single"], low), made(models["x4"], low)) < 0.1


@pytest.mark.parametrize("name", MAKES)
def test_what_a_model_says_of_itself(name: str, models: dict[str, LoadedEnlarger]) -> None:
    told = {"x4": (4, True, True, 350), "latent": (2, False, True, 0), "ldm": (4, False, False, 0)}
    model = models[name]
    assert (model.factor, model.takes_noise, model.takes_words, model.most_noise) == told[name]


@pytest.mark.parametrize("size", [(1, 1), (33, 47)], ids=str)
@pytest.mark.parametrize("name", MAKES)
def test_any_size_will_do(name: str, size: tuple[int, int], models: dict[str, LoadedEnlarger]) -> None:
    model = models[name]
    large = made(model, picture(*size), Wish(steps=1, cfg=1))
    assert large.shape == (size[0] * model.factor, size[1] * model.factor, 3)
    assert large.dtype == np.float32 and large.min() >= 0 and large.max() <= 1


@pytest.mark.parametrize("name", MAKES)
@pytest.mark.parametrize("sampler", ["Euler a", "dpmpp_2m"])
def test_any_sampler_will_do(name: str, sampler: str, models: dict[str, LoadedEnlarger]) -> None:
    wish, low = Wish(steps=2, cfg=1, sampler=sampler), picture(16, 16)
    assert np.array_equal(made(models[name], low, wish), made(models[name], low, wish))


def test_noise_seed_and_words_change_the_picture(models: dict[str, LoadedEnlarger]) -> None:
    low, model = picture(16, 16), models["x4"]
    plain = made(model, low)
    for other in (Wish("a red fox", "grey", 3, 4.0, 7, noise_level=300), Wish("a red fox", "grey", 3, 4.0, 8),
                  Wish("a blue whale", "grey", 3, 4.0, 7)):  # fmt: skip
        assert furthest(plain, made(model, low, other)) > 2
    assert furthest(plain, made(model, low, Wish("a red fox", "grey", 3, 4.0, 7, noise_level=20))) == 0


class Pointwise(torch.nn.Module):
    """A network that looks at each latent by itself."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, seen: Tensor, time: Tensor, **_: Any) -> tuple[Tensor]:
        shown = seen[:, self.channels :].mean(dim=1, keepdim=True)
        return ((seen[:, : self.channels] * 0.5 + shown).tanh() + time.reshape(-1, 1, 1, 1) / 1000,)


class Quadrupled:
    """A decoder that makes four by four pixels of each latent."""

    config = SimpleNamespace(latent_channels=4, scaling_factor=1.0, block_out_channels=(1, 1, 1))

    def decode(self, latents: Tensor, return_dict: bool) -> tuple[Tensor]:
        assert not return_dict
        return (latents[:, :3].repeat_interleave(4, dim=-1).repeat_interleave(4, dim=-2),)


def without_its_reach(model: LoadedEnlarger) -> LoadedEnlarger:
    """`model` with networks that see no neighbours; previews know its own colours by then."""
    latent_colours(model)
    return replace(model, unet=Pointwise(4), vae=Quadrupled(), recall=model.recall)


@pytest.mark.parametrize("tile", [16, 24, 40])
def test_windows_show_each_place_its_own(tile: int, models: dict[str, LoadedEnlarger]) -> None:
    """Where a network sees no neighbours tiles are the whole: noise, picture and weights lie where they must."""
    model, low = without_its_reach(models["x4"]), picture(33, 70)
    for sampler in ("ddim", "Euler a"):
        wish = replace(WISH, sampler=sampler, noise_level=100)
        assert furthest(made(model, low, wish), made(model, low, wish, tile=tile)) < 0.01


@pytest.mark.parametrize("name", MAKES)
def test_tiles_are_close_to_the_whole(name: str, models: dict[str, LoadedEnlarger]) -> None:
    """Within three fifths of what the picture varies by. These networks of chance see all of a tile at once,
    in their norms and attention; what trained ones make of tiles is closer, but never the same.
    """
    model = models[name]
    multiple = model.plan.multiple
    low, wish = picture(4 * multiple, 3 * multiple), Wish("a red fox", steps=2, cfg=1, seed=7)
    whole, tiled = made(model, low, wish), made(model, low, wish, tile=2 * multiple)
    assert 0 < np.abs(whole - tiled).mean() < 0.6 * whole.std()


def test_without_room_the_smallest_windows_are_taken(models: dict[str, LoadedEnlarger]) -> None:
    model, low = without_its_reach(models["x4"]), picture(80, 72)
    sides: list[tuple[int, ...]] = []
    model.unet.register_forward_pre_hook(lambda _, seen: sides.append(tuple(seen[0].shape[-2:])))
    made(model, low, room=1)
    assert set(sides) == {(64, 64)} and len(sides) == 3 * 4
    sides.clear()
    made(model, low, room=10**12)
    assert sides == [(80, 72)] * 3


def test_memory_that_runs_out_is_met_with_smaller_windows(models: dict[str, LoadedEnlarger]) -> None:
    model, low = without_its_reach(models["x4"]), picture(150, 140)

    def runs_out_at_once(_: torch.nn.Module, __: tuple[Tensor, ...]) -> None:
        raise RuntimeError("CUDA out of memory")

    def runs_out(_: torch.nn.Module, seen: tuple[Tensor, ...]) -> None:
        if max(seen[0].shape[-2:]) > 100:
            raise RuntimeError("CUDA out of memory")

    model.unet.register_forward_pre_hook(runs_out)
    told = list(super_resolved(model, low, WISH, StopSignal(), room=10**12))
    assert [event.text for event in told if isinstance(event, Noted)] == [
        "Memory ran out: now the picture is seen in tiles of 80 pixels"
    ]
    assert isinstance(told[-1], Resolved) and told[-1].pixels.shape == (600, 560, 3)
    model.unet.register_forward_pre_hook(runs_out_at_once)
    with pytest.raises(RanOut) as error:
        made(model, low)
    assert error.value.phase is Phase.DENOISING


def test_each_step_is_told_and_shown(models: dict[str, LoadedEnlarger]) -> None:
    for name, size in {"x4": (40, 9), "latent": (10, 3), "ldm": (40, 9)}.items():
        told = list(super_resolved(models[name], picture(40, 9), WISH, StopSignal()))
        steps = [event for event in told if isinstance(event, Progress)]
        assert [(event.step, event.steps, event.count) for event in steps] == [(n, 3, 1) for n in range(4)]
        assert steps[0].seconds_left is None and all(event.seconds_left is not None for event in steps[1:])
        looks = [event for event in told if isinstance(event, Preview)]
        assert looks and looks[0].step == 1
        shown = Image.open(BytesIO(looks[0].jpeg))
        assert (shown.format, shown.size[::-1]) == ("JPEG", size)


@pytest.mark.parametrize("tile", [0, 16])
def test_a_stop_ends_within_a_step(tile: int, models: dict[str, LoadedEnlarger]) -> None:
    model, stop, calls = without_its_reach(models["x4"]), StopSignal(), 0

    def asks(_: torch.nn.Module, __: tuple[Tensor, ...]) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            stop.ask(StopMode.NOW)

    model.unet.register_forward_pre_hook(asks)
    told = list(super_resolved(model, picture(32, 32), replace(WISH, steps=10), stop, tile=tile))
    assert calls == 2 and not any(isinstance(event, Resolved) for event in told)


@pytest.mark.parametrize(
    ("name", "wish", "says"),
    [
        ("x4", Wish(noise_level=351), "was not trained with noise level 351; use 0 to 350"),
        ("latent", Wish(noise_level=20), "gives its picture no noise; leave the noise level empty"),
        ("ldm", Wish(noise_level=20), "gives its picture no noise; leave the noise level empty"),
        ("x4", Wish(steps=1000), "1000 steps are more than this model's 1000 training times can be divided into"),
    ],
)
def test_what_a_model_cannot_be_asked(name: str, wish: Wish, says: str, models: dict[str, LoadedEnlarger]) -> None:
    with pytest.raises(InvalidRequest, match=says):
        made(models[name], picture(8, 8), wish)


def test_an_unknown_sampler_and_an_empty_picture_are_refused(models: dict[str, LoadedEnlarger]) -> None:
    with pytest.raises(UnknownName, match="sampler"):
        made(models["x4"], picture(8, 8), Wish(sampler="eular"))
    with pytest.raises(InvalidRequest, match="no picture to enlarge"):
        made(models["x4"], np.zeros((0, 8, 3), np.float32))
