"""Windows over a large picture: where they lie, how they meet, and a walk through them that can be taken up again."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipelines.core.samplers import SAMPLERS
from pipelines.core.stop import StopMode, StopSignal
from pipelines.generation.conditioning import encode
from pipelines.generation.denoise import Denoised, Looked, denoise, looks
from pipelines.generation.guidance import GuidedDenoiser, StoppedNow
from pipelines.generation.knowledge import Canvas
from pipelines.generation.levels import Level, noise_table
from pipelines.generation.memo import FolderMemo
from pipelines.generation.noise import Noise
from pipelines.generation.predictions import Epsilon
from pipelines.generation.samplers import NUMERICS, Denoiser
from pipelines.generation.schedules import SCHEDULE_FUNCTIONS, Plan, Walk
from pipelines.generation.windowed import Windowed
from pipelines.generation.windows import Blend, Place, Windows
from pipelines.models.loading import LoadedModel
from tests.generation.analytic import CONFIG, GaussianDenoiser, WhiteNoise, laid
from tests.generation.painting import PROMPT

SMALL = Windows(8, 8, 0.25)


@pytest.mark.parametrize(
    ("windows", "height", "width"),
    [(SMALL, 8, 8), (SMALL, 9, 8), (SMALL, 30, 17), (SMALL, 5, 40), (Windows(24, 16, 0.5), 100, 33),
     (Windows(64, 64, 0), 512, 200)],
)  # fmt: skip
def test_windows_cover_all_and_overlap_by_as_much_as_was_asked(windows: Windows, height: int, width: int) -> None:
    places = windows.places(height, width)
    covered = torch.zeros((height, width), dtype=torch.int64)
    for place in places:
        place.cut(covered).add_(1)
        assert (place.bottom - place.top, place.right - place.left) == windows.size(height, width)
    assert covered.min() >= 1
    for starts, side in (({p.left for p in places}, windows.width), ({p.top for p in places}, windows.height)):
        ordered = sorted(starts)
        gaps = [b - a for a, b in pairwise(ordered)]
        assert all(0 < gap <= side * (1 - windows.overlap) for gap in gaps)
        assert not gaps or max(gaps) - min(gaps) <= 1  # evenly spread


def test_a_picture_that_fits_is_one_window() -> None:
    assert SMALL.places(8, 6) == (Place(0, 0, 8, 6),)
    assert SMALL.edges(8, 6) == ([], [])


def test_the_edges_of_windows_are_where_a_seam_could_be() -> None:
    assert Windows(8, 8, 0.25).edges(8, 14) == ([6, 8], [])


def test_a_place_is_cut_at_another_scale() -> None:
    whole = torch.arange(16 * 16).reshape(1, 1, 16, 16)
    assert torch.equal(Place(1, 2, 3, 4).cut(whole, 2), whole[..., 2:6, 4:8])


def test_what_all_windows_agree_on_is_left_as_it_is_and_what_they_do_not_fades() -> None:
    shape, windows = (1, 1, 8, 20), Windows(8, 8, 0.25)
    picture, agreed, apart = torch.randn(shape), *(Blend(shape, windows, torch.device("cpu")) for _ in range(2))
    for number, place in enumerate(windows.places(8, 20)):
        agreed.add(place, place.cut(picture))
        apart.add(place, torch.full((1, 1, 8, 8), float(number)))
    assert (agreed.whole() - picture).abs().max() < 1e-5
    levels = apart.whole()[0, 0, 4]
    assert levels[0] == 0 and levels[-1] == 2
    steps = levels.diff()
    assert (steps >= 0).all() and steps.max() <= 0.51  # over the two columns that overlap


def test_windows_that_have_not_come_show_what_was_there_before() -> None:
    blend = Blend((1, 1, 8, 14), Windows(8, 8, 0.25), torch.device("cpu"))
    blend.add(Place(0, 0, 8, 8), torch.ones(1, 1, 8, 8))
    shown = blend.whole(torch.full((1, 1, 8, 14), 5.0))
    assert (shown[..., :8] - 1).abs().max() < 1e-6 and (shown[..., 8:] == 5).all()


class Pointwise(GaussianDenoiser):
    """A denoiser that looks at each latent alone: windows change nothing for it."""

    def x0(self, x: Tensor, level: Level, place: Place | None = None) -> Tensor:
        return super().x0(x, level).float()


@pytest.mark.parametrize("sampler", [s.key for s in SAMPLERS])
def test_every_sampler_asks_as_often_as_is_foretold(sampler: str) -> None:
    walk, denoiser = laid(sampler, "automatic", 6), GaussianDenoiser(noise_table(CONFIG))
    solver = NUMERICS[sampler].solver
    list(denoise(solver(denoiser, WhiteNoise()), walk, WhiteNoise()))
    assert looks(solver(denoiser, WhiteNoise()), walk) == denoiser.calls


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpmpp_2m", "pndm", "unipc"])
def test_windows_of_what_looks_at_each_latent_alone_change_nothing(sampler: str) -> None:
    walk, table = laid(sampler, "automatic", 5), noise_table(CONFIG)
    plain, windowed = (
        _end(make, sampler, walk, Noise([1], (1, 14, 20), torch.device("cpu")))
        for make in (Pointwise(table), Windowed(Pointwise(table), SMALL, StopSignal()))
    )
    assert (plain - windowed).abs().max() < 1e-4


def _end(denoiser: Denoiser, sampler: str, walk: Walk, noise: Noise) -> Tensor:
    *_, last = denoise(NUMERICS[sampler].solver(denoiser, noise), walk, noise)
    assert isinstance(last, Denoised)
    return last.latents


class Painting:
    """A walk of the starter model over 12 x 8 latents through windows of 8 x 8."""

    steps = 3

    def __init__(self, model: LoadedModel, sampler: str = "dpmpp_2m") -> None:
        self.model, self.sampler = model, sampler
        self.stop = StopSignal()
        self.passes = 0

    def walk(self, memo: FolderMemo | None = None, windows: Windows | None = None) -> Iterator[Denoised | Looked]:
        numerics, model = NUMERICS[self.sampler], self.model
        words = encode(model, PROMPT, "", clip_skip=1)
        inner = GuidedDenoiser(model, words, 5.0, Canvas(64, 64, 1), self.stop)
        windowed = Windowed(inner, windows or SMALL, self.stop, memo)
        plan = Plan(inner.table, self.steps, numerics.habits, model.scheduler_config)
        noise = Noise([5], (4, 12, 8), model.device)
        hook = model.unet.register_forward_pre_hook(self._count)
        try:
            yield from denoise(numerics.solver(windowed, noise), SCHEDULE_FUNCTIONS["automatic"](plan), noise)
        finally:
            hook.remove()

    def _count(self, *_: object) -> None:
        self.passes += 1

    def end(self, memo: FolderMemo | None = None, windows: Windows | None = None) -> Tensor:
        *_, last = self.walk(memo, windows)
        assert isinstance(last, Denoised)
        return last.latents


def test_one_window_is_no_window_bit_by_bit(starter: LoadedModel) -> None:
    painting = Painting(starter)
    inner = GuidedDenoiser(starter, encode(starter, PROMPT, "", clip_skip=1), 5.0, Canvas(64, 96, 1), StopSignal())
    plan = Plan(inner.table, painting.steps, NUMERICS["dpmpp_2m"].habits, starter.scheduler_config)
    noise = Noise([5], (4, 12, 8), starter.device)
    plain = _end(inner, "dpmpp_2m", SCHEDULE_FUNCTIONS["automatic"](plan), noise)
    assert torch.equal(painting.end(windows=Windows(12, 8)), plain)
    assert not torch.equal(painting.end(), plain)


def test_windows_are_told_between_the_steps(starter: LoadedModel) -> None:
    told = [e.windows if isinstance(e, Looked) else -e.number for e in Painting(starter).walk()]
    assert told == [1, 1, -1, 1, 1, -2, 1, 1, -3]


@pytest.mark.parametrize("sampler", ["dpmpp_2m", "dpmpp_sde"])
@pytest.mark.parametrize("windows_done", [1, 2, 3])
def test_a_walk_that_was_cut_off_is_taken_up_where_it_was(
    sampler: str, windows_done: int, starter: LoadedModel, tmp_path: Path
) -> None:
    painting, memo = Painting(starter, sampler), FolderMemo(tmp_path)
    uninterrupted, all_passes = painting.end(), painting.passes
    first = Painting(starter, sampler)
    told = first.walk(memo)
    while first.passes < windows_done:
        next(told)
    told.close()  # type: ignore[attr-defined]
    second = Painting(starter, sampler)
    assert torch.equal(second.end(memo), uninterrupted)
    assert first.passes + second.passes == all_passes
    third = Painting(starter, sampler)
    assert torch.equal(third.end(memo), uninterrupted)
    assert third.passes == 0


def test_what_is_kept_of_a_finished_look_is_one_file(starter: LoadedModel, tmp_path: Path) -> None:
    painting, memo = Painting(starter), FolderMemo(tmp_path)
    kept = [sorted(p.name for p in tmp_path.iterdir()) for _ in painting.walk(memo)]
    assert kept[0] == ["look-0001-00000.npy"] and kept[1] == kept[2] == ["look-0001.npy"]
    assert kept[-1] == ["look-0001.npy", "look-0002.npy", "look-0003.npy"]


@pytest.mark.parametrize("damage", [b"", b"no array", b"\x93NUMPY\x01\x00"])
def test_a_damaged_answer_is_worked_out_anew(damage: bytes, starter: LoadedModel, tmp_path: Path) -> None:
    memo, whole = FolderMemo(tmp_path), Painting(starter).end()
    Painting(starter).end(memo)
    (tmp_path / "look-0002.npy").write_bytes(damage)
    again = Painting(starter)
    assert torch.equal(again.end(memo), whole)
    assert again.passes == 2


def test_a_stop_is_obeyed_between_two_windows(starter: LoadedModel) -> None:
    painting = Painting(starter)
    told = painting.walk()
    next(told)
    painting.stop.ask(StopMode.NOW)
    with pytest.raises(StoppedNow):
        next(told)
    assert painting.passes == 1


def test_the_prediction_is_that_of_whom_it_wraps() -> None:
    inner = Pointwise(noise_table(CONFIG))
    windowed = Windowed(inner, SMALL, StopSignal())
    assert isinstance(windowed.prediction, Epsilon) and windowed.level(1.0) == inner.level(1.0)
