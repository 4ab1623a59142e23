"""A mask of what a text names, by the whole worker: as large as the picture, as transformers itself would make it."""

import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from transformers import CLIPSegForImageSegmentation, CLIPSegProcessor

from pipelines.core.error import InvalidRequest
from pipelines.core.event import Event, Failed, Finished, Loading, Masked, Stopped
from pipelines.core.presets import STARTER_MODELS
from pipelines.core.segment import SegmentRequest
from pipelines.core.stop import StopMode, StopSignal
from pipelines.jobs.keeping import Keeper
from pipelines.jobs.perform import Painter
from pipelines.jobs.segmenting import mask_of
from pipelines.jobs.worker import Work
from pipelines.models.residency import Residency
from pipelines.models.scan import ModelLibrary
from pipelines.storage.pictures import PictureFiles
from pipelines.storage.sources import SourceStore
from tests.jobs.studio import request as to_paint
from tests.models.segmenters import processor, write_clipseg

WIDTH, HEIGHT = 150, 90
TEXT = "the cat"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_clipseg(folder / "finder")
    return folder


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> SourceStore:
    return SourceStore(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def residency() -> Residency:
    torch.set_num_threads(1)
    return Residency("cpu")


@pytest.fixture(scope="module")
def painter(models: Path, sources: SourceStore, residency: Residency) -> Painter:
    library = ModelLibrary([STARTER_MODELS, models])
    return Painter(library, residency, PictureFiles(models / "outputs"), sources, Keeper(residency, models))


def scene() -> Image.Image:
    down, across = np.mgrid[0:HEIGHT, 0:WIDTH]
    return Image.fromarray(np.stack([across, down * 2, (across * down) % 256], axis=-1).astype(np.uint8))


def as_bytes(image: Image.Image, form: str = "PNG", **more: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format=form, **more)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def picture(sources: SourceStore) -> str:
    return sources.keep(as_bytes(scene())).id


@pytest.fixture(scope="module")
def sure(models: Path) -> np.ndarray:
    """What transformers' own processor and model make of it, brought to the picture's size: (h, w), 0 to 1."""
    inputs = CLIPSegProcessor.from_pretrained(models / "finder")(text=[TEXT], images=[scene()], return_tensors="pt")
    with torch.inference_mode():
        logits = CLIPSegForImageSegmentation.from_pretrained(models / "finder")(**inputs).logits
    return np.asarray(F.interpolate(logits.reshape(1, 1, 64, 64), (HEIGHT, WIDTH), mode="bilinear").sigmoid()[0, 0])


def order(source: str, **fields: Any) -> SegmentRequest:
    return SegmentRequest.model_validate({"model": "finder", "source": source, "text": TEXT, **fields})


def events(painter: Painter, request: SegmentRequest, stop: StopSignal | None = None) -> list[Event]:
    return list(painter.perform(Work(request), stop or StopSignal()))


Look = Callable[[SegmentRequest], np.ndarray]


@pytest.fixture
def look(painter: Painter, sources: SourceStore) -> Look:
    """The mask that was kept."""

    def looked(request: SegmentRequest) -> np.ndarray:
        *_, masked, end = events(painter, request)
        assert isinstance(masked, Masked) and isinstance(end, Finished)
        with Image.open(sources.path_of(masked.mask)) as opened:
            assert (opened.format, opened.mode) == ("PNG", "L")
            levels = np.asarray(opened)
        assert masked.share == pytest.approx(levels.mean() / 255, abs=1e-5)
        return levels

    return looked


def test_the_mask_is_that_of_transformers_at_the_full_size_of_the_picture(
    look: Look, picture: str, sure: np.ndarray
) -> None:
    threshold = float(np.median(sure))
    levels = look(order(picture, threshold=threshold))
    assert levels.shape == (HEIGHT, WIDTH) and set(np.unique(levels)) == {0, 255}
    clear = np.abs(sure - threshold) > 1e-4
    assert ((levels > 0) == (sure >= threshold))[clear].all() and clear.mean() > 0.95


def test_a_soft_mask_is_as_white_as_the_model_is_sure(look: Look, picture: str, sure: np.ndarray) -> None:
    levels = look(order(picture, threshold=None))
    assert np.abs(levels - 255 * sure).max() <= 1
    assert len(np.unique(levels)) > 20


def test_a_mask_grows_by_so_many_pixels_all_around(look: Look, picture: str, sure: np.ndarray) -> None:
    threshold = float(np.quantile(sure, 0.97))
    small, large = (look(order(picture, threshold=threshold, grow=grow)) > 0 for grow in (0, 4))
    places = np.argwhere(small)
    down, across = np.mgrid[0:HEIGHT, 0:WIDTH]
    near = [np.hypot(down - y, across - x) <= 4 for y, x in places]
    assert (large == np.any(near, axis=0)).all()


def test_a_turned_picture_is_seen_upright(look: Look, sources: SourceStore, sure: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = as_bytes(scene().transpose(Image.Transpose.ROTATE_90), "WEBP", lossless=True, exif=exif)
    levels = look(order(sources.keep(turned).id, threshold=None))
    assert levels.shape == (HEIGHT, WIDTH) and np.abs(levels - 255 * sure).max() <= 1


def test_half_the_precision_of_its_file_and_one_file_for_the_processor_will_do(
    models: Path, painter: Painter, look: Look, picture: str, sure: np.ndarray
) -> None:
    folder = write_clipseg(models / "half", dtype=torch.float16)
    (folder / "preprocessor_config.json").unlink()
    processor(folder, whole=True)
    painter._library.rescan()
    levels = look(order(picture, model="half", threshold=None))
    assert np.abs(levels - 255 * sure).max() <= 3


def test_it_is_loaded_once_and_gives_way_like_any_model(painter: Painter, picture: str, residency: Residency) -> None:
    residency.free()
    first, again = ([type(event) for event in events(painter, order(picture, threshold=0.0))] for _ in range(2))
    assert first == [Loading, Masked, Finished] and again == [Masked, Finished]
    assert list(residency.loaded) == ["finder"]
    done = list(painter.perform(Work(to_paint(steps=1, model="flat")), StopSignal()))
    assert isinstance(done[-1], Finished) and list(residency.loaded) == ["flat", "finder"]
    residency.free("finder")
    assert list(residency.loaded) == ["flat"]


def test_where_memory_is_short_other_models_make_room(
    models: Path, painter: Painter, sources: SourceStore, picture: str
) -> None:
    narrow = Residency("cpu", limit=1_000_000)
    tight = Painter(painter._library, narrow, PictureFiles(models / "outputs"), sources, Keeper(narrow, models))
    narrow.lend(painter._library.usable("flat"))
    assert isinstance(events(tight, order(picture, threshold=0.0))[-1], Finished)
    assert narrow.loaded == ("finder",)


@pytest.mark.parametrize("moment", [0, 1])
def test_a_stopped_job_leaves_nothing(
    moment: int, painter: Painter, sources: SourceStore, picture: str, residency: Residency
) -> None:
    residency.free()
    before = sorted(path.name for path in sources._folder.iterdir())
    stop, seen = StopSignal(), []
    if moment == 0:
        stop.ask(StopMode.NOW)
    for event in painter.perform(Work(order(picture, threshold=0.123)), stop):
        seen.append(type(event))
        stop.ask(StopMode.NOW)
    assert seen == [Loading, Stopped]
    assert sorted(path.name for path in sources._folder.iterdir()) == before


def test_when_nothing_is_found_that_is_said_and_no_mask_is_kept(
    painter: Painter, sources: SourceStore, picture: str
) -> None:
    before = len(list(sources._folder.iterdir()))
    end = events(painter, order(picture, threshold=1.0))[-1]
    assert isinstance(end, Failed) and end.problem.field == "text"
    assert end.problem.problem == 'Nothing in the picture looks like "the cat"'
    assert end.problem.fix == "use other words, or lower the threshold"
    assert len(list(sources._folder.iterdir())) == before


def test_a_soft_mask_of_next_to_nothing_is_nothing(picture: str) -> None:
    hardly, hint = torch.full((8, 8), -3.0), torch.full((8, 8), -3.0)
    hint[2, 2] = 0
    soft = order(picture, threshold=None)
    assert not mask_of(hardly, (16, 16), soft).any() and mask_of(hint, (16, 16), soft).any()


class TestRefused:
    def told(self, painter: Painter, request: SegmentRequest) -> str:
        end = events(painter, request)[-1]
        assert isinstance(end, Failed)
        return f"{end.problem.problem}; {end.problem.fix}"

    def test_words_beyond_what_the_model_reads(self, painter: Painter, picture: str) -> None:
        said = self.told(painter, order(picture, text="a b " * 50))
        assert said.startswith("The words are too long: 102 tokens, and the model reads 77; name what shall be covered")

    def test_a_model_that_paints(self, painter: Painter, picture: str) -> None:
        said = self.told(painter, order(picture, model="flat"))
        assert said == "'flat' finds nothing in pictures (checkpoint); choose a segmenter"

    def test_a_picture_that_is_gone(self, painter: Painter) -> None:
        assert "is not here any more" in self.told(painter, order("0" * 64))

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"text": " \n"}, "There is nothing to look for; name it"),
            ({"text": "a\0b"}, "holds characters that are not text"),
            ({"text": "cat " * 100}, "What to look for is 400 characters long"),
            ({"threshold": 1.5}, "Threshold cannot be 1.5; use 0 to 1"),
            ({"threshold": "much"}, "Threshold 'much' is not a number; use 0 to 1"),
            ({"grow": -1}, "Grow cannot be -1; use 0 to 512"),
            ({"grow": 3, "threshold": None}, "A soft mask has no edge to grow from"),
            ({"model": ""}, "Model is empty"),
            ({"source": "x"}, "source"),
        ],
    )
    def test_what_cannot_work_is_no_request(self, fields: dict[str, Any], said: str) -> None:
        with pytest.raises(InvalidRequest, match=re.escape(said)):
            order(**{"source": "0" * 64, **fields})
