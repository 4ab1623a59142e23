from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jobs.studio import Studio, studio


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """One studio for all tests of a file that leave its worker alive: a process takes its time to start."""
    with studio(tmp_path_factory.mktemp("data")) as made:
        yield made


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"
