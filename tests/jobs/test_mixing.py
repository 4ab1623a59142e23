"""A mix in memory is the mix that the file would be; a fader that moves makes only its own block anew."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from pipelines.core.blocks import SD
from pipelines.core.desk import (
    AddLorasRequest,
    CompareRequest,
    ExtractRequest,
    MergeRequest,
    Mixture,
    PreviewRequest,
)
from pipelines.core.error import InvalidRequest, UnknownName
from pipelines.core.event import Compared, Event, Failed, Finished, Hashed, Loading, PictureSaved, Progress, Stopped
from pipelines.core.kinds import read_request
from pipelines.core.methods import METHODS
from pipelines.core.model import Family, ModelInfo
from pipelines.core.presets import STARTER_MODELS
from pipelines.core.recipe import Mix
from pipelines.core.request import GenerateRequest, LoraChoice
from pipelines.core.sheet import SheetRequest, Variation
from pipelines.core.stop import StopMode, StopSignal
from pipelines.jobs.hashes import NoBook
from pipelines.jobs.keeping import Keeper
from pipelines.jobs.merging import merge
from pipelines.jobs.mixing import HeldMix
from pipelines.jobs.orders import ordered
from pipelines.jobs.perform import Painter
from pipelines.jobs.worker import Work
from pipelines.models.reading import read_model
from pipelines.models.recipes import recipe_at
from pipelines.models.residency import Residency
from pipelines.models.scan import ModelLibrary
from pipelines.storage.facts import read_picture
from pipelines.storage.pictures import PictureFiles
from pipelines.storage.sources import SourceStore
from tests.models.synthetic import networks, write_single

PICTURE = GenerateRequest(prompt="a red house", width=64, height=64, steps=3, seed=3)
M00 = SD.names.index("M00")


def faders(**at: float) -> dict[str, tuple[float, ...]]:
    """All at 0.5, some elsewhere."""
    return {"alpha": tuple(at.get(name, 0.5) for name in SD.names)}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelInfo]:
    """Four small SD 1.x."""
    folder = tmp_path_factory.mktemp("models")
    for seed, name in enumerate("abcd"):
        write_single(folder / f"{name}.safetensors", networks(Family.SD1, small=True, seed=seed), torch.float16)
    return {info.name: info for info in ModelLibrary([folder]).list()}


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelInfo]:
    """The same with every side cut to 8: enough where nothing is painted."""
    folder = tmp_path_factory.mktemp("crops")
    for seed, name in enumerate("abcd"):
        whole = networks(Family.SD1, small=True, seed=seed).original()
        cut = {key: tensor[(slice(8),) * tensor.ndim].half().contiguous() for key, tensor in whole.items()}
        save_file(cut, folder / f"{name}.safetensors")
    return {name: read_model(folder / f"{name}.safetensors", name) for name in "abcd"}


@pytest.fixture
def painter(tmp_path: Path) -> Painter:
    residency = Residency("cpu")
    library = ModelLibrary([STARTER_MODELS, tmp_path / "models"])
    return Painter(
        library,
        residency,
        PictureFiles(tmp_path / "outputs"),
        SourceStore(tmp_path / "outputs"),
        Keeper(residency, tmp_path / "models"),
    )


def preview(mix: Mix, *models: str, loras: Sequence[LoraChoice] = (), **picture: object) -> PreviewRequest:
    mixture = Mixture(models=models or ("flat", "ink"), mix=mix, loras=tuple(loras))
    return PreviewRequest(mixture=mixture, picture=PICTURE.model_copy(update=picture))


def done(painter: Painter, request: PreviewRequest | MergeRequest | CompareRequest | GenerateRequest) -> list[Event]:
    return list(painter.perform(Work(request), StopSignal()))


def seen(events: list[Event], tmp_path: Path) -> np.ndarray:
    (file,) = [event.file for event in events if isinstance(event, PictureSaved)]
    with Image.open(tmp_path / "outputs" / file) as image:
        return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize("method", [method.key for method in METHODS])
def test_it_is_what_the_file_would_be_tensor_by_tensor(
    method: str, crops: dict[str, ModelInfo], models: dict[str, ModelInfo], tmp_path: Path
) -> None:
    described = METHODS.find(method)
    names = tuple(islice("abcd", described.inputs[0]))
    by_block = [one.key for one in described.parameters if one.by_block]
    first, then = (
        Mixture(models=names, mix=Mix(method=method, blocks={key: faders(IN04=at)["alpha"] for key in by_block}))
        for at in (0.2, 0.9)
    )
    parts = tuple((models if method == "rebasin" else crops)[name] for name in names)
    held = HeldMix(ordered(first, parts))
    held.bring(ordered(first, parts))
    held.bring(ordered(then, parts))  # on the way there something else stood in memory
    target = tmp_path / "file.safetensors"
    for _ in merge(ordered(then, parts, target), NoBook()):
        pass
    file = load_file(target)
    assert file.keys() == held.tensors.keys()
    for name, tensor in file.items():
        assert held.tensors[name].dtype == tensor.dtype and torch.equal(held.tensors[name], tensor), name


def test_a_fader_makes_only_its_own_block_anew(models: dict[str, ModelInfo]) -> None:
    parts = (models["a"], models["b"])

    def order(**at: float) -> object:
        return ordered(Mixture(models=("a", "b"), mix=Mix(blocks=faders(**at))), parts)

    held = HeldMix(order())  # type: ignore[arg-type]
    held.bring(order())  # type: ignore[arg-type]
    before = {name: (tensor, tensor.clone()) for name, tensor in held.tensors.items()}
    held.bring(order(M00=0.6))  # type: ignore[arg-type]
    changed = {name for name, (_, old) in before.items() if not torch.equal(old, held.tensors[name])}
    assert changed and all(".middle_block." in name for name in changed)
    assert all(held.tensors[name] is tensor for name, (tensor, _) in before.items()), "networks have views of them"


class TestPreview:
    def test_it_is_the_picture_that_the_saved_model_paints(self, painter: Painter, tmp_path: Path) -> None:
        mix = Mix(blocks=faders(OUT05=1.0, BASE=0.0))
        done(painter, preview(Mix(blocks=faders(OUT05=0.0))))
        shown = seen(done(painter, preview(mix)), tmp_path)
        mixture = Mixture(models=("flat", "ink"), mix=mix)
        for request in (
            MergeRequest(mixture=mixture, name="kept"),
            MergeRequest(mixture=mixture, name="recipe", only_recipe=True),
        ):
            assert isinstance(done(painter, request)[-1], Finished)
        for name in ("kept", "recipe"):
            again = seen(done(painter, PICTURE.model_copy(update={"model": name})), tmp_path)
            assert np.abs(again - shown).max() <= 1, name

    def test_a_move_towards_b_is_seen_and_loads_nothing(self, painter: Painter, tmp_path: Path) -> None:
        pictures = []
        for number, at in enumerate((0.0, 0.4, 1.0)):
            events = done(painter, preview(Mix(parameters={"alpha": at}), steps=6, width=96, height=96))
            assert any(isinstance(event, Loading) for event in events) == (number == 0)
            pictures.append(seen(events, tmp_path))
        a, middle, b = pictures
        assert np.abs(middle - a).mean() > 2
        assert np.abs(middle - b).mean() < np.abs(a - b).mean()

    def test_the_first_model_itself_is_left_alone(self, painter: Painter, tmp_path: Path) -> None:
        flat = PICTURE.model_copy(update={"model": "flat"})
        before = seen(done(painter, flat), tmp_path)
        done(painter, preview(Mix(parameters={"alpha": 1.0})))
        assert np.array_equal(seen(done(painter, flat), tmp_path), before)

    def test_loras_on_the_desk_come_and_go(self, painter: Painter, tmp_path: Path) -> None:
        keep = Mix(method="keep")
        plain = seen(done(painter, preview(keep, "flat", steps=8)), tmp_path)
        glowing = seen(done(painter, preview(keep, "flat", loras=[LoraChoice(name="glow")], steps=8)), tmp_path)
        assert np.abs(glowing - plain).max() > 3
        half = [LoraChoice(name="glow", unet=0.5)]
        assert np.abs(seen(done(painter, preview(keep, "flat", loras=half, steps=8)), tmp_path) - glowing).max() > 1
        assert np.array_equal(seen(done(painter, preview(keep, "flat", steps=8)), tmp_path), plain)

    def test_it_lies_apart_and_knows_its_mixture(self, painter: Painter, tmp_path: Path) -> None:
        request = preview(Mix(blocks=faders(IN03=0.1)))
        (saved,) = [event for event in done(painter, request) if isinstance(event, PictureSaved)]
        assert saved.file.startswith("previews/")
        facts = read_picture(tmp_path / "outputs" / saved.file)
        assert facts.request == request and "Model: flat + ink" in facts.infotext

    def test_one_that_cannot_be_says_why_and_the_next_is_shown(self, painter: Painter, tmp_path: Path) -> None:
        shown = seen(done(painter, preview(Mix())), tmp_path)
        *_, failed = done(painter, preview(Mix(parameters={"alpha": 2.0}, elemental="IN99::1")))
        assert isinstance(failed, Failed) and "IN99" in failed.problem.problem
        assert np.array_equal(seen(done(painter, preview(Mix())), tmp_path), shown)

    def test_a_precision_of_its_own_is_kept(self, painter: Painter, tmp_path: Path) -> None:
        exact = seen(done(painter, preview(Mix(dtype="fp32"))), tmp_path)
        rounded = seen(done(painter, preview(Mix(dtype="bf16"))), tmp_path)
        assert np.abs(exact - rounded).max() > 0
        assert np.array_equal(seen(done(painter, preview(Mix(dtype="fp32"))), tmp_path), exact)

    def test_many_moves_take_no_more_memory_than_one(self, painter: Painter) -> None:
        process = psutil.Process()
        sizes = []
        for move in range(24):
            done(painter, preview(Mix(blocks=faders(**{SD.names[1 + move % 25]: move / 30})), steps=1))
            sizes.append(process.memory_info().rss / 1e6)
        assert min(sizes[-6:]) - max(sizes[:3]) < 25, [round(size) for size in sizes]


class TestKeeping:
    def keep(self, name: str, *, only_recipe: bool = False, **mix: object) -> MergeRequest:
        mixture = Mixture(models=("flat", "ink"), mix=Mix.model_validate(mix))
        return MergeRequest(mixture=mixture, name=name, only_recipe=only_recipe, notes="half and half")

    def test_a_file_carries_its_recipe_its_notes_and_tells_its_hashes(self, painter: Painter, tmp_path: Path) -> None:
        events = done(painter, self.keep("half", parameters={"alpha": 0.5}))
        assert any(isinstance(event, Hashed) for event in events) and isinstance(events[-1], Finished)
        recipe = recipe_at(tmp_path / "models" / "half.safetensors")
        assert ([one.name for one in recipe.models], recipe.notes) == (["flat", "ink"], "half and half")

    def test_a_recipe_is_a_model_of_a_kilobyte(self, painter: Painter, tmp_path: Path) -> None:
        assert isinstance(done(painter, self.keep("half", only_recipe=True))[-1], Finished)
        info = ModelLibrary([STARTER_MODELS, tmp_path / "models"]).usable("half")
        assert info.size < 4_000 and len(info.made_of) == 2

    @pytest.mark.parametrize("name", ["half", "HALF"])
    def test_a_name_that_is_taken_is_refused_in_either_form(self, name: str, painter: Painter) -> None:
        done(painter, self.keep("half", only_recipe=True))
        for only_recipe in (True, False):
            (failed,) = done(painter, self.keep(name, only_recipe=only_recipe))
            assert isinstance(failed, Failed) and failed.problem.field == "name"
            assert failed.problem.problem == "There is already a half.recipe.json"

    @pytest.mark.parametrize("name", ["../half", "a/b", ".half", "con"])
    def test_names_that_would_leave_the_folder_are_refused(self, name: str, painter: Painter, tmp_path: Path) -> None:
        (failed,) = done(painter, self.keep(name))
        assert isinstance(failed, Failed)
        assert not list(tmp_path.rglob("*.safetensors"))


class TestLoras:
    def test_two_are_added_up_and_one_is_brought_to_another_rank(self, painter: Painter, tmp_path: Path) -> None:
        both = AddLorasRequest(name="both", loras=(LoraChoice(name="glow", unet=0.5), LoraChoice(name="snowfall")))
        small = AddLorasRequest(name="small", loras=(LoraChoice(name="glow"),), rank=2)
        for request in (both, small):
            events = list(painter.perform(Work(request), StopSignal()))
            assert any(isinstance(event, Hashed) for event in events) and isinstance(events[-1], Finished)
        library = ModelLibrary([STARTER_MODELS, tmp_path / "models"])
        assert library.lora("small").detail == "LoRA, rank 2"
        keep = Mix(method="keep")
        apart = [LoraChoice(name="glow", unet=0.5), LoraChoice(name="snowfall")]
        shown, summed = (
            seen(done(painter, preview(keep, "flat", loras=loras)), tmp_path)
            for loras in (apart, [LoraChoice(name="both")])
        )
        assert np.abs(shown - summed).max() <= 2, "fp16 numbers of the sum"

    def test_one_is_extracted_and_paints_like_the_tuned_model(self, painter: Painter, tmp_path: Path) -> None:
        request = ExtractRequest(name="inkiness", model="ink", base="flat", rank=64)
        assert isinstance(list(painter.perform(Work(request), StopSignal()))[-1], Finished)
        keep = Mix(method="keep")
        flat, ink = (seen(done(painter, preview(keep, name, steps=8)), tmp_path) for name in ("flat", "ink"))
        lora = [LoraChoice(name="inkiness")]
        near = seen(done(painter, preview(keep, "flat", loras=lora, steps=8)), tmp_path)
        assert np.abs(near - ink).mean() < np.abs(flat - ink).mean()

    @pytest.mark.parametrize(
        "wrong",
        [
            {"kind": "add_loras", "name": "x", "loras": []},
            {"kind": "add_loras", "name": "x", "loras": [{"name": "glow"}], "rank": 0},
            {"kind": "add_loras", "name": "x", "loras": [{"name": "glow"}], "dtype": "fp8"},
            {"kind": "extract", "name": "x", "model": "ink", "base": "flat"},
            {"kind": "extract", "name": "x", "model": "ink", "base": "flat", "energy": 2.0},
        ],
    )
    def test_what_cannot_be_made_is_refused_before_it_is_a_job(self, wrong: dict[str, object]) -> None:
        with pytest.raises(InvalidRequest):
            read_request(wrong)


class TestSheet:
    def sheet(self) -> SheetRequest:
        columns = tuple(Variation(label=f"{at}", parameters={"alpha": at}) for at in (0.0, 1.0))
        rows = tuple(Variation(label=f"seed {seed}", picture={"seed": seed}) for seed in (3, 4))
        return SheetRequest(mixture=Mixture(models=("flat", "ink")), picture=PICTURE, columns=columns, rows=rows)

    def test_each_cell_is_the_preview_it_stands_for(self, painter: Painter, tmp_path: Path) -> None:
        sheet = self.sheet()
        events = list(painter.perform(Work(sheet, "job"), StopSignal()))
        saved = [event for event in events if isinstance(event, PictureSaved)]
        assert [(one.index, one.seed) for one in saved] == [(0, 3), (1, 3), (2, 4), (3, 4)]
        assert {event.count for event in events if isinstance(event, Progress)} == {4}
        for one, cell in zip(saved, sheet.cells, strict=True):
            assert read_picture(tmp_path / "outputs" / one.file).request == cell
            with Image.open(tmp_path / "outputs" / one.file) as image:
                shown = np.asarray(image.convert("RGB")).astype(int)
            assert np.array_equal(shown, seen(done(painter, cell), tmp_path))

    def test_what_was_cut_goes_on_at_the_first_missing_cell(self, painter: Painter) -> None:
        saved = [e for e in painter.perform(Work(self.sheet(), first=3), StopSignal()) if isinstance(e, PictureSaved)]
        assert [one.index for one in saved] == [3]

    def test_it_stops_within_a_step_and_keeps_what_it_has(self, painter: Painter) -> None:
        stop, saved = StopSignal(), 0
        for event in painter.perform(Work(self.sheet()), stop):
            saved += isinstance(event, PictureSaved)
            if saved == 2:
                stop.ask(StopMode.NOW)
        assert (saved, type(event)) == (2, Stopped)


def test_blocks_are_compared_as_vectors(models: dict[str, ModelInfo], tmp_path: Path) -> None:
    residency = Residency("cpu")
    painter = Painter(
        ModelLibrary([]), residency, PictureFiles(tmp_path), SourceStore(tmp_path), Keeper(residency, tmp_path)
    )
    work = Work(CompareRequest(model="a", other="b"), parts=(models["a"], models["b"]))
    (told,) = [event for event in painter.perform(work, StopSignal()) if isinstance(event, Compared)]
    a, b = (load_file(models[name].path) for name in "ab")
    for block in ("BASE", "IN04", "M00", "OUT11"):
        names = [name for name in a if SD.of(name) == block and a[name].is_floating_point()]
        one, other = (torch.cat([model[name].double().flatten() for name in names]) for model in (a, b))
        assert told.blocks[block][0] == pytest.approx(float((other - one).norm() / one.norm()), rel=1e-5)
        assert told.blocks[block][1] == pytest.approx(float(one @ other / one.norm() / other.norm()), abs=1e-6)
    assert list(told.blocks) == list(SD.names)


@pytest.mark.parametrize(
    ("mixture", "problem"),
    [
        ({"models": []}, "models"),
        ({"models": ["flat"]}, "Weighted sum mixes 2 models"),
        ({"models": ["flat", "ink"], "mix": {"vae": "file"}}, "whose VAE is meant"),
        ({"models": ["flat", "ink"], "vae_from": "ink"}, "whose VAE is meant"),
        ({"models": ["flat", "ink"], "mix": {"method": "nonsense"}}, "nonsense"),
        ({"models": ["flat", "ink"], "mix": {"parameters": {"alpha": float("nan")}}}, "alpha"),
        ({"models": ["flat", "ink"], "sliders": []}, "sliders"),
        ("flat", "mixture"),
    ],
)
def test_a_mixture_that_cannot_be_is_refused_before_it_is_a_job(mixture: object, problem: str) -> None:
    for kind in ({"kind": "preview", "picture": {}}, {"kind": "merge", "name": "x"}):
        with pytest.raises((InvalidRequest, UnknownName), match=problem):
            read_request({**kind, "mixture": mixture})


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
