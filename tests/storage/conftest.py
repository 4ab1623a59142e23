from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.storage.database import Database
from pipelines.storage.images import ImageStore
from pipelines.storage.pictures import PictureFiles


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return tmp_path / "outputs"


@pytest.fixture
def files(outputs: Path) -> PictureFiles:
    return PictureFiles(outputs)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "easel.db")
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database, outputs: Path) -> ImageStore:
    return ImageStore(database, outputs)
