"""Models folders as people have them: full of other things, linked in circles, on drives that come and go."""

import os
from pathlib import Path

import pytest

from pipelines.core.model import Family, Kind
from pipelines.models.scan import ModelLibrary
from tests.models.synthetic import networks, write_hollow, write_single


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """One good model."""
    return write_single(tmp_path / "models" / "good.safetensors", networks(Family.SD1, small=True))


def names(library: ModelLibrary) -> list[str]:
    return [info.name for info in library.list()]


def test_a_thousand_other_files_are_no_models_and_no_trouble(model: Path) -> None:
    for number in range(1000):
        (model.parent / f"note {number}.{('txt', 'png', 'zip', 'json', 'yaml')[number % 5]}").write_bytes(b"\x00" * 9)
    assert names(ModelLibrary([model.parent])) == ["good"]


def test_safetensors_that_are_no_model_are_listed_as_unknown(model: Path) -> None:
    write_hollow(model.parent / "numbers.safetensors", {"a": (3, 3), "b": (2,)})
    found = {info.name: info.kind for info in ModelLibrary([model.parent]).list()}
    assert found == {"good": Kind.CHECKPOINT, "numbers": Kind.UNKNOWN}


def test_folders_linked_in_a_circle_end(model: Path) -> None:
    (model.parent / "round").symlink_to(model.parent)
    (model.parent / "a").mkdir()
    (model.parent / "a" / "b").symlink_to(model.parent / "a")
    assert names(ModelLibrary([model.parent])) == ["good"]


def test_a_link_to_nowhere_and_a_pipe_hold_up_nobody(model: Path) -> None:
    (model.parent / "gone.safetensors").symlink_to("/nowhere/at/all.safetensors")
    os.mkfifo(model.parent / "pipe.safetensors")
    os.mkfifo(model.parent / "pipe.ckpt")
    assert names(ModelLibrary([model.parent])) == ["good"]


def test_a_link_out_of_the_folder_leads_to_models_only(model: Path) -> None:
    (model.parent / "etc").symlink_to("/etc")
    (model.parent / "passwd.safetensors").symlink_to("/etc/passwd")
    found = {info.name: info for info in ModelLibrary([model.parent]).list()}
    assert set(found) == {"good", "passwd"}
    assert found["passwd"].damaged


def test_a_drive_that_goes_takes_its_models_and_brings_them_back(model: Path) -> None:
    library = ModelLibrary([model.parent])
    assert names(library) == ["good"]
    away = model.parent.rename(model.parent.with_name("unplugged"))
    library.glance()
    assert names(library) == []
    away.rename(model.parent)
    library.glance()
    assert names(library) == ["good"]
