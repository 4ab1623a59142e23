import json
import zlib
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from pipelines.core.error import StorageProblem, TooLarge
from pipelines.storage.facts import read_picture
from tests.storage.samples import picture


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_the_text_of_an_a1111_jpeg_or_webp_is_read(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + "a hill 日本\nSteps: 20".encode("utf-16-be")
    path = tmp_path / f"a.{suffix}"
    picture().save(path, exif=exif)
    assert read_picture(path).infotext == "a hill 日本\nSteps: 20"


@pytest.mark.parametrize("created", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-12:00"])
def test_a_time_that_no_clock_can_show_is_not_ours(tmp_path: Path, created: str) -> None:
    path = tmp_path / "a.png"
    chunk = {"program": "Easel", "created": created, "index": 0, "seed": 0, "seconds": 0, "request": {}}
    text = PngImagePlugin.PngInfo()
    text.add_text("easel", json.dumps(chunk))
    picture().save(path, pnginfo=text)
    assert read_picture(path).program is None


@pytest.mark.parametrize("content", [b"", b"%!PS-Adobe", b"<svg/>", b"\x89PNG\r\n\x1a\n", b"GIF89a"])
def test_what_is_no_picture_is_a_clear_problem(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(StorageProblem, match=r"a\.png is damaged, or no PNG, JPEG, WebP or AVIF"):
        read_picture(path)


@pytest.mark.parametrize("side", [9_700, 60_000])
def test_a_picture_with_a_huge_claimed_size_is_refused_before_its_pixels_are_read(tmp_path: Path, side: int) -> None:
    path = tmp_path / "bomb.png"
    picture().save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = side.to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)
    with pytest.raises(TooLarge, match=r"bomb\.png is too large"):
        read_picture(path)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("exif", [b"MM", b"II*\0garbage", b"MM\0*\0\0\0\x08\xff\xff"])
def test_exif_that_makes_no_sense_is_left_out(exif: bytes, tmp_path: Path) -> None:
    Image.new("RGB", (20, 10)).save(tmp_path / "camera.jpg", exif=b"Exif\0\0" + exif)
    facts = read_picture(tmp_path / "camera.jpg")
    assert (facts.width, facts.height, facts.infotext) == (20, 10, "")
