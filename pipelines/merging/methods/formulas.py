"""Every formula by its key."""

from collections.abc import Mapping

from pipelines.merging.methods import deltas, directions, sums, windows
from pipelines.merging.methods.described import Formula

FORMULAS: Mapping[str, Formula] = {
    formula.__name__: formula
    for formula in (
        sums.weighted_sum, sums.add_difference, sums.train_difference, sums.triple_sum, sums.sum_twice,
        sums.multiply_difference, sums.similarity_add_difference, sums.geometric, windows.tensor_sum,
        windows.top_k_tensor_sum, windows.distribution_crossover, directions.slerp, directions.rotate,
        directions.smooth_add, deltas.task_arithmetic, deltas.ties, deltas.dare, deltas.dare_ties, deltas.della,
        deltas.breadcrumbs, deltas.model_stock,
    )
}  # fmt: skip
"""The cosine merges and re-basin look at whole models first: `cosines.py`, `rebasin.py`."""
