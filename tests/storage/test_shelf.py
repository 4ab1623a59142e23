"""What is remembered of models: a scan reads again only what has changed."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import insert

from pipelines.core.model import Seen
from pipelines.core.presets import STARTER_MODELS
from pipelines.models import scan
from pipelines.models.reading import read_model
from pipelines.models.scan import ModelLibrary, stamp_of
from pipelines.storage.database import Database
from pipelines.storage.schema import MODEL
from pipelines.storage.shelf import Hashes, Note, Shelf
from tests.models.folders import copy_of
from tests.models.synthetic import write_hollow

LORA = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
TENSORS = {f"{LORA}.lora_down.weight": (4, 768), f"{LORA}.lora_up.weight": (64, 4)}


@pytest.fixture
def shelf(database: Database) -> Shelf:
    return Shelf(database)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files and folders whose insides were looked at."""
    seen: list[Path] = []
    look = read_model

    def noting(path: Path, name: str) -> object:
        seen.append(path)
        return look(path, name)

    monkeypatch.setattr(scan, "read_model", noting)
    return seen


def test_a_second_scan_reads_nothing_and_finds_the_same(
    shelf: Shelf, reads: list[Path], tmp_path: Path, starter_folder: Path
) -> None:
    copy_of(starter_folder, tmp_path / "m" / "whole")
    write_hollow(tmp_path / "m" / "glow.safetensors", TENSORS)
    (tmp_path / "m" / "notes.bin").write_bytes(b"not a pickle")
    first = ModelLibrary([tmp_path / "m"], shelf).list()
    assert {path.name for path in reads} == {"whole", "glow.safetensors"}
    reads.clear()
    assert ModelLibrary([tmp_path / "m"], shelf).list() == first
    assert not reads


def test_what_came_changed_or_went_is_noticed(shelf: Shelf, reads: list[Path], tmp_path: Path) -> None:
    for name in ("stays", "changes", "goes"):
        write_hollow(tmp_path / "m" / f"{name}.safetensors", TENSORS)
    library = ModelLibrary([tmp_path / "m"], shelf)
    assert [info.name for info in library.list()] == ["changes", "goes", "stays"]
    reads.clear()
    (tmp_path / "m" / "goes.safetensors").unlink()
    write_hollow(tmp_path / "m" / "changes.safetensors", {"emb_params": (2, 768)})
    write_hollow(tmp_path / "m" / "comes.safetensors", TENSORS)
    library.rescan()
    assert [(info.name, info.kind) for info in library.list()] == [
        ("changes", "embedding"), ("comes", "lora"), ("stays", "lora"),
    ]  # fmt: skip
    assert {path.name for path in reads} == {"changes.safetensors", "comes.safetensors"}
    assert {Path(path).name for path in shelf.recall()} == {
        "changes.safetensors",
        "comes.safetensors",
        "stays.safetensors",
    }


def test_a_file_that_was_growing_is_looked_at_until_it_has_settled(shelf: Shelf, tmp_path: Path) -> None:
    file = write_hollow(tmp_path / "m" / "x.safetensors", TENSORS)
    size = file.stat().st_size
    os.truncate(file, size - 100)
    library = ModelLibrary([tmp_path / "m"], shelf)
    assert "still being written" in str(library.list()[0].problem)
    times = (file.stat().st_atime - 1000, file.stat().st_mtime - 1000)
    os.utime(file, times)
    library.rescan()
    assert "ends early" in str(library.list()[0].problem)
    os.truncate(file, size)
    library.rescan()
    assert library.list()[0].problem is None


def test_hashes_belong_to_the_file_as_it_was(shelf: Shelf, tmp_path: Path) -> None:
    file = write_hollow(tmp_path / "x.safetensors", TENSORS)
    hashes = Hashes("ab" * 32, "cd" * 32)
    shelf.keep_hashes(str(file), stamp_of(file), hashes)
    shelf.keep_hashes(str(file), stamp_of(file), hashes)
    assert shelf.hashes(str(file), stamp_of(file)) == hashes
    assert (hashes.short, hashes.auto_v3) == ("ab" * 5, "cd" * 6)
    os.utime(file, (1, 1))
    assert shelf.hashes(str(file), stamp_of(file)) is None


def test_notes_are_kept(shelf: Shelf) -> None:
    assert shelf.note("/m/x") == Note()
    shelf.keep_note("/m/x", {"favourite": True, "tags": ("night", "soft")})
    shelf.keep_note("/m/x", {"notes": "good at 0.6", "tags": ("night",)})
    shelf.keep_note("/m/x", {})
    assert shelf.note("/m/x") == Note(favourite=True, tags=("night",), notes="good at 0.6")


def test_two_that_note_different_things_at_once_both_keep_them(shelf: Shelf) -> None:
    with ThreadPoolExecutor(8) as pool:
        changes = [{"notes": "n"}, {"tags": ("t",)}, {"favourite": True}, {"hidden": True}]
        for path in map(str, range(20)):
            list(pool.map(partial(shelf.keep_note, path), changes))
    assert set(shelf.notes().values()) == {Note(True, True, ("t",), "n")}


def test_thousands_of_rows_are_taken(shelf: Shelf) -> None:
    seen = {f"/m/{number}": Seen("s", None) for number in range(3000)}
    shelf.remember(seen, ())
    assert shelf.recall() == seen
    shelf.remember({}, list(seen)[:2900])
    assert len(shelf.recall()) == 100


def wait_for(library: ModelLibrary, names: list[str], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while [info.name for info in library.list() if not info.starter] != names:
        assert time.monotonic() < deadline, [info.name for info in library.list()]
        time.sleep(0.05)


def test_a_studio_shows_what_it_remembers_and_notices_what_comes_and_goes(shelf: Shelf, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    write_hollow(folder / "stays.safetensors", TENSORS)
    write_hollow(folder / "goes.safetensors", TENSORS)
    ModelLibrary([folder], shelf).list()
    (folder / "goes.safetensors").unlink()
    library = ModelLibrary([STARTER_MODELS, folder], shelf)
    end = library.begin()
    try:
        assert "flat" in {info.name for info in library.list()}  # at once, whatever the folders take
        wait_for(library, ["stays"])
        seen = library.revision
        write_hollow(folder / "deeper" / "comes.safetensors", TENSORS)
        wait_for(library, ["comes", "stays"])
        assert library.revision > seen
        (folder / "stays.safetensors").rename(folder / "moved.safetensors")
        wait_for(library, ["comes", "moved"])
    finally:
        end()


def test_a_folder_that_appears_later_is_looked_into(shelf: Shelf, tmp_path: Path) -> None:
    library = ModelLibrary([tmp_path / "later"], shelf)
    end = library.begin()
    try:
        wait_for(library, [])
        write_hollow(tmp_path / "later" / "glow.safetensors", TENSORS)
        wait_for(library, ["glow"])
    finally:
        end()


def test_what_a_newer_easel_remembered_is_looked_at_again(shelf: Shelf) -> None:
    with shelf.database.transaction() as db:
        db.execute(insert(MODEL).values(path="/m/x", stamp="s", info='{"name": "x", "flavour": "mint"}'))
    assert shelf.recall() == {}
