import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from pipelines.core.desk import Mixture, PreviewRequest
from pipelines.core.error import StorageProblem, UnknownName
from pipelines.core.recipe import Mix
from pipelines.core.search import Search
from pipelines.storage.database import Database
from pipelines.storage.files import OURS
from pipelines.storage.images import ImageStore
from pipelines.storage.pictures import PictureFiles, SavedPicture
from pipelines.storage.searches import SearchBook, Trial
from tests.storage.samples import REQUEST, picture


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


def test_a_thumbnail_that_cannot_be_kept_is_shown_all_the_same(
    files: PictureFiles, store: ImageStore, database: Database
) -> None:
    row = store.add(files.save(picture(size=(640, 320)), REQUEST, index=0))
    with database.transaction() as db:
        db.exec_driver_sql("CREATE TRIGGER full BEFORE INSERT ON thumbnail BEGIN SELECT RAISE(ABORT, 'full'); END")
    assert store.thumbnail(row.id)[8:12] == b"WEBP"


def test_a_picture_deleted_by_hand_is_shown_as_missing(files: PictureFiles, store: ImageStore) -> None:
    saved = files.save(picture(), REQUEST, index=0)
    row = store.add(saved)
    shutil.rmtree(saved.path.parent)
    assert store.get(row.id).missing
    assert store.recent()[0].missing
    for look in (store.path_of, store.thumbnail):
        with pytest.raises(UnknownName, match=f"The file of picture {row.id} is gone"):
            look(row.id)


def test_only_the_newest_previews_of_the_desk_stay(files: PictureFiles, store: ImageStore) -> None:
    asked = PreviewRequest(mixture=Mixture(models=("flat", "ink")), picture=REQUEST)
    kept = store.add(files.save(picture(), REQUEST, index=0))
    previews = [store.add(files.save(picture(shade), asked, index=0)) for shade in range(5)]
    assert store.trim_previews(keep=2) == 3 and store.trim_previews(keep=2) == 0
    assert [row.id for row in store.recent(kind="preview")] == [previews[4].id, previews[3].id]
    assert [(files.outputs / row.file).exists() for row in previews] == [False] * 3 + [True] * 2
    assert [row.id for row in store.recent()] == [kept.id] and store.path_of(kept.id).exists()
    assert store.adopt() == []


def test_what_a_search_has_tried_stays(files: PictureFiles, store: ImageStore, database: Database) -> None:
    asked = PreviewRequest(mixture=Mixture(models=("flat", "ink")), picture=REQUEST)
    first, *_ = (store.add(files.save(picture(shade), asked, index=0)) for shade in range(3))
    mixture = Mixture(models=("flat", "ink"), mix=Mix(blocks={"alpha": (0.5,) * 26}))
    book = SearchBook(database)
    book.begin("search", Search(mixture=mixture, picture=REQUEST, blocks=("M00",)))
    book.propose("search", Trial(0, {"M00": 0.5}))
    book.painted("search", 0, first.id)
    assert store.trim_previews(keep=0) == 2
    assert [row.id for row in store.recent(kind="preview")] == [first.id]


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
    for number, year in enumerate(("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.9999999-12:00")):
        with Image.open(saved[0].path) as image:
            chunk = json.loads(image.info["easel"]) | {"created": year}
            text = PngImagePlugin.PngInfo()
            text.add_text("easel", json.dumps(chunk))
            image.save(outputs / f"timeless {number}.png", pnginfo=text)
    with suppress(OSError):  # not every file system keeps such a name
        (outputs / os.fsdecode(b"no text \xff.png")).hardlink_to(saved[0].path)
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
