"""Block weights mean what the field means by them."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pipelines.core.block_presets import FILE, BlockPreset, block_presets, block_weights
from pipelines.core.blocks import SD, XL, Blocks, blocks_of, read_numbers
from pipelines.core.error import InvalidRequest, UnknownName
from pipelines.core.model import Family
from tests.models.synthetic import networks

UNET = "model.diffusion_model."
CASES = {
    SD: {
        f"{UNET}time_embed.0.weight": "IN00",
        f"{UNET}input_blocks.0.0.weight": "IN00",
        f"{UNET}input_blocks.3.0.op.weight": "IN03",
        f"{UNET}input_blocks.11.0.in_layers.0.weight": "IN11",
        f"{UNET}middle_block.1.proj_in.weight": "M00",
        f"{UNET}output_blocks.10.1.norm.weight": "OUT10",
        f"{UNET}out.2.bias": "OUT11",
        "cond_stage_model.transformer.text_model.final_layer_norm.weight": "BASE",
        "cond_stage_model.model.positional_embedding": "BASE",
        "first_stage_model.decoder.conv_in.weight": None,
        "model_ema.diffusion_modelout2bias": None,
        "alphas_cumprod": None,
    },
    XL: {
        f"{UNET}label_emb.0.0.weight": "IN00",
        f"{UNET}input_blocks.8.1.transformer_blocks.9.ff.net.2.weight": "IN08",
        f"{UNET}output_blocks.8.0.skip_connection.weight": "OUT08",
        f"{UNET}out.0.weight": "OUT08",
        "conditioner.embedders.1.model.text_projection": "BASE",
        f"{UNET}input_blocks.9.0.weight": None,
    },
}


@pytest.mark.parametrize(
    ("blocks", "name", "block"), [(b, n, block) for b, names in CASES.items() for n, block in names.items()]
)
def test_a_tensor_belongs_to_the_block_everybody_puts_it_in(blocks: Blocks, name: str, block: str | None) -> None:
    assert blocks.of(name) == block


@pytest.mark.parametrize(("family", "count"), [(Family.SD1, 26), (Family.SD2, 26), (Family.SDXL, 20)])
def test_every_block_of_a_true_layout_has_tensors_and_no_tensor_is_forgotten(family: Family, count: int) -> None:
    blocks = blocks_of(family)
    names = networks(family, small=False).original()
    found = {blocks.of(name) for name in names if not name.startswith("first_stage_model.")}
    assert found == set(blocks.names) and len(blocks) == count


def test_a_list_for_sd_serves_sdxl_without_the_blocks_it_lacks() -> None:
    given = tuple(float(n) for n in range(26))
    short = XL.weights(given, 0.0)
    assert short == (*given[:10], given[13], *given[14:23])
    assert XL.weights(given[1:], 7.0) == (7.0, *short[1:])
    assert SD.weights(given[1:], 7.0) == (7.0, *given[1:])


@pytest.mark.parametrize("count", [0, 1, 19, 24, 27])
def test_another_count_of_weights_is_refused(count: int) -> None:
    with pytest.raises(InvalidRequest, match=f"There are {count} block weights, and 26 blocks; give 26 numbers: BASE"):
        SD.weights((0.5,) * count, 0.5)


def test_numbers_may_be_written_as_people_paste_them() -> None:
    assert read_numbers(" 0, .5;1\n-0.25  2,") == (0, 0.5, 1, -0.25, 2)
    with pytest.raises(InvalidRequest, match="'half' is no number"):
        read_numbers("0, half")


def smooth(u: float) -> float:
    return 3 * u**2 - 2 * u**3


def weights(text: str, blocks: Blocks) -> tuple[float, ...]:
    return block_weights(text, blocks, block_presets())


def wave(u: float) -> float:
    return 1 - abs(1 - u % 2)


CURVES: Mapping[str, Callable[[float], float]] = {
    "GRAD_V": lambda t: abs(1 - 2 * t),
    "GRAD_A": lambda t: 1 - abs(1 - 2 * t),
    "FLAT_25": lambda _: 0.25,
    "SMOOTHSTEP": smooth,
    "REVERSE-SMOOTHSTEP": lambda t: 1 - smooth(t),
    "SMOOTHSTEP*3": lambda t: wave(3 * smooth(t)),
    "SMOOTHSTEP/4": lambda t: smooth(wave(4 * t)),
    "COSINE": lambda t: (1 + math.cos(math.pi * t)) / 2,
    "FAKE_CUBIC_HERMITE": lambda t: (25 * t - 57 * t**2 + 38 * t**3) / 6,
}


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("blocks", [SD, XL], ids=["SD", "SDXL"])
def test_a_preset_is_the_curve_it_is_named_after(name: str, blocks: Blocks) -> None:
    base, *rest = weights(name, blocks)
    last = len(rest) - 1
    assert base == 0
    assert rest == pytest.approx([CURVES[name](x / last) for x in range(last + 1)], abs=1e-14)


@pytest.mark.parametrize(
    ("name", "ones"),
    [
        ("WRAP08", "IN00 IN01 IN02 IN03 OUT08 OUT09 OUT10 OUT11"),
        ("OUT07", "OUT05 OUT06 OUT07 OUT08 OUT09 OUT10 OUT11"),
        ("RING08_5", "IN06 IN07 IN08 IN09 OUT02 OUT03 OUT04 OUT05"),
        ("RING10_3", "IN06 IN07 IN08 IN09 IN10 OUT01 OUT02 OUT03 OUT04 OUT05"),
        ("ALL_B", " ".join(SD.names)),
        ("ALL_A", ""),
    ],
)
def test_a_preset_of_steps_has_its_steps(name: str, ones: str) -> None:
    by_name = dict(zip(SD.names, weights(name, SD), strict=True))
    assert {block for block, weight in by_name.items() if weight} == set(ones.split())


def test_presets_are_found_by_every_spelling_of_the_field() -> None:
    assert weights("grad_v", SD) == weights("GRAD_V", SD)
    assert weights("2SMOOTHSTEP", SD) == weights("SMOOTHSTEP*2", SD)
    assert weights("OUT09", XL) == weights("OUT12", XL)
    with pytest.raises(UnknownName, match="use 'GRAD_V'"):
        weights("GRADV", SD)
    names = [one["name"] for one in json.loads(Path(FILE).read_text(encoding="utf-8"))]
    assert len(names) == len(set(names)) and set(names) <= {one.name for one in block_presets()}


def test_an_own_preset_stands_beside_those_that_ship_with_easel() -> None:
    mine = BlockPreset(name="Soft ends", sd=tuple(n / 25 for n in range(26)))
    assert block_weights("soft ENDS", SD, [*block_presets(), mine]) == mine.sd
    in_order = dict(zip(SD.names, mine.sd, strict=True))
    assert block_weights("Soft ends", XL, [mine]) == tuple(in_order[name] for name in XL.names)
    with pytest.raises(UnknownName, match="use 'Soft ends'"):
        block_weights("Soft end", SD, [*block_presets(), mine])


def test_a_preset_drawn_for_sdxl_is_not_stretched_over_more_blocks() -> None:
    mine = BlockPreset(name="Mine", xl=(0.5,) * 20)
    assert block_weights("Mine", XL, [mine]) == mine.xl
    with pytest.raises(InvalidRequest, match="Mine was drawn for SDXL; choose another preset"):
        block_weights("Mine", SD, [mine])


@pytest.mark.parametrize(
    "wrong", [{}, {"sd": (0.0,) * 25}, {"xl": (0.0,) * 26}, {"sd": (float("nan"),) * 26}, {"sd": (1e9,) * 26}]
)
def test_a_preset_of_another_length_or_of_no_numbers_is_none(wrong: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(ValueError, match="BlockPreset"):
        BlockPreset.model_validate({"name": "Mine", **wrong})
