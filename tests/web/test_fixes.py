"""The buttons that do what an error's fix says: pressing one makes a request that works."""

from typing import Any

import pytest

from pipelines.core.error import EaselError, Problem
from pipelines.core.request import read_generate
from ui.web.fixes import fixes
from ui.web.words import Words


def refusal(values: dict[str, Any]) -> Problem:
    with pytest.raises(EaselError) as caught:
        read_generate(values)
    return caught.value.as_problem


@pytest.mark.parametrize(
    ("values", "buttons"),
    [
        ({"width": 500}, ["Use 496", "Use 504"]),
        ({"width": 5}, ["Use 64"]),
        ({"height": 9000}, ["Use 4096"]),
        ({"steps": 2000}, ["Use 1000"]),
        ({"steps": 20.5}, ["Use 20", "Use 21"]),
        ({"cfg": -1}, ["Use 0"]),
        ({"seed": -1}, ["Use 0"]),
        ({"seed": 5_000_000_000}, ["Use 4294967295"]),
        ({"cfg": 1000.5}, ["Use 30"]),
        ({"sampler": "ddim", "schedule": "karras"}, ["Use Automatic", "Use Normal", "Use SGM Uniform"]),
        ({"steps": "twenty"}, []),
        ({"prompt": "x" * 30_000}, []),
    ],
)
def test_each_refusal_has_its_buttons_and_each_button_works(
    words: Words, values: dict[str, Any], buttons: list[str]
) -> None:
    made = fixes(refusal(values), values, words, retry=False)
    assert [fix.text for fix in made] == buttons
    for fix in made:
        read_generate(values | fix.values)


def test_only_a_failed_job_can_be_tried_again(words: Words) -> None:
    problem = Problem(problem="The disk is full", fix="make room")
    assert fixes(problem, {}, words, retry=False) == ()
    assert [fix.text for fix in fixes(problem, {}, words, retry=True)] == ["Try again"]
