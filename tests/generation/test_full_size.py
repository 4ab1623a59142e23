"""Full-size Stable Diffusion on this machine's CPU, with no network: minutes and gigabytes, so only when asked for.

uv run pytest -m weights
"""

import socket
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.model import Family
from pipelines.jobs.converting import Form, convert
from pipelines.models.residency import Residency
from pipelines.models.scan import ModelLibrary
from tests.generation.painting import difference, paint
from tests.models.synthetic import write_full_size

pytestmark = pytest.mark.weights


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("somebody asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("family", [Family.SD1, Family.SDXL], ids=str)
def test_one_file_and_a_folder_of_the_same_weights_paint_the_same(family: Family, tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_full_size(models / "file.safetensors", family)
    convert(ModelLibrary([models]).usable("file"), Form(), models / "folder")
    library = ModelLibrary([models])
    assert {m.name: m.family for m in library.list()} == {"file": family, "folder": family}
    pictures = []
    for name in ("file", "folder"):
        residency = Residency("cpu")
        pictures.append(paint(residency.lend(library.usable(name)), sampler="euler", steps=2, cfg=4.0)[0])
    assert pictures[0].std() > 1
    assert difference(*pictures) <= 1  # where a matrix lies in memory decides how its sums are grouped
