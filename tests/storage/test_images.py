import errno
import multiprocessing
import os
import shutil
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from pipelines.core.error import StorageProblem, UnknownName
from pipelines.core.request import GenerateRequest
from pipelines.storage.database import Database
from pipelines.storage.facts import read_picture
from pipelines.storage.files import OURS
from pipelines.storage.images import ImageStore, PictureFiles, SavedPicture

REQUEST = GenerateRequest(
    prompt='a "näive" hill, 日本 👩‍🎨\nby night', negative_prompt="low: 2", seed=7, count=20, cfg=6.25
)


def picture(shade: int = 0, size: tuple[int, int] = (64, 48)) -> Image.Image:
    return Image.new("RGB", size, (shade, 20, 30))


def save_some(outputs: Path, first: int, count: int) -> None:
    for index in range(first, first + count):
        PictureFiles(outputs).save(picture(index), REQUEST, index=index, job=f"job{first}")


def names(outputs: Path) -> list[str]:
    return sorted(path.name for path in outputs.rglob("*") if path.is_file())


class FullDiskImage(Image.Image):
    """A picture whose disk is full when half of it is written."""

    def save(self, fp: object, format: str | None = None, **params: object) -> None:
        fp.write(b"\x89PNG half a picture")  # type: ignore[attr-defined]
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_picture_goes_into_the_folder_of_its_day_with_number_and_seed(files: PictureFiles, outputs: Path) -> None:
    first = files.save(picture(), REQUEST, index=0)
    second = files.save(picture(), REQUEST, index=3)
    today = date.today().isoformat()
    assert (first.file, second.file) == (f"{today}/00001-7.png", f"{today}/00002-10.png")
    assert first.path == outputs / first.file
    assert names(outputs) == ["00001-7.png", "00002-10.png"]


def test_a_request_survives_the_picture(files: PictureFiles) -> None:
    saved = files.save(picture(5), REQUEST, index=3, job="abc", seconds=1.5)
    facts = read_picture(saved.path)
    assert facts.request == REQUEST
    assert (facts.index, facts.seed, facts.job, facts.seconds) == (3, 10, "abc", 1.5)
    assert (facts.width, facts.height) == (64, 48)
    assert facts.infotext.startswith(REQUEST.prompt)
    assert "Seed: 10" in facts.infotext


def test_the_pixels_are_kept_exactly(files: PictureFiles) -> None:
    image = Image.frombytes("RGB", (64, 64), os.urandom(64 * 64 * 3))
    with Image.open(files.save(image, REQUEST, index=0).path) as again:
        assert again.tobytes() == image.tobytes()


def test_a_picture_can_go_to_a_file_of_ones_own_which_is_replaced(files: PictureFiles, tmp_path: Path) -> None:
    target = tmp_path / "mine" / "house.png"
    files.save(picture(1), REQUEST, index=0, to=target)
    saved = files.save(picture(2), REQUEST, index=1, to=target)
    assert (saved.path, saved.file) == (target, str(target))
    assert read_picture(target).index == 1
    assert names(target.parent) == ["house.png"]


def test_a_full_disk_leaves_no_half_picture(files: PictureFiles, outputs: Path) -> None:
    files.save(picture(), REQUEST, index=0)
    with pytest.raises(StorageProblem, match="The disk is full"):
        files.save(FullDiskImage(), REQUEST, index=1)
    assert names(outputs) == ["00001-7.png"]
    assert files.save(picture(), REQUEST, index=1).file.endswith("00002-8.png")


def test_an_outputs_folder_that_cannot_be_made_is_a_clear_problem(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file")
    with pytest.raises(StorageProblem):
        PictureFiles(tmp_path / "outputs").save(picture(), REQUEST, index=0)


def test_many_processes_and_threads_never_take_the_same_number(outputs: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as processes, ThreadPoolExecutor(4) as threads:
        pools = [processes, threads] * 3
        done = [pool.submit(save_some, outputs, 100 * n, 10) for n, pool in enumerate(pools)]
        for future in done:
            future.result()
    numbers = [int(name.split("-")[0]) for name in names(outputs)]
    assert numbers == list(range(1, 61))


def test_a_claim_left_by_a_killed_program_costs_a_number_and_no_more(files: PictureFiles, outputs: Path) -> None:
    folder = outputs / date.today().isoformat()
    folder.mkdir(parents=True)
    (folder / f"{OURS}claim-00004").touch()
    assert files.save(picture(), REQUEST, index=0).file.endswith("00005-7.png")


def test_a_saved_picture_is_listed_with_its_request(files: PictureFiles, store: ImageStore) -> None:
    row = store.add(files.save(picture(), REQUEST, index=2, job="abc", seconds=2.5))
    assert store.get(row.id) == row
    assert (row.request, row.index, row.seed, row.job, row.seconds) == (REQUEST, 2, 9, "abc", 2.5)
    assert (row.width, row.height, row.missing) == (64, 48, False)


def test_adding_a_picture_twice_lists_it_once(files: PictureFiles, store: ImageStore) -> None:
    saved = files.save(picture(), REQUEST, index=0)
    assert store.add(saved) == store.add(saved.file)
    assert len(store.recent()) == 1


def test_the_newest_pictures_come_first_page_by_page(files: PictureFiles, store: ImageStore) -> None:
    ids = [store.add(files.save(picture(), REQUEST, index=i)).id for i in range(5)]
    page = store.recent(2)
    assert [row.id for row in page] == [ids[4], ids[3]]
    assert [row.id for row in store.recent(9, before=page[-1].id)] == [ids[2], ids[1], ids[0]]


def test_the_thumbnail_fits_256_pixels_and_stays_when_the_file_goes(files: PictureFiles, store: ImageStore) -> None:
    saved = files.save(picture(size=(640, 320)), REQUEST, index=0)
    row = store.add(saved)
    thumbnail = store.thumbnail(row.id)
    saved.path.unlink()
    assert store.thumbnail(row.id) == thumbnail
    (saved.path.parent / "t.webp").write_bytes(thumbnail)
    with Image.open(saved.path.parent / "t.webp") as small:
        assert (small.format, small.size) == ("WEBP", (256, 128))


def test_a_picture_deleted_by_hand_is_shown_as_missing(files: PictureFiles, store: ImageStore) -> None:
    saved = files.save(picture(), REQUEST, index=0)
    row = store.add(saved)
    shutil.rmtree(saved.path.parent)
    assert store.get(row.id).missing
    assert store.recent()[0].missing
    for look in (store.path_of, store.thumbnail):
        with pytest.raises(UnknownName, match=f"The file of picture {row.id} is gone"):
            look(row.id)


def test_an_unknown_picture_is_refused(store: ImageStore) -> None:
    for look in (store.get, store.path_of, store.thumbnail):
        with pytest.raises(UnknownName, match="There is no picture 12"):
            look(12)


def test_no_path_outside_the_outputs_folder_is_served(
    files: PictureFiles, store: ImageStore, outputs: Path, tmp_path: Path
) -> None:
    outside = files.save(picture(), REQUEST, index=0, to=tmp_path / "secret.png")
    outputs.mkdir()
    (outputs / "link.png").symlink_to(outside.path)
    for file in ("../secret.png", "link.png", str(outside.path)):
        with pytest.raises(StorageProblem, match="outside"):
            store.add(file)
    assert store.adopt() == []


@pytest.fixture
def full_outputs(files: PictureFiles, outputs: Path) -> Iterator[list[SavedPicture]]:
    """Three good pictures among everything else a folder collects."""
    saved = [files.save(picture(i), REQUEST, index=i, job="abc") for i in range(3)]
    picture().save(outputs / "foreign.png")
    text = PngImagePlugin.PngInfo()
    text.add_text("easel", '{"version": 1, "index": 1e999}')
    picture().save(outputs / "lies.png", pnginfo=text)
    (outputs / "damaged.png").write_bytes(saved[0].path.read_bytes()[:20])
    (outputs / "empty.png").touch()
    (outputs / "folder.png").mkdir()
    (outputs / "circle.png").symlink_to(outputs / "circle.png")
    (outputs / f"{OURS}1-ab.tmp").write_bytes(b"half")
    yield saved


def test_pictures_without_a_row_are_adopted_once_in_their_order(
    full_outputs: list[SavedPicture], store: ImageStore
) -> None:
    store.add(full_outputs[1])
    assert [row.index for row in store.adopt()] == [0, 2]
    assert store.adopt() == []
    assert [row.index for row in store.of_job("abc")] == [0, 1, 2]


def test_the_list_can_be_made_again_from_the_pictures_alone(
    full_outputs: list[SavedPicture], store: ImageStore, tmp_path: Path, outputs: Path
) -> None:
    before = [store.add(saved) for saved in full_outputs]
    database = Database(tmp_path / "new.db")
    again = ImageStore(database, outputs)
    again.adopt()
    assert again.recent() == before[::-1]
    database.close()


def test_a_picture_of_a_newer_easel_is_listed_without_its_request(
    files: PictureFiles, store: ImageStore, outputs: Path
) -> None:
    saved = files.save(picture(), REQUEST, index=0, job="abc")
    with Image.open(saved.path) as image:
        text = PngImagePlugin.PngInfo()
        text.add_text("easel", image.info["easel"].replace('"steps":', '"steps_of_the_future":'))
        image.save(outputs / "future.png", pnginfo=text)
    row = next(row for row in store.adopt() if row.file == "future.png")
    assert (row.request, row.job) == (None, "abc")


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_the_text_of_an_a1111_jpeg_or_webp_is_read(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + "a hill 日本\nSteps: 20".encode("utf-16-be")
    path = tmp_path / f"a.{suffix}"
    picture().save(path, exif=exif)
    assert read_picture(path).infotext == "a hill 日本\nSteps: 20"


@pytest.mark.parametrize("content", [b"", b"%!PS-Adobe", b"<svg/>", b"\x89PNG\r\n\x1a\n", b"GIF89a"])
def test_what_is_no_picture_is_a_clear_problem(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(StorageProblem, match=r"a\.png is damaged or no picture"):
        read_picture(path)


@pytest.mark.parametrize("side", [9_700, 60_000])
def test_a_picture_with_a_huge_claimed_size_is_refused_before_its_pixels_are_read(tmp_path: Path, side: int) -> None:
    path = tmp_path / "bomb.png"
    picture().save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = side.to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)
    with pytest.raises(StorageProblem, match=r"bomb\.png is too large"):
        read_picture(path)
