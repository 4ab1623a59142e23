"""A merge on disk: whole or not at all, never over another file, with a recipe that gives the same bytes again."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pipelines.core.error import Conflict, EaselError, InvalidRequest, ModelUnusable, StorageProblem
from pipelines.core.event import Hashed, Noted, Worked
from pipelines.core.ingredient import Ingredient
from pipelines.core.model import Family, ModelInfo
from pipelines.core.recipe import METADATA_KEY, Mix, Recipe, read_recipe
from pipelines.jobs import merging
from pipelines.jobs.hashes import NoBook, ShelfBook
from pipelines.jobs.merging import merge, preflight, prepared
from pipelines.jobs.orders import Order
from pipelines.models.headers import read_header
from pipelines.models.lora.strength import Strength
from pipelines.models.reading import read_model
from pipelines.models.scan import ModelLibrary
from pipelines.storage.database import Database
from pipelines.storage.files import OURS, sweep
from pipelines.storage.shelf import Shelf
from tests.models import loras
from tests.models.synthetic import networks, shapes, write_folder, write_hollow, write_single

HALF = Mix(parameters={"alpha": 0.5})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Path]]:
    """Three small SD 1.x; nothing may change them."""
    folder = tmp_path_factory.mktemp("models")
    made = [
        write_single(folder / f"{name}.safetensors", networks(Family.SD1, small=True, seed=seed), torch.float16)
        for seed, name in enumerate("abc")
    ]
    before = [digest(file) for file in made]
    yield made
    assert [digest(file) for file in made] == before


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def infos(files: list[Path]) -> tuple[ModelInfo, ...]:
    return tuple(read_model(file, file.stem) for file in files)


def done(order: Order) -> Hashed:
    *_, last = merge(order, NoBook())
    assert isinstance(last, Hashed)
    return last


def test_the_file_carries_its_recipe_in_our_words_and_in_those_of_others(files: list[Path], tmp_path: Path) -> None:
    target = tmp_path / "mix.safetensors"
    mix = Mix(blocks={"alpha": (0.1, *[0.6] * 25)}, dtype="fp16")
    found = done(Order(mix, infos(files[:2]), target))
    assert found.sha256 == digest(target)
    header = read_header(target)
    begin = min(entry.start for entry in header.tensors.values())
    assert found.weights == hashlib.sha256(target.read_bytes()[begin:]).hexdigest()
    recipe = read_recipe(header.metadata[METADATA_KEY], "mix")
    assert recipe.mix == mix
    assert [(one.name, one.sha256, one.size) for one in recipe.models] == [
        (file.stem, digest(file), file.stat().st_size) for file in files[:2]
    ]
    theirs = json.loads(header.metadata["sd_merge_recipe"])
    assert (theirs["primary_model_hash"], theirs["secondary_model_hash"]) == tuple(map(digest, files[:2]))
    assert theirs["interp_method"] == "Weighted sum" and theirs["save_as_half"] is True
    assert header.metadata["modelspec.merged_from"] == "a, b"
    with safe_open(target, "pt") as opened:
        assert opened.metadata() == header.metadata  # the library takes it, and every value is text


def test_the_recipes_of_parents_are_handed_on(files: list[Path], tmp_path: Path) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    done(Order(HALF, infos(files[:2]), first))
    done(Order(HALF, infos([first, files[2]]), second))
    parents = json.loads(read_header(second).metadata["sd_merge_models"])
    assert set(parents) == {digest(file) for file in (*files, first)}
    assert parents[digest(first)]["sd_merge_recipe"]["primary_model_hash"] == digest(files[0])
    legacy = hashlib.sha256(first.read_bytes()[0x100000:0x110000]).hexdigest()[:8]
    assert parents[digest(first)]["legacy_hash"] == legacy


@pytest.mark.parametrize("mix", [
    Mix(blocks={"alpha": tuple(n / 25 for n in range(26))}, elemental="M00:attn:0.1", vae="B", dtype="bf16"),
    Mix(method="dare_ties", parameters={"density": 0.3, "seed": 5}, pruned=True),
    Mix(method="cosine_b", parameters={"alpha": 0.3}, vae="base"),
], ids=lambda mix: mix.method)  # fmt: skip
def test_a_recipe_gives_the_same_bytes_again(mix: Mix, files: list[Path], tmp_path: Path) -> None:
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    done(Order(mix, infos(files[:2]), one))
    recipe = read_recipe(read_header(one).metadata[METADATA_KEY], "one")
    assert recipe == Recipe.model_validate_json(recipe.model_dump_json())
    done(Order(recipe.mix, infos(files[:2]), two, recipe=recipe))
    assert one.read_bytes() == two.read_bytes()


def test_progress_is_told_in_bytes_up_to_the_end(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "BYTES_A_WORD", 1 << 20)
    told = [e for e in merge(Order(HALF, infos(files[:2]), tmp_path / "m.safetensors"), NoBook())
            if isinstance(e, Worked)]  # fmt: skip
    hashed = [e for e in told if e.total == sum(file.stat().st_size for file in files[:2])]
    written = [e for e in told if e not in hashed]
    assert len(written) > 3 and hashed[-1].done == hashed[-1].total
    assert [e.done for e in written] == sorted(e.done for e in written)
    assert written[-1].done == written[-1].total == (tmp_path / "m.safetensors").stat().st_size


def test_the_hashes_of_models_are_worked_out_once(files: list[Path], tmp_path: Path) -> None:
    database = Database(tmp_path / "easel.db")
    book = ShelfBook(Shelf(database))
    copies = [tmp_path / file.name for file in files[:2]]
    for file, copy in zip(files, copies, strict=False):
        copy.write_bytes(file.read_bytes())
    for copy in copies:
        assert book.known(infos([copy])[0]) is None
    list(merge(Order(HALF, infos(copies), tmp_path / "m.safetensors"), book))
    assert [book.known(info) for info in infos(copies)] == [digest(copy) for copy in copies]
    os.utime(copies[0], (1, 1))
    assert book.known(infos(copies)[0]) is None  # it may be another by now
    database.close()


class TestNames:
    def test_a_taken_name_is_refused_unless_it_may_be_replaced(self, files: list[Path], tmp_path: Path) -> None:
        target = tmp_path / "mix.safetensors"
        target.write_bytes(b"theirs")
        with pytest.raises(Conflict, match=r"already a mix.safetensors; choose another name, or replace it"):
            done(Order(HALF, infos(files[:2]), target))
        assert target.read_bytes() == b"theirs"
        done(Order(HALF, infos(files[:2]), target, overwrite=True))
        assert read_header(target).tensors

    def test_names_that_differ_in_case_only_are_one(self, files: list[Path], tmp_path: Path) -> None:
        (tmp_path / "Mix.safetensors").write_bytes(b"theirs")
        for overwrite in (False, True):
            with pytest.raises(Conflict, match=r"already a Mix.safetensors"):
                done(Order(HALF, infos(files[:2]), tmp_path / "mix.safetensors", overwrite=overwrite))

    def test_a_model_is_never_written_over_itself(self, files: list[Path], tmp_path: Path) -> None:
        link = tmp_path / "link.safetensors"
        link.symlink_to(files[1])
        for target in (files[0], link):
            with pytest.raises(Conflict, match="is one of the models that are mixed"):
                done(Order(HALF, infos(files[:2]), target, overwrite=True))

    def test_a_file_within_a_model_that_is_a_folder_is_never_written_over(self, tmp_path: Path) -> None:
        folder = write_folder(tmp_path / "model", networks(Family.SD1, small=True))
        target = folder / "unet" / "diffusion_pytorch_model.safetensors"
        before = digest(target)
        with pytest.raises(Conflict, match="is one of the models that are mixed"):
            done(Order(Mix(method="keep"), (read_model(folder, "model"),), target, overwrite=True))
        assert digest(target) == before

    def test_of_two_at_the_same_moment_one_wins(self, files: list[Path], tmp_path: Path) -> None:
        outcomes: list[object] = []
        together = threading.Barrier(2)

        def one() -> None:
            together.wait()
            try:
                outcomes.append(done(Order(HALF, infos(files[:2]), tmp_path / "mix.safetensors")))
            except (EaselError, FileExistsError) as error:
                outcomes.append(error)

        threads = [threading.Thread(target=one) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "Hashed"]
        assert [file.name for file in tmp_path.iterdir()] == ["mix.safetensors"]

    def test_only_safetensors_are_written(self, files: list[Path], tmp_path: Path) -> None:
        with pytest.raises(InvalidRequest, match=r"Models are written as .safetensors, not .ckpt; use -o mix.safetens"):
            done(Order(HALF, infos(files[:2]), tmp_path / "mix.ckpt"))


class TestNothingIsLeft:
    """Whatever goes wrong, no file appears."""

    def order(self, files: list[Path], folder: Path, mix: Mix = HALF) -> Order:
        return Order(mix, infos(files), folder / "out" / "mix.safetensors")

    def test_when_it_is_stopped(self, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(merging, "BYTES_A_WORD", 1 << 20)
        work = merge(self.order(files[:2], tmp_path), NoBook())
        out = tmp_path / "out"
        next(event for event in work if out.exists() and isinstance(event, Worked))
        assert [file.suffix for file in out.iterdir()] == [".tmp"]
        work.close()
        assert not list((tmp_path / "out").iterdir())
        assert threading.active_count() < 10

    def test_when_a_number_does_not_fit(self, files: list[Path], tmp_path: Path) -> None:
        tensors = load_file(files[1])
        tensors["model.diffusion_model.out.2.bias"].fill_(60_000)
        save_file(tensors, tmp_path / "loud.safetensors")
        loud = self.order([files[0], tmp_path / "loud.safetensors"], tmp_path, Mix(parameters={"alpha": 1.2}))
        with pytest.raises(ModelUnusable, match=r"not finite at model.diffusion_model.out.2.bias"):
            done(loud)
        assert not list((tmp_path / "out").iterdir())

    @pytest.mark.parametrize("change", ["touched", "removed", "cut"])
    def test_when_a_model_changes_meanwhile(
        self, change: str, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(merging, "BYTES_A_WORD", 1 << 20)
        copy = tmp_path / "copy.safetensors"
        copy.write_bytes(files[1].read_bytes())
        order = self.order([files[0], copy], tmp_path)
        named = (Ingredient(name=i.name, sha256=digest(Path(i.path)), size=i.size) for i in order.models)
        recipe = Recipe(easel="", mix=HALF, models=tuple(named))
        work = merge(Order(HALF, order.models, order.target, recipe=recipe), NoBook())
        next(work)
        if change == "touched":
            os.utime(copy)
        elif change == "removed":
            copy.unlink()
        else:
            os.truncate(copy, 10_000)
        with pytest.raises(Conflict, match="was changed"):
            list(work)
        assert not list((tmp_path / "out").iterdir())

    def test_when_the_disk_has_no_room(
        self, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(merging, "SPARE_BYTES", 1 << 60)
        with pytest.raises(StorageProblem, match="The disk has no room"):
            done(self.order(files[:2], tmp_path))
        assert not list((tmp_path / "out").iterdir())

    def test_when_a_lora_changes_meanwhile(
        self, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(merging, "BYTES_A_WORD", 1 << 20)
        name, generator = "lora_unet_mid_block_attentions_0_proj_in", torch.Generator().manual_seed(0)
        parts = loras.KINDS["LoRA"]((128, 128, 1, 1), generator)
        save_file({f"{name}.{part}": tensor for part, tensor in parts.items()}, tmp_path / "lora.safetensors")
        own = ((read_model(tmp_path / "lora.safetensors", "lora"), Strength()),)
        target = tmp_path / "out" / "baked.safetensors"
        work = merge(Order(Mix(method="keep"), infos(files[:1]), target, loras=own), NoBook())
        next(event for event in work if target.parent.exists() and isinstance(event, Worked))
        os.utime(tmp_path / "lora.safetensors")
        with pytest.raises(Conflict, match=r"lora.safetensors was changed or removed meanwhile"):
            list(work)
        assert not list(target.parent.iterdir())

    def test_when_the_disk_ends_half_way(self, files: list[Path], tmp_path: Path) -> None:
        code = (
            "import resource, sys; from pathlib import Path; from pipelines.core.recipe import Mix\n"
            "from pipelines.core.error import StorageProblem\n"
            "from pipelines.jobs.hashes import NoBook; from pipelines.jobs.orders import Order\n"
            "from pipelines.jobs.merging import merge\n"
            "from pipelines.models.reading import read_model\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
            "infos = tuple(read_model(Path(f), 'm') for f in sys.argv[1:3])\n"
            "try:\n    list(merge(Order(Mix(), infos, Path(sys.argv[3])), NoBook()))\n"
            "except StorageProblem as problem:\n    print(problem)\n"
        )
        target = tmp_path / "out" / "mix.safetensors"
        arguments = [*map(str, files[:2]), str(target)]
        told = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
        assert "mix.safetensors could not be saved; choose a folder on another disk" in told.stdout
        assert not list(target.parent.iterdir())

    def test_when_it_is_killed(self, tmp_path: Path) -> None:
        names = networks(Family.SD1, small=False).original()
        for name in "ab":
            write_hollow(tmp_path / f"{name}.safetensors", shapes(names, (512, 512)))
        code = (
            "import sys; from pathlib import Path; from pipelines.core.recipe import Mix\n"
            "from pipelines.jobs.hashes import NoBook; from pipelines.jobs.orders import Order\n"
            "from pipelines.jobs.merging import merge\n"
            "from pipelines.models.reading import read_model\n"
            "infos = tuple(read_model(Path(f), 'm') for f in sys.argv[1:3])\n"
            "for event in merge(Order(Mix(), infos, Path(sys.argv[3])), NoBook()): print(event, flush=True)\n"
        )
        target = tmp_path / "out" / "mix.safetensors"
        arguments = [tmp_path / "a.safetensors", tmp_path / "b.safetensors", target]
        process = subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not any(file.stat().st_size > 1e7 for file in (tmp_path / "out").glob(".*")):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        (left,) = (tmp_path / "out").iterdir()
        assert left.name.startswith(OURS)
        assert ModelLibrary([tmp_path / "out"]).list() == []
        assert sweep(tmp_path) == 1 and not list((tmp_path / "out").iterdir())


def test_what_a_merge_will_do_is_told_from_headers_alone(tmp_path: Path) -> None:
    names = networks(Family.SDXL, small=False).original()
    for name in "ab":
        write_hollow(tmp_path / f"{name}.safetensors", names)
    target = tmp_path / "m.safetensors"
    order = Order(Mix(dtype="fp16"), infos([tmp_path / "a.safetensors", tmp_path / "b.safetensors"]), target)
    began = time.monotonic()
    with prepared(order) as kitchen:
        report: dict[str, Any] = preflight(kitchen)
    assert time.monotonic() - began < 5  # 0.2 s on a quiet machine
    assert json.loads(json.dumps(report)) == report
    assert [model["family"] for model in report["models"]] == ["SDXL", "SDXL"]
    assert report["tensors"]["mixed"] + report["tensors"]["carried"] == len(names)
    assert report["output"]["size"] == pytest.approx((tmp_path / "a.safetensors").stat().st_size, rel=0.01)
    assert report["space"]["free"] > 0 and report["seconds"] > 0
    assert not target.exists()


def test_notes_are_told_before_the_work(files: list[Path], tmp_path: Path) -> None:
    tensors = {n: t for n, t in load_file(files[1]).items() if not n.startswith("first_stage_model.")}
    save_file(tensors, tmp_path / "bare.safetensors")
    first = next(
        merge(Order(HALF, infos([files[0], tmp_path / "bare.safetensors"]), tmp_path / "m.safetensors"), NoBook())
    )
    assert first == Noted(text="'bare' has no vae of its own: the result takes that of 'a'")


PEAK = """
import resource, sys
from pathlib import Path
import torch
from pipelines.core.recipe import Mix
from pipelines.jobs.hashes import NoBook
from pipelines.jobs.merging import merge
from pipelines.jobs.orders import Order
from pipelines.models.reading import read_model
infos = tuple(read_model(Path(f), Path(f).stem) for f in sys.argv[2:-1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in merge(Order(Mix(method=sys.argv[1]), infos, Path(sys.argv[-1])), NoBook()): pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_memory_does_not_grow_with_the_models(tmp_path: Path) -> None:
    names = networks(Family.SD1, small=False).original()
    files = [write_hollow(tmp_path / f"{n}.safetensors", shapes(names, (384, 384))) for n in range(4)]
    assert files[0].stat().st_size > 250e6
    arguments = ["task_arithmetic", *map(str, files), str(tmp_path / "out.safetensors")]
    run = subprocess.run([sys.executable, "-c", PEAK, *arguments], capture_output=True, text=True, check=True)
    assert float(run.stdout) < 100, "MB over what is there after the start"
