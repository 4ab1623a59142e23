"""What every test stands on: no network, and the starter model in memory when one asks for it."""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pipelines.models.loading import LoadedModel
    from tests.jobs.hub import Hub

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # two tests run side by side, and each a small network
# A hundred processes start here, of libraries that take a dozen seconds to compile: each file is compiled once.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
HOME = tempfile.TemporaryDirectory(prefix="easel-tests-")
os.environ["XDG_DATA_HOME"] = HOME.name  # the trash of whoever runs the tests stays as it is

LOCAL = {"localhost", "127.0.0.1", "::1", "0.0.0.0", "::", "", None}


def _stay_at_home(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse every name look-up and connection beyond this machine, whoever makes it."""
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):  # a string is a Unix socket
        host = arguments[1][0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in LOCAL and not str(host).startswith("127."):
        raise OSError(f"tests reach no network, and something asked for {host!r}")


sys.addaudithook(_stay_at_home)


@pytest.fixture(scope="session")
def starter_folder() -> Path:
    """The folder of the starter model `flat`."""
    from pipelines.core.presets import STARTER_MODELS

    return STARTER_MODELS / "flat"


@pytest.fixture(scope="session")
def starter() -> "Iterator[LoadedModel]":
    """The starter model `flat` on the CPU in float32. Shared by all tests: leave it as it is."""
    import torch

    from pipelines.core.presets import STARTER_MODELS
    from pipelines.models.residency import Residency
    from pipelines.models.scan import ModelLibrary

    torch.set_num_threads(1)  # a network this small gains nothing from a second one, and tests run side by side
    yield Residency("cpu").lend(ModelLibrary([STARTER_MODELS]).usable("flat"))


@pytest.fixture(scope="session")
def inpainter() -> "Iterator[LoadedModel]":
    """The starter model `inpaint`, as `starter`."""
    import torch

    from pipelines.core.presets import STARTER_MODELS
    from pipelines.models.residency import Residency
    from pipelines.models.scan import ModelLibrary

    torch.set_num_threads(1)
    yield Residency("cpu").lend(ModelLibrary([STARTER_MODELS]).usable("inpaint"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> "Iterator[Hub]":
    """What models are downloaded from."""
    from tests.jobs.hub import served

    with served() as made:
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        yield made
