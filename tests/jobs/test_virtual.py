"""A recipe among the models is a model: listed, painted with, and mixed only then."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipelines.core.event import Failed, Finished, Loading
from pipelines.core.kinds import ConvertRequest, LoadRequest, VerifyRequest
from pipelines.core.model import Family
from pipelines.core.recipe import METADATA_KEY, Mix
from pipelines.core.request import NumberFormat
from pipelines.core.stop import StopSignal
from pipelines.jobs.hashes import NoBook
from pipelines.jobs.keeping import Keeper
from pipelines.jobs.merging import merge
from pipelines.jobs.orders import Order
from pipelines.jobs.perform import Painter
from pipelines.jobs.tidying import Tidier
from pipelines.jobs.worker import Work
from pipelines.models.headers import read_header
from pipelines.models.reading import read_model
from pipelines.models.residency import Residency
from pipelines.models.scan import ModelLibrary
from pipelines.storage.database import Database
from pipelines.storage.pictures import PictureFiles
from pipelines.storage.shelf import Shelf
from pipelines.storage.sources import SourceStore
from tests.generation.painting import ask
from tests.jobs.studio import pixels
from tests.models.synthetic import networks, write_single


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Two models, what comes of mixing them, and the recipe of that alone."""
    folder = tmp_path / "models"
    for seed, name in enumerate("ab"):
        write_single(folder / f"{name}.safetensors", networks(Family.SD1, small=True, seed=seed), torch.float16)
    infos = tuple(read_model(folder / f"{name}.safetensors", name) for name in "ab")
    for _ in merge(Order(Mix(parameters={"alpha": 0.4}), infos, folder / "real.safetensors"), NoBook()):
        pass
    recipe = read_header(folder / "real.safetensors").metadata[METADATA_KEY]
    (folder / "virtual.recipe.json").write_text(recipe, encoding="utf-8")
    return folder


@pytest.fixture
def painter(models: Path, tmp_path: Path) -> Iterator[Painter]:
    residency = Residency("cpu")
    yield Painter(
        ModelLibrary([models]), residency, PictureFiles(tmp_path), SourceStore(tmp_path), Keeper(residency, tmp_path)
    )


def test_it_is_listed_like_the_model_that_it_makes(models: Path) -> None:
    library = ModelLibrary([models])
    virtual, real = library.usable("virtual"), library.usable("real")
    assert (virtual.family, virtual.native_size, virtual.dtype) == (real.family, real.native_size, real.dtype)
    assert virtual.size < 2_000 and virtual.detail == "recipe, weighted sum of 2"
    assert [Path(path).stem for path in virtual.made_of] == ["a", "b"]


def test_it_paints_as_the_file_would_and_is_mixed_once(painter: Painter, tmp_path: Path) -> None:
    real = pixels(painter.perform(Work(ask(model="real")), StopSignal()), tmp_path)
    events = list(painter.perform(Work(ask(model="virtual", seed=3)), StopSignal()))
    assert any(isinstance(event, Loading) and event.model == "virtual" for event in events)
    assert pixels(iter(events), tmp_path) == real
    began = time.monotonic()
    assert pixels(painter.perform(Work(ask(model="virtual")), StopSignal()), tmp_path) == real
    assert time.monotonic() - began < 20


def test_without_its_ingredients_it_says_which(models: Path) -> None:
    (models / "b.safetensors").rename(models.parent / "b.safetensors")
    problem = ModelLibrary([models]).find("virtual").problem
    assert problem is not None and "wants 'b', which is not here as it was then" in problem.problem


def test_an_ingredient_that_is_another_by_now_is_noticed(models: Path, painter: Painter) -> None:
    file = models / "b.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    *_, failed = painter.perform(Work(ask(model="virtual")), StopSignal())
    assert (
        isinstance(failed, Failed)
        and "'b' is not the file that the recipe 'virtual' was made with" in failed.problem.problem
    )
    *_, finished = painter.perform(Work(ask(model="real")), StopSignal())
    assert isinstance(finished, Finished)


def test_a_document_that_is_no_recipe_is_a_card_that_says_so(models: Path) -> None:
    (models / "broken.recipe.json").write_text("{}")
    (models / "notes.json").write_text("{}")
    found = {info.name: info.problem for info in ModelLibrary([models]).list()}
    assert "notes" not in found
    problem = found["broken"]
    assert problem is not None and "The recipe in broken.recipe.json cannot be read" in problem.problem


def test_it_can_be_loaded_converted_and_checked_like_any_other(painter: Painter, models: Path, tmp_path: Path) -> None:
    info = ModelLibrary([models]).usable("virtual")
    for request in (LoadRequest(model="virtual"), VerifyRequest(model="virtual"),
                    ConvertRequest(model="virtual", name="made", dtype=NumberFormat.FP16)):  # fmt: skip
        *_, end = painter.perform(Work(request, model=info), StopSignal())
        assert isinstance(end, Finished), end
    real, made = load_file(models / "real.safetensors"), load_file(tmp_path / "made.safetensors")
    assert all(torch.equal(real[name], made[name]) for name in real)


def test_it_is_renamed_and_thrown_away_with_its_picture(models: Path, tmp_path: Path) -> None:
    (models / "virtual.preview.png").write_bytes(b"picture")
    database = Database(tmp_path / "easel.db")
    library = ModelLibrary([models])
    tidier = Tidier(library, Shelf(database))
    assert tidier.rename("virtual", "other") == "other"
    assert {file.name for file in models.iterdir()} >= {"other.recipe.json", "other.preview.png"}
    assert library.usable("other").made_of
    tidier.throw_away("other")
    assert not list(models.glob("other*"))
    database.close()
