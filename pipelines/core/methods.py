"""Merge methods as data: what the screen, the command line and the REST schema offer.

The formulas stand in `pipelines/merging/methods/`, one function for each row here; a test compares the two.
"""

from dataclasses import dataclass

from pipelines.core.registry import Catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A number that a method asks for."""

    key: str
    label: str
    default: float
    low: float
    high: float
    meaning: str
    by_block: bool = False
    """May differ from block to block, and from element to element."""
    per_model: bool = False
    """One number for each model that is mixed; a single one counts for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One way to mix models. They are given in order; the base, where there is one, comes last."""

    key: str
    label: str
    meaning: str
    formula: str
    parameters: tuple[Parameter, ...]
    aliases: tuple[str, ...] = ()
    models: tuple[int, int | None] = (2, 2)
    """Fewest and most models, the base not counted; None: any number."""
    needs_base: bool = False
    """Mixes differences to a common ancestor."""
    pointwise: bool = False
    """Each number follows from the numbers at its own place alone: any slice of a tensor can be mixed by itself."""
    random: bool = False
    """Draws lots, from a seed and the tensor's name."""

    @property
    def inputs(self) -> tuple[int, int | None]:
        """Fewest and most models, the base counted."""
        low, high = self.models
        return low + self.needs_base, None if high is None else high + self.needs_base

    def parameter(self, key: str) -> Parameter | None:
        """The parameter called `key`, if it has one."""
        return next((one for one in self.parameters if one.key == key), None)


LIMIT = 10.0
"""Of weights: more is a slip of the finger, and overflows 16 bits."""


def _weight(key: str, default: float, meaning: str, *, low: float = -LIMIT, high: float = LIMIT) -> Parameter:
    return Parameter(
        key=key, label=key.capitalize(), default=default, low=low, high=high, meaning=meaning, by_block=True
    )


def _share(key: str, default: float, meaning: str, *, label: str = "") -> Parameter:
    return Parameter(key=key, label=label or key.capitalize(), default=default, low=0, high=1, meaning=meaning)


B_SHARE = _weight("alpha", 0.5, "How much of B; 0 is A, 1 is B.")
STRENGTH = _weight("alpha", 1.0, "How much of the difference is added.")
C_SHARE = _weight("beta", 0.5, "How much of C.")
SCALE = _weight("alpha", 1.0, "How much of the mixed differences is added to the base (lambda).")
WEIGHTS = Parameter(
    key="weights", label="Weights", default=1.0, low=-LIMIT, high=LIMIT, per_model=True,
    meaning="How much each model counts, in their order.",
)  # fmt: skip
DENSITY = _share("density", 0.5, "Which share of each difference is kept.")
SEED = Parameter(
    key="seed", label="Seed", default=0, low=0, high=2**32 - 1, meaning="Of the lots that are drawn.",
)  # fmt: skip

METHODS: Catalogue[Method] = Catalogue(
    "merge method",
    (
        Method(
            key="keep", label="As it is", models=(1, 1), pointwise=True, parameters=(),
            meaning="One model, to add LoRAs to or to write in another form.", formula="A",
        ),
        Method(
            key="weighted_sum", label="Weighted sum", aliases=("weighted", "lerp", "linear"), pointwise=True,
            meaning="Between two models.", formula="(1 - alpha) A + alpha B", parameters=(B_SHARE,),
        ),
        Method(
            key="add_difference", label="Add difference", aliases=("difference",), needs_base=True, pointwise=True,
            meaning="What B learnt beyond C, added to A.", formula="A + alpha (B - C)", parameters=(STRENGTH,),
        ),
        Method(
            key="train_difference", label="Train difference", needs_base=True, pointwise=True,
            meaning="Adds what B learnt beyond C where A is as far from B: as if A had been trained so.",
            formula="A + 1.8 alpha (B - C) |B - A| / (|B - A| + |B - C|)", parameters=(STRENGTH,),
        ),
        Method(
            key="smooth_add", label="Smooth add difference", aliases=("smoothadd",), needs_base=True,
            meaning="Adds the difference with its peaks smoothed away; slow.",
            formula="A + alpha gaussian(median(B - C))", parameters=(STRENGTH,),
        ),
        Method(
            key="multiply_difference", label="Multiply difference", needs_base=True, pointwise=True,
            meaning="Keeps what both learnt beyond C: the geometric mean of the differences.",
            formula="C + sign |A - C|^(1 - alpha) |B - C|^alpha, signed as (1 - beta) A + beta B - C",
            parameters=(_weight("alpha", 0.5, "How much of B's difference.", low=0, high=1),
                        _weight("beta", 0.5, "Whose direction: 0 is A's, 1 is B's.")),
        ),
        Method(
            key="similarity_add_difference", label="Similarity add difference", needs_base=True, pointwise=True,
            meaning="Averages where A and B are alike, adds the difference where they are not.",
            formula="(1 - s)(A + alpha (B - C)) + s ((1 - alpha / 2) A + alpha / 2 B), "
                    "s = beta (A B / max(|A|, |B|)^2 + 1) / 2",
            parameters=(STRENGTH, _weight("beta", 1.0, "How much likeness counts.", low=0, high=1)),
        ),
        Method(
            key="triple_sum", label="Triple sum", models=(3, 3), pointwise=True, meaning="Between three models.",
            formula="(1 - alpha - beta) A + alpha B + beta C",
            parameters=(_weight("alpha", 0.3, "How much of B."), _weight("beta", 0.3, "How much of C.")),
        ),
        Method(
            key="sum_twice", label="Sum twice", models=(3, 3), pointwise=True, meaning="A and B, then that and C.",
            formula="(1 - beta)((1 - alpha) A + alpha B) + beta C", parameters=(B_SHARE, C_SHARE),
        ),
        Method(
            key="tensor_sum", label="Tensor sum", aliases=("tensor",),
            meaning="Whole rows of B in a window, A elsewhere: nothing is averaged.",
            formula="rows n beta to n (alpha + beta) from B, the rest from A",
            parameters=(_weight("alpha", 0.5, "How wide the window is.", low=0, high=1),
                        _weight("beta", 0.0, "Where it begins.", low=0, high=1)),
        ),
        Method(
            key="top_k_tensor_sum", label="Top-k tensor sum",
            meaning="A's values in B's order, for those whose size lies in a window.",
            formula="sort(A)[rank of B] where |.| lies in the window, else A",
            parameters=(_weight("alpha", 0.5, "How wide the window is.", low=0, high=1),
                        _weight("beta", 0.0, "Where it begins: 0 at the smallest values.", low=0, high=1)),
        ),
        Method(
            key="distribution_crossover", label="Distribution crossover", needs_base=True,
            meaning="A's low and B's high frequencies, in the order of C's values.",
            formula="irfft((1 - f) rfft(A sorted by C) + f rfft(B sorted by C)), put back",
            parameters=(_weight("alpha", 0.5, "Where the crossing lies; 0 is all B, 1 is all A.", low=0, high=1),
                        _weight("beta", 0.1, "How wide it is.", low=0, high=1)),
        ),
        Method(
            key="cosine_a", label="Cosine A", aliases=("cosinea",),
            meaning="Keeps A where the directions agree, takes B where they do not; compared by unit columns.",
            formula="k A + (1 - k) B, k = clip((sim - low) / (high - low) - alpha, 0, 1)",
            parameters=(_weight("alpha", 0.5, "More takes more of B.", low=-1, high=1),),
        ),
        Method(
            key="cosine_b", label="Cosine B", aliases=("cosineb",),
            meaning="As cosine A; large columns count for more in the whole tensor's likeness.",
            formula="k A + (1 - k) B, k = clip((sim - low) / (high - low) - alpha, 0, 1)",
            parameters=(_weight("alpha", 0.5, "More takes more of B.", low=-1, high=1),),
        ),
        Method(
            key="slerp", label="Slerp", aliases=("spherical",),
            meaning="Along the arc instead of the chord: the size of the weights is kept.",
            formula="sin((1 - alpha) w) / sin w A + sin(alpha w) / sin w B, w the angle between them",
            parameters=(B_SHARE,),
        ),
        Method(
            key="geometric", label="Geometric", aliases=("geometric_sum",), pointwise=True,
            meaning="Strong only where both are.", formula="Re(A^(1 - alpha) B^alpha)",
            parameters=(_weight("alpha", 0.5, "How much of B.", low=0, high=1),),
        ),
        Method(
            key="rotate", label="Rotate (OPT)", aliases=("opt", "procrustes"),
            meaning="Turns A's neurons towards B's; keeps how they lie to each other.",
            formula="(A - a) R^beta + (1 - beta) a + beta b, R the best rotation; alpha mixes B in after it",
            parameters=(_weight("alpha", 0.0, "How much of B is mixed in, turned back onto A.", low=0, high=1),
                        _weight("beta", 1.0, "How far A is turned.", low=0, high=1)),
        ),
        Method(
            key="rebasin", label="Git re-basin", aliases=("git_rebasin", "re_basin"),
            meaning="Puts B's neurons into A's order first, so that those that do the same are averaged.",
            formula="(1 - alpha) A + alpha P(B)", parameters=(B_SHARE,),
        ),
        Method(
            key="task_arithmetic", label="Task arithmetic", models=(1, None), needs_base=True, pointwise=True,
            meaning="What each model learnt beyond the base, added up.",
            formula="base + alpha sum(w (M - base))", parameters=(SCALE, WEIGHTS),
        ),
        Method(
            key="ties", label="TIES", models=(1, None), needs_base=True,
            meaning="The largest changes only, and of those only the ones that agree in sign.",
            formula="base + alpha mean of the trimmed (M - base) that agree with the elected sign",
            parameters=(SCALE, WEIGHTS, DENSITY),
        ),
        Method(
            key="dare", label="DARE", aliases=("dare_linear",), models=(1, None), needs_base=True, random=True,
            meaning="Drops changes by lot and scales the rest up, then adds them.",
            formula="base + alpha sum(w drop(M - base) / density)", parameters=(SCALE, WEIGHTS, DENSITY, SEED),
        ),
        Method(
            key="dare_ties", label="DARE TIES", models=(1, None), needs_base=True, random=True,
            meaning="Drops changes by lot, then lets signs be elected.",
            formula="base + alpha mean of the dropped (M - base) that agree with the elected sign",
            parameters=(SCALE, WEIGHTS, DENSITY, SEED),
        ),
        Method(
            key="della", label="DELLA", models=(1, None), needs_base=True, random=True,
            meaning="As DARE TIES, but small changes are dropped more often than large ones.",
            formula="as DARE TIES, dropped with 1 - density -+ epsilon by rank in the row",
            parameters=(SCALE, WEIGHTS, DENSITY,
                        _share("epsilon", 0.1, "How much the chance differs from the smallest to the largest."), SEED),
        ),
        Method(
            key="breadcrumbs", label="Model breadcrumbs", models=(1, None), needs_base=True,
            meaning="Leaves out the largest and the smallest changes, adds the rest.",
            formula="base + alpha sum(w masked (M - base))",
            parameters=(SCALE, WEIGHTS, _share("density", 0.9, "Which share of each difference is kept."),
                        _share("gamma", 0.01, "Which share of the largest changes is left out.")),
        ),
        Method(
            key="model_stock", label="Model stock", models=(2, None), needs_base=True,
            meaning="The average, drawn to the base as far as the models disagree.",
            formula="base + t mean(M - base), t = N cos / (1 + (N - 1) cos)", parameters=(),
        ),
    ),
)  # fmt: skip
