"""What a method's parameters are for each tensor: one number for all, by block, or by element."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from pipelines.core.blocks import BASE, VAE, Blocks
from pipelines.core.error import InvalidRequest
from pipelines.core.recipe import BASE_WEIGHT, Mix
from pipelines.merging.elemental import Rule, ratio_of, read_rules

Values = Mapping[str, float | tuple[float, ...]]


@dataclass(frozen=True)
class Weighting:
    """Of a mix, for models with these blocks. Raises InvalidRequest for weights of another count, or wrong rules."""

    mix: Mix
    blocks: Blocks

    def __post_init__(self) -> None:
        _ = self._by_block
        alpha = self.mix.described.parameter("alpha")
        for rule in self._rules:
            if alpha and not alpha.low <= rule.ratio <= alpha.high:
                raise InvalidRequest(
                    f"A rule asks for {rule.ratio:g}", fix=f"use {alpha.low:g} to {alpha.high:g}", field="elemental"
                )

    @cached_property
    def _by_block(self) -> Mapping[str, Mapping[str, float]]:
        return {
            name: dict(zip(self.blocks.names, self.blocks.weights(weights, self._plain(name)), strict=True))
            for name, weights in self.mix.blocks.items()
        }

    @cached_property
    def _rules(self) -> tuple[Rule, ...]:
        return read_rules(self.mix.elemental, self.blocks)

    def _plain(self, name: str) -> float:
        value = self.mix.values[name]
        assert not isinstance(value, tuple), name  # what is weighted by block is one number
        return value

    def of(self, name: str) -> Values | None:
        """The parameters for a tensor; None: it is not mixed."""
        if name.startswith(VAE):
            return self._of_vae()
        block = self.blocks.of(name)
        return None if block is None else self._at(block, ratio_of(name, block, self._rules))

    def _of_vae(self) -> Values | None:
        if self.mix.vae == BASE_WEIGHT:
            return self._at(BASE, None)
        own = self.mix.vae_weight
        return None if own is None else self._at(BASE, own)

    def _at(self, block: str, alpha: float | None) -> Values:
        values = {**self.mix.values, **{name: weights[block] for name, weights in self._by_block.items()}}
        return values if alpha is None else {**values, "alpha": alpha}
