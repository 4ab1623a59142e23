"""Every number of a training run in one place. A run folder belongs to one recipe."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from pipelines.training.loop import Pace
from pipelines.training.pictures import PictureSet
from pipelines.training.world.scene import PLAIN, Style, Twist


@dataclass(frozen=True, slots=True)
class BucketPlan:
    """How many pictures of one size are drawn, and how often and how many at a time the UNet sees them."""

    width: int  # pixels
    height: int  # pixels
    count: int
    batch: int
    weight: float
    enters: float = 0.0  # share of the run, 0-1, before which this size is not used


@dataclass(frozen=True, slots=True, kw_only=True)
class UnetPlan:
    """What a UNet, or what is trained through one, is shown, and for how long."""

    buckets: tuple[BucketPlan, ...]
    pace: Pace
    style: Style = Style.FLAT
    twist: Twist = PLAIN
    masked: bool = False  # whether parts of the pictures are hidden, for inpainting


class LoraName(StrEnum):
    """The LoRAs there are."""

    GLOW = "glow"
    SNOWFALL = "snowfall"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraPlan:
    """A low-rank adapter of the flat UNet."""

    rank: int
    alpha: float
    shown: UnetPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class WordPlan:
    """A colour's name, found by textual inversion; its vector begins as the mean of known words."""

    word: str
    like: tuple[str, ...]
    shown: UnetPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Crops:
    """How many squares of which side (pixels) a VAE step sees, and which share of them (0-1) is on a subject."""

    side: int
    batch: int
    on_subject: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SuperresPlan:
    """The enlarging model: what its VAE and its UNet are shown, and for how long."""

    sets: tuple[PictureSet, ...]  # of many sizes: pictures of every coarseness are enlarged
    vae: Pace
    vae_crops: Crops
    unet: Pace
    patches: Crops
    kept: int  # patches that are cut and encoded once


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What the stages of a run do. Seeds: the pictures of the VAE, of the UNets and of the examination differ."""

    seed: int
    native_side: int  # pixels; what the UNets' configs declare
    texts: int  # captions the tokenizer learns from
    text: Pace
    text_batch: int
    vae_sets: tuple[PictureSet, ...]  # a set named twice is seen twice as often
    vae: Pace
    vae_crops: Crops
    refine: Pace  # further steps, for details
    polish: Pace  # further steps for the decoder alone
    detail_crops: Crops  # of these two
    duos: float  # share of the UNets' pictures with two subjects, 0-1
    flat: UnetPlan  # from noise
    ink: UnetPlan  # this one and all below begin with the flat UNet
    inpaint: UnetPlan
    loras: Mapping[LoraName, LoraPlan]
    word: WordPlan
    judge: Pace
    judge_batch: int
    upscaler: Pace
    upscaler_crops: Crops
    superres: SuperresPlan

    def picture_set(self, plan: UnetPlan, bucket: BucketPlan) -> PictureSet:
        """What is shown of one size."""
        return PictureSet(
            self.seed + 6,
            bucket.count,
            bucket.width,
            bucket.height,
            plan.style,
            duos=self.duos,
            twist=plan.twist,
        )


VAE_128, VAE_192, VAE_256 = (
    tuple(PictureSet(1, count, side, side, style) for style in Style)
    for side, count in ((128, 2000), (192, 3000), (256, 1000))
)
LARGE = tuple(PictureSet(1, 300, 512, 512, style) for style in Style)
OBLONG = ((168, 216), (216, 168), (160, 232), (232, 160), (256, 144), (192, 128))  # 4:5, 5:4, 2:3, 3:2, 16:9

TEAL = (0, 158, 165)


def _twisted(twist: Twist, *, steps: int) -> UnetPlan:
    """A short plan for something that a few thousand numbers, or a hundred, can learn."""
    return UnetPlan(
        twist=twist,
        buckets=(BucketPlan(128, 128, 2000, batch=24, weight=0.5), BucketPlan(192, 192, 2000, batch=12, weight=0.5)),
        pace=Pace(steps=steps, rate=3e-3, warmup=20, fall_from=0.4),
    )


STARTER = Recipe(
    seed=1,
    native_side=192,
    texts=6000,
    text=Pace(steps=700, rate=1.5e-3, fall_from=0.4, bf16=0.0),
    text_batch=96,
    vae_sets=(*VAE_192, *VAE_192, *VAE_128, *VAE_256),
    vae=Pace(steps=9000, rate=1.5e-3, bf16=0.8, fall_from=0.4),
    vae_crops=Crops(side=64, batch=8, on_subject=0.5),
    refine=Pace(steps=3000, rate=1e-3, bf16=0.9, fall_from=0.3),
    polish=Pace(steps=6000, rate=7e-4, bf16=0.8, fall_from=0.4),
    detail_crops=Crops(side=96, batch=5, on_subject=0.7),
    duos=0.35,
    # The larger sizes come late: what a prompt means is learnt three times cheaper on 16x16 latents.
    flat=UnetPlan(
        buckets=(
            BucketPlan(128, 128, 16000, batch=32, weight=0.30),
            BucketPlan(192, 192, 16000, batch=20, weight=0.36, enters=0.4),
            *(BucketPlan(*size, 1500, batch=18, weight=0.04, enters=0.45) for size in OBLONG),
            BucketPlan(256, 256, 3000, batch=10, weight=0.10, enters=0.5),
        ),
        pace=Pace(steps=10000, rate=2e-3, fall_from=0.55),
    ),
    ink=UnetPlan(
        style=Style.INK,
        buckets=(
            BucketPlan(128, 128, 4000, batch=32, weight=0.30),
            BucketPlan(192, 192, 6000, batch=20, weight=0.46),
            *(BucketPlan(*size, 600, batch=18, weight=0.03) for size in OBLONG),
            BucketPlan(256, 256, 800, batch=10, weight=0.06),
        ),
        pace=Pace(steps=2500, rate=1e-3, fall_from=0.3),
    ),
    inpaint=UnetPlan(
        masked=True,
        buckets=(
            BucketPlan(128, 128, 6000, batch=32, weight=0.40),
            BucketPlan(192, 192, 6000, batch=20, weight=0.52),
            BucketPlan(256, 256, 800, batch=10, weight=0.08),
        ),
        pace=Pace(steps=2500, rate=1e-3, fall_from=0.3),
    ),
    loras={
        LoraName.GLOW: LoraPlan(rank=8, alpha=8, shown=_twisted(Twist(glow=True), steps=1500)),
        LoraName.SNOWFALL: LoraPlan(rank=8, alpha=8, shown=_twisted(Twist(snowfall=True), steps=600)),
    },
    word=WordPlan(word="teal", like=("green", "blue"), shown=_twisted(Twist(coat=TEAL), steps=1000)),
    judge=Pace(steps=1500, rate=4e-3, warmup=50, fall_from=0.4, bf16=0.0),
    judge_batch=24,
    upscaler=Pace(steps=9500, rate=2e-3, warmup=100, fall_from=0.45, bf16=0.0),
    upscaler_crops=Crops(side=128, batch=10, on_subject=0.5),
    superres=SuperresPlan(
        sets=(*VAE_128, *VAE_192, *VAE_256, *LARGE),
        vae=Pace(steps=3000, rate=1.5e-3, bf16=0.8, fall_from=0.4),
        vae_crops=Crops(side=64, batch=8, on_subject=0.5),
        unet=Pace(steps=3000, rate=2e-3, fall_from=0.4),
        patches=Crops(side=128, batch=8, on_subject=0.5),
        kept=3000,
    ),
)

# The same stages in seconds, to see that they run; its pictures are mud.
TOY_PLAN = UnetPlan(
    buckets=(BucketPlan(64, 64, 8, batch=4, weight=1.0), BucketPlan(64, 128, 8, batch=2, weight=0.5, enters=0.5)),
    pace=Pace(steps=4, rate=1.5e-3, warmup=2, bf16=0.7),
)
TOY = Recipe(
    seed=1,
    native_side=64,
    texts=300,
    text=Pace(steps=4, rate=1.5e-3, warmup=2, bf16=0.0),
    text_batch=8,
    vae_sets=(PictureSet(1, 8, 64, 64),),
    vae=Pace(steps=6, rate=1.5e-3, warmup=2, bf16=0.5),
    vae_crops=Crops(side=32, batch=2),
    refine=Pace(steps=3, rate=1e-3, warmup=2, bf16=0.0),
    polish=Pace(steps=3, rate=1e-3, warmup=2, bf16=0.0),
    detail_crops=Crops(side=32, batch=2, on_subject=0.5),
    duos=0.35,
    flat=TOY_PLAN,
    ink=replace(TOY_PLAN, style=Style.INK),
    inpaint=replace(TOY_PLAN, masked=True),
    loras={
        LoraName.GLOW: LoraPlan(rank=2, alpha=1, shown=replace(TOY_PLAN, twist=Twist(glow=True))),
        LoraName.SNOWFALL: LoraPlan(rank=2, alpha=1, shown=replace(TOY_PLAN, twist=Twist(snowfall=True))),
    },
    word=WordPlan(word="teal", like=("green", "blue"), shown=replace(TOY_PLAN, twist=Twist(coat=TEAL))),
    judge=Pace(steps=4, rate=2e-3, warmup=2, bf16=0.0),
    judge_batch=4,
    upscaler=Pace(steps=4, rate=1e-3, warmup=2, bf16=0.0),
    upscaler_crops=Crops(side=32, batch=2),
    superres=SuperresPlan(
        sets=(PictureSet(1, 8, 64, 64),),
        vae=Pace(steps=6, rate=1.5e-3, warmup=2, bf16=0.5),
        vae_crops=Crops(side=32, batch=2),
        unet=Pace(steps=4, rate=1.5e-3, warmup=2, bf16=0.7),
        patches=Crops(side=64, batch=2, on_subject=0.5),
        kept=4,
    ),
)


class RecipeName(StrEnum):
    """The recipes there are."""

    STARTER = "starter"
    TOY = "toy"


RECIPES: dict[RecipeName, Recipe] = {RecipeName.STARTER: STARTER, RecipeName.TOY: TOY}
