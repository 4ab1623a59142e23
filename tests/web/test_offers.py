"""What the form offers, and what a press of Generate answers."""

import time
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any, cast

import pytest

from pipelines.core.error import StorageProblem
from pipelines.core.model import ModelInfo
from pipelines.core.presets import STARTER_MODELS, Preset, factory_presets
from pipelines.core.request import GenerateRequest, read_generate
from pipelines.core.samplers import SAMPLERS
from pipelines.jobs.queue import JobQueue
from pipelines.models.scan import ModelLibrary
from pipelines.storage.presets import PresetStore
from pipelines.storage.shelf import Shelf
from tests.web.conftest import NotedQueue
from ui.web import offers
from ui.web.answers import NOT_IN_PRESETS, PresetOrder, choose_model, obey_preset_order, submit
from ui.web.fields import limits
from ui.web.services import WebServices
from ui.web.sizes import RATIOS, sizes
from ui.web.words import Words

NUMBERS = [name for name, field in GenerateRequest.model_fields.items() if field.annotation in (int, float)]


@pytest.mark.parametrize("name", NUMBERS)
def test_the_limits_of_a_field_are_the_requests(name: str) -> None:
    held = limits(GenerateRequest, name)
    assert held.low is not None and held.high is not None
    whole = int if held.whole else float
    for value in (held.low, held.high):
        assert getattr(read_generate({name: whole(value)}), name) == value
    schema = GenerateRequest.model_json_schema()["properties"][name]
    assert (schema["minimum"], schema["maximum"]) == (held.low, held.high)


@pytest.mark.parametrize("native", [64, 128, 256, 512, 768, 1024])
def test_sizes_are_allowed_of_native_area_and_of_their_shape(native: int) -> None:
    for size in sizes(native):
        read_generate({"width": max(64, size.width), "height": max(64, size.height)})
        assert 0.8 < size.width * size.height / native**2 < 1.2
        assert abs(size.width / size.height / RATIOS[size.label] - 1) < 0.13
    assert sizes(native)[0][1:] == (native, native)


@pytest.mark.parametrize("sampler", list(SAMPLERS), ids=lambda sampler: sampler.key)
def test_a_sampler_offers_only_schedules_it_can_follow(sampler: Any) -> None:
    for before in ("karras", "normal"):
        offered = offers.schedules(sampler.key, before)
        assert [key for _, key in offered["choices"]] == list(sampler.schedules)
        read_generate({"sampler": sampler.key, "schedule": offered["value"]})
        assert offered["value"] == (before if before in sampler.schedules else "automatic")


def test_the_starter_model_is_offered_first_with_its_sizes(services: WebServices, words: Words) -> None:
    first = offers.first_model(services)
    assert first is not None and first.starter
    assert offers.model_choices(services, words)[0] == {"name": first.name, "group": "SD 1.x", "note": "Starter model"}
    assert offers.first_size(services) == (first.native_size, first.native_size)
    assert offers.model_sizes(services)[first.name][0]["width"] == first.native_size


def test_a_press_of_generate_becomes_one_job(services: WebServices, queue: NotedQueue, words: Words) -> None:
    answer = submit(services, {"prompt": "a hill", "seed": 7}, words, fresh_seed=False)
    assert (answer.job, answer.seed, answer.view) == ("j1", 7, None)
    assert [request.seed for request in queue.asked] == [7]


def test_a_fresh_seed_is_drawn_each_time(services: WebServices, queue: NotedQueue, words: Words) -> None:
    seeds = {submit(services, {"seed": "nonsense"}, words, fresh_seed=True).seed for _ in range(5)}
    assert len(seeds) == 5
    assert {request.seed for request in queue.asked} == seeds


def test_bad_input_is_answered_on_the_stage_and_makes_no_job(
    services: WebServices, queue: NotedQueue, words: Words
) -> None:
    answers = [submit(services, {"steps": 0}, words, fresh_seed=False) for _ in range(2)]
    assert [answer.view and answer.view.title for answer in answers] == ["Steps cannot be 0"] * 2
    assert answers[0] != answers[1]  # the page acts on each press
    assert not queue.asked


def test_a_queue_that_cannot_take_a_job_is_answered_too(services: WebServices, queue: NotedQueue, words: Words) -> None:
    queue.refusal = StorageProblem("The disk is full", fix="make room")
    answer = submit(services, {}, words, fresh_seed=False)
    assert answer.view is not None and answer.view.line == "make room"


def test_a_model_that_cannot_be_used_is_offered_and_says_why(
    queue: NotedQueue, shelf: Shelf, words: Words, tmp_path: Path
) -> None:
    library = ModelLibrary([tmp_path])
    services = WebServices(
        cast(JobQueue, queue), library, PresetStore(tmp_path / "presets", Preset, factory_presets()), shelf
    )
    assert offers.model_choices(services, words) == []
    copytree(STARTER_MODELS / "flat", tmp_path / "spoiled")
    (config := tmp_path / "spoiled" / "vae" / "config.json").rename(tmp_path / "kept.json")
    chosen = choose_model(services, "spoiled", words)
    assert offers.model_choices(services, words) == [{"name": "spoiled", "group": "cannot be used", "note": ""}]
    assert offers.first_model(services) is None
    assert "spoiled" in offers.model_sizes(services)  # it stays chosen: it may be whole again in a moment
    for answer in (chosen, submit(services, {"model": "spoiled"}, words, fresh_seed=False)):
        assert answer.view is not None and answer.view.problem is not None
        assert "vae/config.json" in answer.view.title
        assert answer.view.line
        assert answer.view.problem.field == "model"
    assert not queue.asked
    (tmp_path / "kept.json").rename(config)
    assert choose_model(services, "spoiled", words).view is None
    assert submit(services, {"model": "spoiled"}, words, fresh_seed=False).job == "j1"
    assert offers.first_name(services) == "spoiled"


def test_presets_keep_how_and_not_what(services: WebServices) -> None:
    order = PresetOrder(act="save", name="mine", version=None)
    assert obey_preset_order(services, order, {"prompt": "a hill", "steps": 9}) is None
    own = offers.presets(services)[-1]
    assert (own["name"], own["own"], own["values"]["steps"]) == ("mine", True, 9)
    assert not NOT_IN_PRESETS & own["values"].keys()
    taken = obey_preset_order(services, order, {})
    assert taken is not None and "already" in taken.problem
    assert obey_preset_order(services, order.model_copy(update={"version": own["version"]}), {"steps": 10}) is None
    old = obey_preset_order(services, PresetOrder(act="delete", name="mine", version=own["version"]), {})
    assert old is not None and "changed meanwhile" in old.problem
    present = offers.presets(services)[-1]["version"]
    assert obey_preset_order(services, PresetOrder(act="delete", name="mine", version=present), {}) is None
    assert not any(preset["own"] for preset in offers.presets(services))
    gone = obey_preset_order(services, PresetOrder(act="delete", name="mine", version=None), {})
    assert gone is not None


def test_a_new_page_begins_with_the_model_that_was_chosen_for_it(
    services: WebServices, starter_folder: Path, tmp_path: Path
) -> None:
    copytree(starter_folder, tmp_path / "m" / "mine")
    both = replace(services, models=ModelLibrary([starter_folder.parent, tmp_path / "m"]))
    assert (first := offers.first_model(both)) is not None and first.name == "flat"
    both.shelf.choose_default("mine")
    assert (first := offers.first_model(both)) is not None and first.name == "mine"
    both.shelf.choose_default("gone meanwhile")
    assert (first := offers.first_model(both)) is not None and first.name == "flat"


def test_a_new_page_begins_with_a_hidden_model_only_if_no_other_can_paint(
    services: WebServices, starter_folder: Path, tmp_path: Path
) -> None:
    copytree(starter_folder, tmp_path / "m" / "mine")
    both = replace(services, models=ModelLibrary([starter_folder, tmp_path / "m"]))
    both.shelf.choose_default("flat")
    for name, expected in (("flat", "mine"), ("mine", "flat")):
        both.shelf.keep_note(both.models.find(name).path, {"hidden": True})
        assert (first := offers.first_model(both)) is not None and first.name == expected


def test_thousands_of_models_are_offered_in_a_moment(services: WebServices, words: Words) -> None:
    flat = services.models.find("flat")
    many = [flat.model_copy(update={"name": f"m{k}", "path": f"/m/{k}", "starter": False}) for k in range(4000)]

    class Many(ModelLibrary):
        def list(self) -> list[ModelInfo]:
            return many

    began = time.perf_counter()
    assert len(offers.model_choices(replace(services, models=Many([])), words)) == len(many)
    assert time.perf_counter() - began < 1
