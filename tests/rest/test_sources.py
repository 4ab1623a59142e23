"""Pictures that people bring: kept as they are, or refused in words; never half, never as anything else."""

import time
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from pipelines.core.inpaint import InpaintRequest
from pipelines.core.request import GenerateRequest
from pipelines.storage.pictures import PictureFiles
from tests.jobs.studio import Studio


def as_bytes(image: Image.Image, form: str = "PNG", **more: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format=form, **more)
    return buffer.getvalue()


PICTURE = Image.effect_noise((40, 30), 50).convert("RGB")
GOOD = as_bytes(PICTURE)


def claiming(width: int, height: int) -> bytes:
    """A PNG whose head says that it is so large."""
    data = bytearray(GOOD)
    data[16:20], data[20:24] = width.to_bytes(4, "big"), height.to_bytes(4, "big")
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


def kept(inside: Studio) -> list[Path]:
    return sorted(inside.folder.sources.iterdir())


def test_a_picture_is_kept_as_it_came_and_only_once(client: TestClient, inside: Studio) -> None:
    one = client.post("/api/sources", content=GOOD)
    two = client.post("/api/sources", content=GOOD)
    assert (one.status_code, one.json()) == (201, two.json())
    assert {"width": 40, "height": 30, "format": "PNG", "notes": []}.items() <= one.json().items()
    assert [path.read_bytes() for path in kept(inside)] == [GOOD]
    served = client.get(one.json()["url"])
    assert served.content == GOOD
    assert (served.headers["content-type"], served.headers["x-content-type-options"]) == ("image/png", "nosniff")


def test_a_picture_of_the_studio_is_taken_over(client: TestClient, inside: Studio) -> None:
    saved = PictureFiles(inside.folder.outputs).save(PICTURE, GenerateRequest(model="flat"), index=0)
    row = inside.images.add(saved)
    told = client.post(f"/api/sources/of/{row.id}").json()
    assert client.get(told["url"]).content == saved.path.read_bytes()
    assert client.post("/api/sources/of/99999").status_code == 404


def test_what_differs_from_the_source_is_counted_and_shown(client: TestClient, inside: Studio) -> None:
    mask = Image.new("L", PICTURE.size, 0)
    mask.paste(255, (10, 10, 20, 20))
    source, painted = (client.post("/api/sources", content=as_bytes(one)).json()["id"] for one in (PICTURE, mask))
    request = InpaintRequest(picture=GenerateRequest(model="flat"), source=source, mask=painted, soft_edge=2)
    changed = PICTURE.copy()
    for at in ((12, 12), (15, 15), (30, 5)):  # two under the mask, one far from it
        changed.putpixel(at, tuple((level + 1) % 256 for level in PICTURE.getpixel(at)))  # type: ignore[union-attr]
    row = inside.images.add(PictureFiles(inside.folder.outputs).save(changed, request, index=0))
    told = client.get(f"/api/images/{row.id}/difference")
    assert (told.headers["easel-changed"], told.headers["easel-outside"]) == ("3", "1")
    with Image.open(BytesIO(told.content)) as image:
        seen = image.convert("RGB")
    assert seen.getpixel((0, 0)) == (0, 0, 0)
    assert min(seen.getpixel((12, 12))) > 60  # type: ignore[arg-type]
    assert seen.getpixel((30, 5)) == (255, 40, 40)


def test_a_picture_that_has_no_source_has_no_difference(client: TestClient, inside: Studio) -> None:
    row = inside.images.add(PictureFiles(inside.folder.outputs).save(PICTURE, GenerateRequest(model="flat"), index=0))
    told = client.get(f"/api/images/{row.id}/difference")
    assert (told.status_code, told.json()["error"]["fix"]) == (422, "choose one that was painted over another")


def test_what_is_special_of_it_is_told(client: TestClient) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = client.post("/api/sources", content=as_bytes(PICTURE, "JPEG", exif=exif)).json()
    assert (turned["width"], turned["height"]) == (30, 40)
    moving = as_bytes(PICTURE, "WEBP", save_all=True, append_images=[PICTURE.rotate(90)])
    assert client.post("/api/sources", content=moving).json()["notes"] == ["only its first frame is used"]


def test_what_hangs_on_behind_a_picture_is_served_as_a_picture(client: TestClient) -> None:
    told = client.post("/api/sources", content=GOOD + b"<script>alert(1)</script>")
    served = client.get(told.json()["url"])
    assert (served.headers["content-type"], served.headers["x-content-type-options"]) == ("image/png", "nosniff")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<!doctype html><script>alert(1)</script>",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        GOOD[:-200],
        as_bytes(PICTURE, "JPEG")[:-300],
        as_bytes(PICTURE, "WEBP", lossless=True)[:-300],
        as_bytes(PICTURE, "GIF"),
        as_bytes(PICTURE, "TIFF"),
        GOOD[:60] + bytes(40) + GOOD[100:],
        claiming(0, 0),
    ],
    ids=["empty", "html", "svg", "eps", "cut png", "cut jpeg", "cut webp", "gif", "tiff", "zeroed", "0x0"],
)
def test_what_is_no_whole_picture_is_refused(content: bytes, client: TestClient, inside: Studio) -> None:
    answer = client.post("/api/sources", content=content)
    assert answer.status_code == 422
    assert answer.json()["error"] | {"field": "source"} == answer.json()["error"]
    assert "is damaged, or no PNG, JPEG, WebP or AVIF" in answer.json()["error"]["problem"]
    assert not kept(inside)


@pytest.mark.parametrize(("width", "height"), [(65_535, 65_535), (30_000, 30_000), (9_400, 9_400), (60_000, 1)])
def test_what_is_too_large_is_refused_by_its_head(width: int, height: int, client: TestClient, inside: Studio) -> None:
    answer = client.post("/api/sources", content=claiming(width, height))
    assert answer.status_code == 413
    assert answer.json()["error"]["problem"] == "The picture is too large"
    assert not kept(inside)


def with_chunks(*chunks: tuple[bytes, bytes], again: int = 1) -> bytes:
    """The picture with more in its file, behind the head."""
    more = b"".join(
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big") for kind, data in chunks
    )
    return GOOD[:33] + more * again + GOOD[33:]


BOMB = zlib.compress(bytes(200_000_000))
BEHIND = {
    "a text of 200 MB": (b"zTXt", b"c\0\0" + BOMB),
    "an international one": (b"iTXt", b"c\0\1\0\0\0" + BOMB),
    "a profile of 200 MB": (b"iCCP", b"c\0\0" + BOMB),
}


@pytest.mark.parametrize("what", BEHIND)
def test_what_unfolds_to_hundreds_of_megabytes_is_refused_at_once(
    what: str, client: TestClient, inside: Studio
) -> None:
    began = time.monotonic()
    answer = client.post("/api/sources", content=with_chunks(BEHIND[what]))
    assert (answer.status_code, time.monotonic() - began < 1) == (422, True)
    assert not kept(inside)


def test_what_is_told_beside_the_pixels_troubles_nobody(client: TestClient) -> None:
    many = with_chunks((b"tEXt", b"a\0b"), again=20_000)
    long = with_chunks((b"tEXt", b"a\0" + b"x" * 5_000_000))
    for content in (many, long):
        began = time.monotonic()
        told = client.post("/api/sources", content=content)
        assert (told.status_code, told.json()["width"]) == (201, 40) and time.monotonic() - began < 1


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("exif", [b"II*\0garbage", b"II*\0\xff\xff\xff\xff", b"MM", b""])
def test_exif_that_makes_no_sense_is_not_followed(exif: bytes, client: TestClient) -> None:
    told = client.post("/api/sources", content=with_chunks((b"eXIf", exif))).json()
    assert (told["width"], told["height"]) == (40, 30)


def test_a_film_that_lies_about_its_length_is_its_first_frame(client: TestClient) -> None:
    content = bytearray(as_bytes(PICTURE, "PNG", save_all=True, append_images=[PICTURE.rotate(180)]))
    at = content.index(b"acTL")
    content[at + 4 : at + 8] = (900_000).to_bytes(4, "big")
    content[at + 12 : at + 16] = zlib.crc32(content[at : at + 12]).to_bytes(4, "big")
    told = client.post("/api/sources", content=bytes(content))
    assert (told.status_code, told.json()["notes"]) == (201, ["only its first frame is used"])


@pytest.mark.parametrize("name", ["0" * 64, "..%2F..%2Feasel.db", "x", "0" * 63 + "G"])
def test_only_what_is_kept_is_served(name: str, client: TestClient) -> None:
    assert client.get(f"/api/sources/{name}").status_code in {404, 422}
