"""PNGs written and read a band at a time."""

import struct
import tracemalloc
import zlib
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from pipelines.core.error import EaselError, StorageProblem
from pipelines.storage.looks import look
from pipelines.storage.streamed import BAND, SIGNATURE, StreamedPng, Told, bands, read_head


def picture(height: int, width: int, channels: int, kind: type) -> NDArray[Any]:
    """A soft shade with noise on it, so that every filter is chosen somewhere."""
    most = np.iinfo(kind).max
    rng = np.random.default_rng(7)
    shade = np.linspace(0, most * 0.8, height * width).reshape(height, width, 1)
    rough = rng.integers(0, most // 8, (height, width, channels)) * (rng.random((height, 1, 1)) < 0.5)
    return (shade + rough).astype(kind)


def told(**texts: str) -> Told:
    info = PngImagePlugin.PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    return Told(info, profile=b"a profile", exif=b"MM\0*\0\0\0\x08\0\0\0\0\0\0")


def written(path: Path, array: NDArray[Any], step: int = 50) -> None:
    with path.open("wb") as file:
        png = StreamedPng(file, array.shape[1], array.shape[0], (array.shape[2], array.dtype.type), told(a="1"))
        for top in range(0, len(array), step):
            png.write(array[top : top + step])
        png.close(told(a="later", parameters="größer"))


@pytest.mark.parametrize(("channels", "kind"), [(3, np.uint8), (4, np.uint8), (3, np.uint16), (4, np.uint16)])
@pytest.mark.parametrize("height", [1, BAND, 3 * BAND + 5])
def test_other_programs_see_the_very_pixels(tmp_path: Path, channels: int, kind: type, height: int) -> None:
    array = picture(height, 33, channels, kind)
    written(tmp_path / "one.png", array)
    seen = cv2.imread(str(tmp_path / "one.png"), cv2.IMREAD_UNCHANGED)
    assert seen is not None
    order = [2, 1, 0, 3][:channels]
    assert np.array_equal(seen[..., order], array)
    with Image.open(tmp_path / "one.png") as image:
        image.load()
        assert image.info["a"] == "later" and image.info["parameters"] == "größer"
        assert image.info["icc_profile"] == b"a profile" and image.info["exif"]


def test_a_part_is_read_without_the_rest(tmp_path: Path) -> None:
    array = picture(5 * BAND, 40, 3, np.uint8)
    path = tmp_path / "one.png"
    written(path, array)
    head = read_head(path)
    assert head is not None and (head.width, head.height, head.channels, head.depth) == (40, 5 * BAND, 3, 8)
    assert head.texts == {"a": "later", "parameters": "größer"}
    some = dict(bands(path, 2 * BAND + 1, 3 * BAND))
    assert list(some) == [2 * BAND] and np.array_equal(some[2 * BAND], array[2 * BAND : 3 * BAND])
    # What comes before is not even looked at: a broken first band does no harm.
    content = bytearray(path.read_bytes())
    first = content.index(b"IDAT") + 8
    content[first : first + 40] = b"\xff" * 40
    path.write_bytes(content)
    assert np.array_equal(dict(bands(path, 4 * BAND))[4 * BAND], array[4 * BAND :])
    with pytest.raises(StorageProblem, match="damaged"):
        list(bands(path))


def test_a_picture_that_lacks_rows_is_none(tmp_path: Path) -> None:
    png = StreamedPng(BytesIO(), 10, 100, (3, np.uint8), told())
    png.write(np.zeros((99, 10, 3), np.uint8))
    with pytest.raises(ValueError, match="99 of 100"):
        png.close(told())


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def claiming(width: int, height: int, packed: bytes, *, colours: int = 2, band: int = BAND) -> bytes:
    """A file that says it is written in bands, whatever is in it."""
    head = struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0)
    told = chunk(b"IHDR", head) + chunk(b"eaBD", struct.pack(">I", band)) + chunk(b"iTXt", b"broken\0")
    return SIGNATURE + told + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def test_a_file_that_claims_too_much_costs_no_memory(tmp_path: Path) -> None:
    bomb = zlib.compress(b"\1" + bytes(50_000_000))
    for name, content in {
        "bomb": claiming(2, 2, bomb), "wide": claiming(2**31 - 1, 2**31 - 1, bomb),
        "empty": claiming(0, 0, bomb), "grey": claiming(2, 2, bomb, colours=0),
        "all at once": claiming(2, 2, bomb, band=2**32 - 1), "cut": claiming(2, 2, bomb)[:60],
    }.items():  # fmt: skip
        path = tmp_path / name
        path.write_bytes(content)
        tracemalloc.start()
        with suppress(EaselError):  # where its first rows are a picture, they are seen
            assert look(path, 100).size == (2, 2)
        assert tracemalloc.get_traced_memory()[1] < 16_000_000
        tracemalloc.stop()


def test_a_picture_that_another_program_has_packed_anew_is_still_seen(tmp_path: Path) -> None:
    array = picture(3 * BAND, 40, 3, np.uint8)
    with Image.fromarray(array) as image:
        held = BytesIO()
        image.save(held, "PNG")
    plain = held.getvalue()
    at = plain.index(b"IDAT") - 4
    (tmp_path / "anew.png").write_bytes(plain[:at] + chunk(b"eaBD", struct.pack(">I", BAND)) + plain[at:])
    assert np.array_equal(np.asarray(look(tmp_path / "anew.png", 1000)), array)


def test_a_grey_picture_of_16_bits_is_seen_as_grey(tmp_path: Path) -> None:
    Image.fromarray(np.full((20, 20), 32_768, np.uint16)).save(tmp_path / "grey.png")
    assert abs(float(np.asarray(look(tmp_path / "grey.png", 100)).mean()) - 128) <= 1


def test_foreign_files_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "other.png"
    Image.new("RGB", (9, 9)).save(path)
    head = read_head(path)
    assert head is not None and head.band == 0
    with pytest.raises(StorageProblem, match="bands"):
        list(bands(path))
    path.write_bytes(b"no picture")
    assert read_head(path) is None
