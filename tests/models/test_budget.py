"""What a job needs of a device's memory is told from headers, before anything is loaded."""

import pytest

from pipelines.core.model import Family
from pipelines.core.placement import Phase, Placement
from pipelines.core.request import GenerateRequest
from pipelines.models.blueprint import Blueprint
from pipelines.models.budget import Forecast, Numbers, Thrift, forecast, thriftier, weights_of
from pipelines.models.opening import blueprint_of
from pipelines.models.reading import read_model
from tests.models.synthetic import networks, write_hollow

GB = 10**9
HALVES = Numbers(2, 2, on_cpu=False)
AS_STORED = Numbers(None, 4, on_cpu=True)


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> dict[Family, Blueprint]:
    """Full-size models by name and shape."""
    folder, made = tmp_path_factory.mktemp("hollow"), {}
    for family in (Family.SD1, Family.SDXL):
        file = write_hollow(folder / f"{family.name}.safetensors", networks(family, small=False).original())
        made[family] = blueprint_of(read_model(file, family.name))
    return made


def asked(plan: Blueprint, room: int, **fields: object) -> Forecast:
    side = plan.native_size
    return forecast(plan, GenerateRequest(width=side, height=side, **fields), room, HALVES)  # type: ignore[arg-type]


def test_weights_are_counted_to_the_byte(plans: dict[Family, Blueprint]) -> None:
    sd1, sdxl = (weights_of(plans[family], HALVES) for family in (Family.SD1, Family.SDXL))
    assert (sd1.unet, sdxl.unet) == (1_719_041_928, 5_134_927_368)  # 859.5 and 2567.5 million parameters
    assert sd1.on_device(Placement.WHOLE) == pytest.approx(2.13 * GB, rel=0.01)
    assert sdxl.on_device(Placement.WHOLE) == pytest.approx(7.1 * GB, rel=0.01)
    assert weights_of(plans[Family.SD1], AS_STORED) == sd1  # as they are stored


@pytest.mark.parametrize(
    ("family", "gigabytes", "placement", "tiled"),
    [
        (Family.SD1, 8, Placement.WHOLE, False),
        (Family.SD1, 2.6, Placement.TURNS, False),
        (Family.SD1, 2, Placement.STREAMED, False),
        (Family.SDXL, 16, Placement.WHOLE, False),
        (Family.SDXL, 11, Placement.TURNS, False),  # its VAE decodes in fp32: fp16 overflows
        (Family.SDXL, 9, Placement.WHOLE, True),
        (Family.SDXL, 7, Placement.TURNS, True),
        (Family.SDXL, 6, Placement.STREAMED, False),
        (Family.SDXL, 2, Placement.STREAMED, True),
    ],
)
def test_the_first_way_that_fits_is_taken(
    family: Family, gigabytes: float, placement: Placement, tiled: bool, plans: dict[Family, Blueprint]
) -> None:
    found = asked(plans[family], int(gigabytes * GB))
    assert found.fits and found.thrift == Thrift(1, tiled, placement)


def test_more_and_larger_pictures_need_more(plans: dict[Family, Blueprint]) -> None:
    plan, room = plans[Family.SD1], 80 * GB
    one = asked(plan, room).needs
    assert asked(plan, room, count=16, batch_size=16).needs > one
    assert asked(plan, room, batch_size=16).needs == one  # of one picture no more than one can be made at once
    wide = forecast(plan, GenerateRequest(width=1024, height=1024), room, HALVES)
    assert wide.needs > one


def test_pictures_come_one_by_one_before_anything_slower(plans: dict[Family, Blueprint]) -> None:
    plan = plans[Family.SD1]
    one = asked(plan, 80 * GB).needs
    assert asked(plan, one, count=8, batch_size=8).thrift == Thrift(1)


def test_what_does_not_fit_at_all_is_said_so(plans: dict[Family, Blueprint]) -> None:
    assert not asked(plans[Family.SDXL], GB // 4).fits


def test_each_rung_saves_where_memory_ran_out_and_the_last_is_the_end() -> None:
    thrift, rungs = Thrift(at_once=4), []
    for phase in (Phase.DENOISING, Phase.DENOISING, Phase.DENOISING, Phase.DECODING, Phase.LOADING):
        spared = thriftier(thrift, phase, on_cpu=False)
        rungs.append(spared)
        thrift = spared or thrift
    assert rungs == [
        Thrift(2), Thrift(1), Thrift(1, placement=Placement.TURNS), Thrift(1, placement=Placement.STREAMED), None,
    ]  # fmt: skip


def test_what_was_learnt_never_makes_a_job_less_sparing_than_its_forecast() -> None:
    learnt, told = Thrift(1, placement=Placement.TURNS), Thrift(4, tiled=True, placement=Placement.STREAMED)
    both = Thrift(1, tiled=True, placement=Placement.STREAMED)
    assert learnt.and_also(told) == told.and_also(learnt) == both


def test_on_a_cpu_nothing_can_wait_elsewhere() -> None:
    assert thriftier(Thrift(1), Phase.DENOISING, on_cpu=True) is None
    assert thriftier(Thrift(2), Phase.DECODING, on_cpu=True) is None
