"""Rules for single elements are read as supermerger reads them."""

import pytest

from pipelines.core.blocks import SD
from pipelines.core.error import InvalidRequest
from pipelines.merging.elemental import ratio_of, read_rules


class TestElemental:
    def ratio(self, text: str, name: str, block: str) -> float | None:
        return ratio_of(name, block, read_rules(text, SD))

    def test_the_last_rule_that_fits_wins(self) -> None:
        text = "IN00-IN05:attn1:0.5, IN04:attn1 attn2:0.9\n:norm:0.1"
        assert self.ratio(text, "x.attn1.to_k.weight", "IN03") == 0.5
        assert self.ratio(text, "x.attn1.to_k.weight", "IN04") == 0.9
        assert self.ratio(text, "x.norm1.weight", "OUT07") == 0.1
        assert self.ratio(text, "x.attn1.to_k.weight", "OUT07") is None

    def test_not_turns_blocks_and_elements_round(self) -> None:
        text = "NOT BASE M00:NOT attn ff:1"
        assert self.ratio(text, "x.conv.weight", "IN01") == 1
        assert self.ratio(text, "x.attn1.weight", "IN01") is None
        assert self.ratio(text, "x.conv.weight", "M00") is None

    def test_a_range_goes_across_the_middle_and_nothing_named_is_all(self) -> None:
        assert self.ratio("in10-out01::0.4", "x", "M00") == 0.4
        assert self.ratio("OUT01-IN10::0.4", "x", "OUT00") == 0.4
        assert self.ratio("::0.4", "x", "BASE") == 0.4

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("IN00:attn", "is not of the form BLOCKS:ELEMENTS:ratio"),
            ("IN00:attn:half", "ends in 'half', which is no number"),
            ("IN00:attn:nan", "asks for nan"),
            ("IN00:attn:1e30", "asks for 1e\\+30"),
            ("IN12:attn:1", "names a block 'IN12'; use BASE, IN00 to OUT11"),
        ],
    )
    def test_a_wrong_rule_is_named(self, text: str, complaint: str) -> None:
        with pytest.raises(InvalidRequest, match=complaint):
            read_rules(text, SD)
