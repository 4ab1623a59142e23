"""A picture painted over by the whole worker: what was not painted stays to the bit, whatever the picture is."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from pipelines.core.event import Event, Failed, PictureSaved, Preview
from pipelines.core.inpaint import Area, Border, Content, Fit, InpaintRequest, Region
from pipelines.core.request import GenerateRequest
from pipelines.core.stop import StopSignal
from pipelines.jobs.differences import difference
from pipelines.jobs.perform import Painter
from pipelines.jobs.worker import Work
from pipelines.storage.deep import DeepPicture, read_deep_png, write_deep_png
from pipelines.storage.facts import read_picture
from pipelines.storage.sources import SourceStore

WIDTH, HEIGHT = 96, 80
PAINTED = (slice(24, 56), slice(32, 72))


def colours(*, deep: bool = False) -> np.ndarray:
    """(h, w, 3), every pixel another."""
    down, across = np.mgrid[0:HEIGHT, 0:WIDTH]
    levels = np.stack([across * 2, down * 3, (across + down) % 256], axis=-1)
    return (levels * 257 + across[..., None]).astype(np.uint16) if deep else levels.astype(np.uint8)


@pytest.fixture(scope="module")
def scene(painter: Painter) -> Image.Image:
    """A picture that the model itself has painted."""
    request = GenerateRequest(prompt="a red house", seed=1, steps=8, width=WIDTH, height=HEIGHT, model="flat")
    saved = [e for e in painter.perform(Work(request), StopSignal()) if isinstance(e, PictureSaved)]
    with Image.open(painter._files.outputs / saved[0].file) as opened:
        return opened.convert("RGB")


def as_bytes(image: Image.Image, form: str = "PNG", **more: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format=form, **more)
    return buffer.getvalue()


def a_mask(level: int = 255, part: tuple[slice, slice] = PAINTED) -> bytes:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[part] = level
    return as_bytes(Image.fromarray(mask))


def order(sources: SourceStore, picture: bytes, mask: bytes | None = None, **fields: Any) -> InpaintRequest:
    painted = GenerateRequest(prompt="a blue house", seed=4, steps=4, width=64, height=64, model="flat")
    given = {"picture": painted, "source": sources.keep(picture).id, "mask": mask and sources.keep(mask).id, **fields}
    return InpaintRequest(**given)


def result(painter: Painter, request: InpaintRequest) -> Path:
    """The file of the only picture."""
    events = list(painter.perform(Work(request), StopSignal()))
    saved = [event for event in events if isinstance(event, PictureSaved)]
    assert len(saved) == 1, events[-1]
    return painter._files.outputs / saved[0].file


def outside(shape: tuple[int, ...], reach: int) -> np.ndarray:
    """Where nothing may change: (h, w), True outside of the mask and its soft edge."""
    far = np.ones(shape[:2], bool)
    rows, columns = PAINTED
    far[rows.start - reach : rows.stop + reach, columns.start - reach : columns.stop + reach] = False
    return far


def rgb() -> Image.Image:
    return Image.fromarray(colours())


def with_alpha() -> Image.Image:
    alpha = Image.fromarray((colours()[..., 0] // 2 + 60).astype(np.uint8))
    image = rgb()
    image.putalpha(alpha)
    return image


def palette_with_transparency() -> bytes:
    return as_bytes(rgb().quantize(64), transparency=5)


def turned() -> bytes:
    """Stored lying, to be looked at standing upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return as_bytes(rgb().transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif)


KINDS: dict[str, Callable[[], bytes]] = {
    "RGB": lambda: as_bytes(rgb()),
    "RGBA": lambda: as_bytes(with_alpha()),
    "grey": lambda: as_bytes(rgb().convert("L")),
    "grey and alpha": lambda: as_bytes(with_alpha().convert("LA")),
    "black and white": lambda: as_bytes(rgb().convert("1")),
    "palette": lambda: as_bytes(rgb().quantize(64)),
    "palette with a transparent colour": palette_with_transparency,
    "JPEG": lambda: as_bytes(rgb(), "JPEG", quality=90),
    "CMYK": lambda: as_bytes(rgb().convert("CMYK"), "JPEG"),
    "WebP": lambda: as_bytes(with_alpha(), "WEBP", lossless=True),
    "turned": turned,
    "animated": lambda: as_bytes(rgb(), "WEBP", lossless=True, save_all=True, append_images=[rgb().rotate(180)]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_not_painted_is_as_it_was(kind: str, painter: Painter, sources: SourceStore) -> None:
    picture = KINDS[kind]()
    request = order(sources, picture, a_mask(), soft_edge=4)
    file = result(painter, request)
    with Image.open(file) as after, Image.open(BytesIO(picture)) as before:
        upright = before.transpose(Image.Transpose.ROTATE_270) if kind == "turned" else before
        assert after.size == (WIDTH, HEIGHT)
        same = np.asarray(upright.convert(after.mode))
        now = np.asarray(after)
    far = outside(now.shape, 4)
    assert (now[far] == same[far]).all()
    assert (now[PAINTED] != same[PAINTED]).any()
    found = difference(request, file, sources)
    assert found.changed > 100 and found.outside == 0
    if now.shape[2] == 4:
        assert (now[32:48, 40:64, 3] == 255).all()


@pytest.mark.parametrize("numbers", [3, 4])
def test_sixteen_bits_stay_sixteen(numbers: int, painter: Painter, sources: SourceStore) -> None:
    before = colours(deep=True)
    if numbers == 4:
        before = np.concatenate([before, before[..., :1] // 2 + 9000], axis=2)
    buffer = BytesIO()
    write_deep_png(DeepPicture(before, b"a profile"), PngImagePlugin.PngInfo(), buffer)
    request = order(sources, buffer.getvalue(), a_mask(), soft_edge=4)
    file = result(painter, request)
    now = read_deep_png(file.read_bytes())
    assert now.dtype == np.uint16 and now.shape == before.shape
    far = outside(now.shape, 4)
    assert (now[far] == before[far]).all() and (now[PAINTED] != before[PAINTED]).any()
    assert difference(request, file, sources).outside == 0
    with Image.open(file) as opened:
        assert opened.info["icc_profile"] == b"a profile"


def test_a_colour_profile_stays(painter: Painter, sources: SourceStore) -> None:
    file = result(painter, order(sources, as_bytes(rgb(), icc_profile=b"of a camera"), a_mask()))
    with Image.open(file) as opened:
        assert opened.info["icc_profile"] == b"of a camera"


def test_a_preview_tells_which_part_of_the_picture_it_is(painter: Painter, sources: SourceStore) -> None:
    request = order(sources, as_bytes(rgb()), a_mask(), padding=4)
    boxes = {event.box for event in painter.perform(Work(request), StopSignal()) if isinstance(event, Preview)}
    ((left, top, right, bottom),) = (box for box in boxes if box is not None)
    rows, columns = PAINTED
    assert left <= columns.start < columns.stop <= right <= WIDTH
    assert top <= rows.start < rows.stop <= bottom <= HEIGHT
    assert (right - left) * (bottom - top) < WIDTH * HEIGHT


def test_a_picture_carries_its_request_and_gives_it_back(painter: Painter, sources: SourceStore) -> None:
    request = order(
        sources, as_bytes(rgb()), a_mask(), content=Content.FILL, area=Area.WHOLE, strength=0.6, padding=7,
        regions=(Region(mask=sources.keep(a_mask(120, (slice(0, 9), slice(0, 9)))).id, prompt="a moon"),),
    )  # fmt: skip
    told = read_picture(result(painter, request)).request
    assert told == request


def test_the_same_request_paints_the_same_and_another_seed_something_else(
    painter: Painter, sources: SourceStore
) -> None:
    request = order(sources, as_bytes(rgb()), a_mask())
    other = request.model_copy(update={"picture": request.picture.model_copy(update={"seed": 5})})
    one, two, three = (np.asarray(Image.open(result(painter, r))) for r in (request, request, other))
    assert (one == two).all() and (one != three).any()


@pytest.mark.parametrize("content", Content)
@pytest.mark.parametrize("model", ["flat", "inpaint"])
def test_it_begins_from_what_is_asked_for(model: str, content: Content, painter: Painter, sources: SourceStore) -> None:
    plain = order(sources, as_bytes(rgb()), a_mask(), soft_edge=0)
    picture = plain.picture.model_copy(update={"model": model})
    request = InpaintRequest.model_validate(dict(plain) | {"picture": picture, "content": content})
    now = np.asarray(Image.open(result(painter, request)))
    far = outside(now.shape, 0)
    assert (now[far] == colours()[far]).all() and (now[PAINTED] != colours()[PAINTED]).any()


def test_each_picture_of_a_job_is_that_of_its_own_seed(painter: Painter, sources: SourceStore) -> None:
    def painted(seed: int, count: int) -> list[np.ndarray]:
        picture = GenerateRequest(prompt="a hill", seed=seed, count=count, steps=3, width=64, height=64, model="flat")
        request = order(sources, as_bytes(rgb()), a_mask(), content=Content.NOISE).model_copy(
            update={"picture": picture}
        )
        events = painter.perform(Work(request), StopSignal())
        files = [event.file for event in events if isinstance(event, PictureSaved)]
        return [np.asarray(Image.open(painter._files.outputs / file)) for file in files]

    assert (painted(8, 2)[1] == painted(9, 1)[0]).all()


def test_the_less_the_mask_the_less_changes(painter: Painter, sources: SourceStore, scene: Image.Image) -> None:
    def change(level: int) -> float:
        request = order(sources, as_bytes(scene), a_mask(level), soft_edge=0, strength=1.0, area=Area.WHOLE)
        after = np.asarray(Image.open(result(painter, request))).astype(int)
        return float(np.abs(after - np.asarray(scene))[PAINTED].mean())

    slightly, half, wholly = (change(level) for level in (70, 140, 255))
    assert slightly < half < wholly


def test_everything_else_is_painted_when_the_mask_is_turned_round(painter: Painter, sources: SourceStore) -> None:
    request = order(sources, as_bytes(rgb()), a_mask(), soft_edge=0, invert=True)
    now = np.asarray(Image.open(result(painter, request)))
    assert (now[PAINTED] == colours()[PAINTED]).all() and (now[outside(now.shape, 0)] != 0).any()


def test_a_picture_grows_by_its_border_and_stays_inside(painter: Painter, sources: SourceStore) -> None:
    border = Border(left=16, top=0, right=24, bottom=40)
    request = order(sources, as_bytes(with_alpha()), border=border, soft_edge=8, area=Area.WHOLE)
    file = result(painter, request)
    now = np.asarray(Image.open(file))
    assert now.shape == (HEIGHT + 40, WIDTH + 40, 4)
    assert difference(request, file, sources).outside == 0
    inner = now[: HEIGHT - 8, 16 + 8 : 16 + WIDTH - 8]
    assert (inner == np.asarray(with_alpha())[: HEIGHT - 8, 8 : WIDTH - 8]).all()
    assert (now[HEIGHT + 8 :, :, 3] == 255).all()


def test_without_a_mask_all_of_it_is_painted_at_the_size_asked_for(
    painter: Painter, sources: SourceStore, scene: Image.Image
) -> None:
    weak, strong = (
        np.asarray(Image.open(result(painter, order(sources, as_bytes(scene), strength=s)))) for s in (0.25, 1.0)
    )
    assert weak.shape == strong.shape == (64, 64, 3)
    before = np.asarray(scene.resize((64, 64), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(weak - before).mean() < np.abs(strong - before).mean() / 2


@pytest.mark.parametrize("fit", Fit)
def test_other_proportions_are_met_as_was_asked(
    fit: Fit, painter: Painter, sources: SourceStore, scene: Image.Image
) -> None:
    wide = scene.resize((128, 64))
    request = order(sources, as_bytes(wide), strength=0.25, fit=fit)
    now = np.asarray(Image.open(result(painter, request))).astype(int)
    met = {
        Fit.STRETCH: wide.resize((64, 64)),
        Fit.LATENT: wide.resize((64, 64)),
        Fit.CROP: wide.crop((32, 0, 96, 64)),
        Fit.FILL: Image.new("RGB", (64, 64)),
    }
    met[Fit.FILL].paste(wide.resize((64, 32)), (0, 16))
    inner = slice(18, 46)  # without what is filled
    far = {kind: np.abs(now - np.asarray(image))[inner].mean() for kind, image in met.items()}
    assert far[fit] == min(far.values())


class TestRegions:
    LEFT, RIGHT = (slice(16, 64), slice(8, 40)), (slice(16, 64), slice(56, 88))

    def painted(self, painter: Painter, sources: SourceStore, scene: Image.Image, left: str, right: str) -> np.ndarray:
        plain = order(sources, as_bytes(scene), area=Area.WHOLE, soft_edge=0, strength=1.0, match_colour=False)
        regions = tuple(
            Region(mask=sources.keep(a_mask(255, part)).id, prompt=prompt)
            for part, prompt in ((self.LEFT, left), (self.RIGHT, right))
        )
        return np.asarray(Image.open(result(painter, plain.model_copy(update={"regions": regions})))).astype(int)

    def test_with_the_same_words_they_are_one_mask(
        self, painter: Painter, sources: SourceStore, scene: Image.Image
    ) -> None:
        both = np.zeros((HEIGHT, WIDTH), np.uint8)
        both[self.LEFT] = both[self.RIGHT] = 255
        plain = order(
            sources, as_bytes(scene), as_bytes(Image.fromarray(both)), area=Area.WHOLE, soft_edge=0, strength=1.0,
            match_colour=False,
        )  # fmt: skip
        whole = np.asarray(Image.open(result(painter, plain))).astype(int)
        apart = self.painted(painter, sources, scene, plain.picture.prompt, plain.picture.prompt)
        assert np.abs(whole - apart).max() <= 1

    def test_each_follows_its_own_words(self, painter: Painter, sources: SourceStore, scene: Image.Image) -> None:
        words = "a red house", "a red house", "a yellow star in the night"
        one, other = (self.painted(painter, sources, scene, words[0], right) for right in words[1:])
        changed = np.abs(one - other)
        assert changed[self.RIGHT].mean() > 2 * changed[self.LEFT].mean()
        rest = np.ones((HEIGHT, WIDTH), bool)
        rest[self.LEFT] = rest[self.RIGHT] = False
        assert (changed[rest] == 0).all()


class TestRefused:
    def told(self, painter: Painter, request: InpaintRequest) -> Event:
        return list(painter.perform(Work(request), StopSignal()))[-1]

    def test_an_empty_mask(self, painter: Painter, sources: SourceStore) -> None:
        end = self.told(painter, order(sources, as_bytes(rgb()), a_mask(0)))
        assert isinstance(end, Failed)
        assert (end.problem.problem, end.problem.field) == ("The mask is empty", "mask")

    def test_a_mask_of_another_size(self, painter: Painter, sources: SourceStore) -> None:
        end = self.told(painter, order(sources, as_bytes(rgb()), as_bytes(Image.new("L", (40, 30), 255))))
        assert isinstance(end, Failed)
        assert end.problem.problem == f"The mask is 40 x 30, the picture {WIDTH} x {HEIGHT}"

    def test_a_mask_that_is_gone(self, painter: Painter, sources: SourceStore) -> None:
        request = order(sources, as_bytes(rgb()), a_mask(77))
        assert request.mask is not None
        sources.path_of(request.mask).unlink()
        end = self.told(painter, request)
        assert isinstance(end, Failed) and end.problem.fix == "bring it again"

    def test_a_picture_that_is_gone(self, painter: Painter, sources: SourceStore) -> None:
        request = order(sources, as_bytes(rgb().rotate(90)), a_mask())
        sources.path_of(request.source).unlink()
        end = self.told(painter, request)
        assert isinstance(end, Failed) and "is not here any more" in end.problem.problem


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (90, 1), (9, 9), (131, 67)])
def test_pictures_of_any_shape(size: tuple[int, int], painter: Painter, sources: SourceStore) -> None:
    image = Image.new("RGB", size, "olive")
    mask = Image.new("L", size, 0)
    mask.putpixel((0, 0), 255)
    request = order(sources, as_bytes(image), as_bytes(mask), soft_edge=300, padding=500)
    with Image.open(result(painter, request)) as after:
        assert after.size == size


@pytest.mark.parametrize("fit", Fit)
@pytest.mark.parametrize("size", [(1, 1), (1, 512), (700, 3)])
def test_pictures_of_any_shape_are_met_with_any_fit(
    size: tuple[int, int], fit: Fit, painter: Painter, sources: SourceStore
) -> None:
    request = order(sources, as_bytes(Image.new("RGB", size, "olive")), fit=fit, strength=0.3)
    with Image.open(result(painter, request)) as after:
        assert after.size == (64, 64)


def test_a_mask_of_everything_paints_everything(painter: Painter, sources: SourceStore, scene: Image.Image) -> None:
    request = order(sources, as_bytes(scene), as_bytes(Image.new("L", scene.size, 255)), strength=1.0)
    after, before = np.asarray(Image.open(result(painter, request))), np.asarray(scene)
    assert after.shape == before.shape and (after != before).any(axis=2).mean() > 0.9


@pytest.mark.parametrize("area", Area)
def test_a_mask_at_the_edge_is_softened_inside_only(area: Area, painter: Painter, sources: SourceStore) -> None:
    edge = a_mask(255, (slice(0, 20), slice(WIDTH - 20, WIDTH)))
    request = order(sources, as_bytes(rgb()), edge, soft_edge=6, padding=4096, area=area, strength=1.0)
    after = np.asarray(Image.open(result(painter, request)))
    changed = (after != colours()).any(axis=2)
    assert changed[:20, -20:].any() and not changed[26:].any() and not changed[:, : WIDTH - 26].any()
