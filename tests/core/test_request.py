import math
from typing import Any

import pytest

from pipelines.core.error import InvalidRequest, UnknownName
from pipelines.core.request import MAX_PROMPT, MAX_SEED, GenerateRequest, Precision, random_seed, read_generate
from pipelines.core.samplers import SAMPLERS, Sampler


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"width": 0}, "width", "Width cannot be 0; use 64 to 4096"),
        ({"height": 513}, "height", "Height 513 is not a multiple of 8; use 512 or 520"),
        ({"width": 100_000}, "width", "Width cannot be 100000; use 64 to 4096"),
        ({"width": 512.0}, "width", "Width 512.0 is not a whole number"),
        ({"steps": 0}, "steps", "Steps cannot be 0; use 1 to 1000"),
        ({"steps": -1}, "steps", "Steps cannot be -1; use 1 to 1000"),
        ({"steps": 10_000}, "steps", "Steps cannot be 10000; use 1 to 1000"),
        ({"steps": 1.5}, "steps", "Steps 1.5 is not a whole number; use 1 to 1000"),
        ({"steps": True}, "steps", "Steps True is not a whole number"),
        ({"steps": "20"}, "steps", "Steps '20' is not a whole number"),
        ({"steps": None}, "steps", "Steps None is not a whole number"),
        ({"seed": -1}, "seed", f"Seed cannot be -1; use 0 to {MAX_SEED}"),
        ({"seed": 2**40}, "seed", f"Seed cannot be {2**40}; use 0 to {MAX_SEED}"),
        ({"seed": 10**400}, "seed", "Seed"),
        ({"seed": "abc"}, "seed", "Seed 'abc' is not a whole number"),
        ({"count": 0}, "count", "Count cannot be 0; use 1 to 100"),
        ({"seed": MAX_SEED, "count": 2}, "seed", f"use a seed up to {MAX_SEED - 1}, or fewer pictures"),
        ({"count": 1000}, "count", "Count cannot be 1000; use 1 to 100"),
        ({"batch_size": 0}, "batch_size", "Pictures at once cannot be 0; use 1 to 16"),
        ({"clip_skip": 0}, "clip_skip", "CLIP skip cannot be 0; use 1 to 12"),
        ({"cfg": math.nan}, "cfg", "CFG nan is not a number; use 0 to 30"),
        ({"cfg": math.inf}, "cfg", "CFG"),
        ({"cfg": 30.5}, "cfg", "CFG cannot be 30.5; use 0 to 30"),
        ({"cfg": "high"}, "cfg", "CFG 'high' is not a number"),
        ({"precision": "fp8"}, "precision", "Precision cannot be 'fp8'; use auto, fp32, bf16, fp16"),
        (
            {"schedule": "karras", "sampler": "ddim"},
            "schedule",
            "DDIM cannot follow the Karras schedule; use Automatic",
        ),
        (
            {"prompt": "word " * 10_000},
            "prompt",
            "Prompt is 50,000 characters long (10,000 words); shorten it to 20,000",
        ),
        ({"prompt": 7}, "prompt", "Prompt 7 is not text"),
        ({"prompt": "a\0b"}, "prompt", "Prompt holds characters that are not text; paste it again"),
        ({"negative_prompt": "\ud800"}, "negative_prompt", "Avoid holds characters that are not text"),
        ({"model": ""}, "model", "Model is empty; choose one"),
        ({"step": 20}, "step", "There is no setting 'step'; did you mean 'steps'?"),
        ({"__proto__": 1}, "__proto__", "There is no setting '__proto__'"),
        ({"outdir": "/"}, "outdir", "There is no setting 'outdir'"),
    ],
)
def test_a_request_that_cannot_work_says_what_is_wrong_and_what_to_do(
    fields: dict[str, Any], field: str, says: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_generate(fields)
    assert says in str(caught.value)
    assert caught.value.as_problem.field == field
    assert caught.value.fix
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(("name", "nearest"), [("Eular", "Euler"), ("dpm2m", "DPM++ 2M"), ("unipcc", "UniPC")])
def test_an_unknown_sampler_offers_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(UnknownName, match=f"There is no sampler named '{name}'") as caught:
        GenerateRequest(sampler=name)
    assert repr(nearest) in caught.value.fix
    assert caught.value.as_problem.field == "sampler"


@pytest.mark.parametrize(
    ("spelling", "key"), [("DPM++ 2M", "dpmpp_2m"), ("k_euler_a", "euler_a"), ("EULER A", "euler_a"), ("PLMS", "pndm")]
)
def test_a_sampler_may_be_spelled_as_the_field_does(spelling: str, key: str) -> None:
    assert GenerateRequest(sampler=spelling).sampler == key


@pytest.mark.parametrize("sampler", list(SAMPLERS), ids=lambda s: s.key)
def test_a_sampler_takes_its_own_schedules_and_no_other(sampler: Sampler) -> None:
    for schedule in ("automatic", "normal", "karras", "exponential", "sgm_uniform"):
        if schedule in sampler.schedules:
            assert GenerateRequest(sampler=sampler.key, schedule=schedule).schedule == schedule
        else:
            with pytest.raises(InvalidRequest):
                GenerateRequest(sampler=sampler.key, schedule=schedule)


@pytest.mark.parametrize(
    "fields",
    [{"width": 64, "height": 4096}, {"steps": 1}, {"steps": 1000}, {"seed": 0}, {"seed": MAX_SEED}, {"cfg": 0},
     {"cfg": 30}, {"prompt": ""}, {"prompt": "x" * MAX_PROMPT}, {"prompt": "\u202e👩‍🎨 e\u0301\n\t"}, {"count": 100},
     {"seed": MAX_SEED - 1, "count": 2}],
)  # fmt: skip
def test_the_limits_themselves_are_allowed_and_survive_json(fields: dict[str, Any]) -> None:
    request = read_generate(fields)
    assert GenerateRequest.model_validate_json(request.model_dump_json()) == request
    assert read_generate(request.model_dump(mode="json")) == request
    assert all(getattr(request, name) == value for name, value in fields.items())


def test_a_full_request_survives_json() -> None:
    request = GenerateRequest(
        prompt="a “hill”", negative_prompt="b", model="x", sampler="Heun", schedule="Karras", steps=7, cfg=1.25, seed=9,
        width=72, height=80, count=3, batch_size=2, clip_skip=2, precision=Precision.FP16, preview_every=0,
    )  # fmt: skip
    assert read_generate(request.model_dump(mode="json")) == request


def test_a_request_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        GenerateRequest().steps = 5  # type: ignore[misc]


def test_pictures_of_a_batch_count_their_seeds_up() -> None:
    assert [GenerateRequest(seed=7, count=3).seed_of(index) for index in range(3)] == [7, 8, 9]


def test_a_random_seed_leaves_room_for_all_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.randbelow", lambda below: below - 1)
    assert GenerateRequest(seed=random_seed(), count=100).seed_of(99) == MAX_SEED
    assert random_seed(count=1) == MAX_SEED


def test_random_seeds_are_allowed_and_differ() -> None:
    seeds = {random_seed() for _ in range(50)}
    assert len(seeds) == 50
    assert all(GenerateRequest(seed=seed).seed == seed for seed in seeds)
