import errno
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest
from PIL import Image

from pipelines.core.error import StorageProblem
from pipelines.storage.facts import read_picture
from pipelines.storage.files import OURS
from pipelines.storage.pictures import PictureFiles
from tests.storage.samples import REQUEST, picture


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
