from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipelines.core.presets import STARTER_MODELS
from pipelines.storage.sources import SourceStore
from tests.jobs.studio import Studio, studio

if TYPE_CHECKING:
    from pipelines.jobs.perform import Painter


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """One studio for all tests of a file that leave its worker alive: a process takes its time to start."""
    with studio(tmp_path_factory.mktemp("data")) as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the painter of a file of tests saves."""
    return tmp_path_factory.mktemp("painter")


@pytest.fixture(scope="module")
def sources(folder: Path) -> SourceStore:
    """What the painter is brought."""
    return SourceStore(folder / "sources")


@pytest.fixture(scope="module")
def painter(folder: Path, sources: SourceStore) -> "Painter":
    """A painter with the starter models, in this process."""
    import torch

    from pipelines.jobs.keeping import Keeper
    from pipelines.jobs.perform import Painter
    from pipelines.models.residency import Residency
    from pipelines.models.scan import ModelLibrary
    from pipelines.storage.pictures import PictureFiles

    torch.set_num_threads(1)
    residency = Residency("cpu")
    files, keeper = PictureFiles(folder / "outputs"), Keeper(residency, folder / "models")
    return Painter(ModelLibrary([STARTER_MODELS]), residency, files, sources, keeper)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"
