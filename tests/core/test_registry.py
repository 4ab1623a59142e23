from dataclasses import dataclass

import pytest

from pipelines.core.error import UnknownName
from pipelines.core.registry import Catalogue, find, fold, unknown
from pipelines.core.samplers import SAMPLERS, SCHEDULES, Sampler


@dataclass(frozen=True)
class Thing:
    key: str
    label: str = ""
    aliases: tuple[str, ...] = ()


THINGS = Catalogue("thing", (Thing("euler_a", "Euler a", ("k_euler_a",)), Thing("heun", "Heun")))


@pytest.mark.parametrize("name", ["euler_a", "Euler a", "EULER A", "k_euler_a", "euler-a"])
def test_a_thing_is_found_by_any_of_its_spellings(name: str) -> None:
    assert THINGS.find(name).key == "euler_a"


def test_an_unknown_thing_offers_the_nearest_and_never_falls_back() -> None:
    with pytest.raises(UnknownName, match="There is no thing named 'huen'; use 'Heun'") as caught:
        THINGS.find("huen", field="method")
    assert caught.value.as_problem.field == "method"


def test_a_name_near_nothing_offers_all() -> None:
    with pytest.raises(UnknownName, match="use 'Euler a' or 'Heun'"):
        THINGS.find("zzzzzzzz")


def test_two_things_with_one_spelling_are_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="is defined twice"):
        Catalogue("thing", (Thing("a", "Same"), Thing("b", "same")))


def test_a_thing_may_spell_itself_twice() -> None:
    assert len(Catalogue("thing", (Thing("heun", "Heun", ("HEUN",)),))) == 1


def test_a_catalogue_keeps_its_order() -> None:
    assert [thing.key for thing in THINGS] == ["euler_a", "heun"]


def test_a_look_up_in_a_table_offers_the_nearest_key() -> None:
    assert find({"a": 1}, "a", noun="letter") == 1
    with pytest.raises(UnknownName, match="There is no colour named 'gren'; use 'green'"):
        find({"green": 1, "violet": 2}, "gren", noun="colour")


def test_an_empty_table_says_that_there_is_nothing_yet() -> None:
    assert "add one first" in unknown("x", [], noun="model").fix


def test_signs_that_tell_names_apart_are_kept() -> None:
    assert fold("DPM++ 2M") != fold("DPM 2M")


@pytest.mark.parametrize("sampler", list(SAMPLERS), ids=lambda s: s.key)
def test_every_sampler_names_schedules_that_exist(sampler: Sampler) -> None:
    for schedule in sampler.schedules:
        assert SCHEDULES.find(schedule).key == schedule
