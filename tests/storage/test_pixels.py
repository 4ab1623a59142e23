"""Pictures and masks as arrays: turned as they are looked at, by stated rules, in no more memory than is needed."""

import tracemalloc
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from pipelines.core.error import InvalidRequest
from pipelines.storage.deep import DeepPicture, write_deep_png
from pipelines.storage.pixels import SourcePicture, read_mask, read_source
from pipelines.storage.sources import ORIENTATION, SourceStore

GREY = (np.arange(12 * 20) % 251).astype(np.uint8).reshape(12, 20)


def kept(image: Image.Image, folder: Path, form: str = "PNG", **more: object) -> Path:
    buffer = BytesIO()
    image.save(buffer, form, **more)
    store = SourceStore(folder)
    return store.path_of(store.keep(buffer.getvalue()).id)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_sixteen_bits_are_turned_as_eight_are(orientation: int, tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (12, 20, 3), dtype=np.uint16)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    texts, buffer = PngImagePlugin.PngInfo(), BytesIO()
    texts.add(b"eXIf", exif.tobytes()[6:])
    write_deep_png(DeepPicture(deep), texts, buffer)
    store = SourceStore(tmp_path)
    source = store.keep(buffer.getvalue())
    told = read_source(store.path_of(source.id))
    assert (told.width, told.height) == (source.width, source.height)
    for number in range(3):
        plane = Image.fromarray((deep[..., number] >> 8).astype(np.uint8))
        plane.getexif()[ORIENTATION] = orientation
        expected = np.asarray(ImageOps.exif_transpose(plane))
        assert (told.array[..., number] >> 8 == expected).all()


class TestMasks:
    """How bright it is; where it is transparent somewhere: how opaque."""

    SIZE = (20, 12)

    def test_soft_levels_are_kept(self, tmp_path: Path) -> None:
        assert (read_mask(kept(Image.fromarray(GREY), tmp_path), self.SIZE) == GREY).all()

    def test_strokes_on_a_transparent_layer_count_as_far_as_they_are_opaque(self, tmp_path: Path) -> None:
        layer = Image.new("RGBA", self.SIZE, (255, 0, 0, 0))
        layer.putalpha(Image.fromarray(GREY))
        assert (read_mask(kept(layer, tmp_path), self.SIZE) == GREY).all()

    def test_a_transparent_layer_is_empty_whatever_its_colour(self, tmp_path: Path) -> None:
        assert not read_mask(kept(Image.new("RGBA", self.SIZE, (255, 255, 255, 0)), tmp_path), self.SIZE).any()

    def test_an_opaque_layer_counts_as_far_as_it_is_bright(self, tmp_path: Path) -> None:
        opaque = Image.merge("RGBA", [*[Image.fromarray(GREY)] * 3, Image.new("L", self.SIZE, 255)])
        assert (read_mask(kept(opaque, tmp_path), self.SIZE) == GREY).all()

    def test_sixteen_bits_are_rounded_to_eight(self, tmp_path: Path) -> None:
        deep = Image.fromarray(GREY.astype(np.uint16) * 257)
        assert (read_mask(kept(deep, tmp_path), self.SIZE) == GREY).all()

    @pytest.mark.parametrize("mode", ["1", "P", "RGB", "CMYK", "LA"])
    def test_white_is_white_in_every_kind_of_picture(self, mode: str, tmp_path: Path) -> None:
        half = Image.new("L", self.SIZE, 0)
        half.paste(255, (0, 0, 10, 12))
        form = "JPEG" if mode == "CMYK" else "PNG"
        levels = read_mask(kept(half.convert("RGB").convert(mode), tmp_path, form), self.SIZE)
        assert (levels[:, :8] > 250).all() and (levels[:, 12:] < 5).all()

    def test_one_that_was_painted_on_a_turned_picture_is_turned_as_that(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[ORIENTATION] = 6
        mask = read_mask(kept(Image.fromarray(GREY), tmp_path, exif=exif), (12, 20))
        assert (mask == np.rot90(GREY, -1)).all()

    def test_one_of_another_picture_is_refused_and_never_shifted(self, tmp_path: Path) -> None:
        path = kept(Image.fromarray(GREY), tmp_path)
        with pytest.raises(InvalidRequest, match="The mask is 20 x 12, the picture 12 x 20; paint the mask on this"):
            read_mask(path, (12, 20))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_picture_that_is_painted_over_is_not_held_in_larger_numbers(kind: type) -> None:
    side = 2000
    picture = SourcePicture(np.full((side, side, 4), 7, kind))
    mask, new = np.ones((side, side), np.float32), np.zeros((side, side, 3), np.uint8)
    tracemalloc.start()
    try:
        seen = picture.seen(slice(None), slice(None))
        after = picture.repainted(slice(None), slice(None), new, mask)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (after.array[..., :3] == 0).all() and seen.shape == (side, side, 3)
    between = 80_000_000  # bands of a megapixel in float32, however large the picture
    assert peak < after.array.nbytes + seen.nbytes + between
