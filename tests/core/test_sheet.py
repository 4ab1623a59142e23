"""A sheet varies one mixture along columns and rows, and every cell is a preview with settings of its own."""

import pytest

from pipelines.core.blocks import SD, XL
from pipelines.core.error import InvalidRequest, UnknownName
from pipelines.core.kinds import read_request
from pipelines.core.sheet import SheetRequest

ALONE = {"kind": "sheet", "mixture": {"models": ["a", "b"]}, "picture": {"seed": 5, "count": 3}}


def sheet(**more: object) -> SheetRequest:
    made = read_request({**ALONE, **more})
    assert isinstance(made, SheetRequest)
    return made


def test_rows_come_on_top_of_columns() -> None:
    columns = [{"label": "0", "parameters": {"alpha": 0.0}}, {"label": "1", "parameters": {"alpha": 1.0}}]
    rows = [{"label": "seed 7", "picture": {"seed": 7}}, {"label": "sea", "picture": {"prompt": "the sea"}}]
    made = sheet(columns=columns, rows=rows)
    assert made.pictures == 4
    told = [(c.label, c.mixture.mix.parameters["alpha"], c.picture.seed, c.picture.prompt) for c in made.cells]
    assert told == [
        ("0 · seed 7", 0.0, 7, ""), ("1 · seed 7", 1.0, 7, ""), ("0 · sea", 0.0, 5, "the sea"),
        ("1 · sea", 1.0, 5, "the sea"),
    ]  # fmt: skip
    assert {cell.picture.count for cell in made.cells} == {1}


def test_one_block_may_be_otherwise_and_two_blocks_cross() -> None:
    columns = [{"label": "M00 1", "weights": {"alpha": {"M00": 1.0}}}]
    rows = [{"label": "IN03 0", "weights": {"alpha": {"IN03": 0.0}}}]
    (cell,) = sheet(columns=columns, rows=rows).cells
    weights = dict(zip(SD.names, cell.mixture.mix.blocks["alpha"], strict=True))
    assert (weights["M00"], weights["IN03"], weights["OUT00"]) == (1.0, 0.0, 0.5)
    xl = {"models": ["a", "b"], "mix": {"blocks": {"alpha": [0.2] * 20}}}
    (cell,) = sheet(mixture=xl, columns=columns).cells
    assert len(cell.mixture.mix.blocks["alpha"]) == len(XL)


def test_a_column_may_have_weights_for_all_blocks_as_json_writes_them() -> None:
    (cell,) = sheet(columns=[{"label": "IN00", "blocks": {"alpha": [1] + [0] * 25}}]).cells
    assert cell.mixture.mix.blocks["alpha"] == (1.0, *[0.0] * 25)


def test_a_method_brings_its_own_numbers() -> None:
    mixture = {"models": ["a", "b"], "mix": {"parameters": {"alpha": 0.3}}}
    (cell,) = sheet(mixture=mixture, columns=[{"label": "slerp", "method": "slerp"}]).cells
    assert (cell.mixture.mix.method, dict(cell.mixture.mix.parameters)) == ("slerp", {})


@pytest.mark.parametrize(
    "columns",
    [
        [], [{"label": "x", "method": "nonsense"}], [{"label": "x", "weights": {"alpha": {"IN99": 1.0}}}],
        [{"label": "x", "picture": {"seed": -1}}], [{"label": "x", "picture": {"colour": "red"}}],
        [{"label": "x", "parameters": {"alpha": 1e9}}], [{"label": "x", "models": ["a"]}],
        [{"label": "x", "blocks": {"gamma": [1.0] * 26}}], [{"label": str(n)} for n in range(500)],
    ],
)  # fmt: skip
def test_a_sheet_with_a_cell_that_cannot_be_is_refused_whole(columns: list[dict[str, object]]) -> None:
    with pytest.raises((InvalidRequest, UnknownName)):
        sheet(columns=columns)
