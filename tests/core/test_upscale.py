"""What may be asked of an upscale, and how large its result is."""

import pytest

from pipelines.core.error import InvalidRequest
from pipelines.core.kinds import read_request
from pipelines.core.request import GenerateRequest
from pipelines.core.upscale import Frame, UpscaleRequest

SOURCE = "a" * 64


def asked(**fields: object) -> UpscaleRequest:
    return UpscaleRequest.model_validate({"source": SOURCE, **fields})


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({"factor": 4.0}, (400, 200)),
        ({"factor": 1.5}, (150, 75)),
        ({"factor": 0.5}, (50, 25)),
        ({"width": 300}, (300, 150)),
        ({"height": 333}, (666, 333)),
        ({"width": 300, "height": 300}, (300, 300)),
        ({"width": 300, "height": 300, "frame": Frame.WITHIN}, (300, 150)),
        ({"width": 300, "height": 300, "frame": Frame.STRETCH}, (300, 300)),
        ({"width": 777, "height": 333}, (777, 333)),
    ],
)
def test_a_picture_of_100_x_50_becomes_as_large_as_asked(fields: dict[str, object], size: tuple[int, int]) -> None:
    assert asked(**fields).sized(100, 50).kept == size


def test_what_stands_out_of_a_size_is_cut_off_evenly() -> None:
    sized = asked(width=300, height=300).sized(100, 50)
    assert (sized.width, sized.height, sized.box) == (600, 300, (150, 0, 450, 300))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"factor": 0}, "Scale cannot be 0; use 0.1 to 16.0"),
        ({"factor": 1000}, "Scale cannot be 1000; use 0.1 to 16.0"),
        ({"factor": float("nan")}, "is not a number"),
        ({"width": 0}, "Width cannot be 0"),
        ({"width": 10**9}, "Width cannot be 1000000000; use 1 to 32,768"),
        ({"noise_levels": (20, -1)}, "Noise level cannot be -1"),
        ({"strength": 0.01}, "no step of 20 is left"),
        ({"strength": 0.5, "noise_levels": (0, 20)}, "would not be comparable"),
        ({"output": "gif"}, "use png, webp, jpeg, avif"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(fields: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        asked(**fields)
    assert says in str(refused.value)


def test_a_result_beyond_all_bounds_is_refused_before_anything_begins() -> None:
    with pytest.raises(InvalidRequest, match="20000 x 20000 would become 80000 x 80000; stay within 32,768"):
        asked(factor=4.0).sized(20_000, 20_000)
    with pytest.raises(InvalidRequest, match="use a larger scale"):
        asked(factor=0.1).sized(3, 3)


def test_an_upscale_survives_json_and_names_whom_it_needs() -> None:
    plain = asked(upscaler="lanczos", second="some net", blend=0.3)
    assert plain.upscalers == ("some net",) and plain.model == "lanczos"
    redrawn = asked(strength=0.4, picture=GenerateRequest(model="ink", seed=7, count=3))
    assert (redrawn.model, redrawn.picture.count, redrawn.walked) == ("ink", 1, 8)
    for request in (plain, redrawn, asked(noise_levels=(0, 20, 20, 60))):
        assert read_request(request.model_dump(mode="json")) == request
    assert asked(noise_levels=(0, 20, 20, 60)).pictures == 3
