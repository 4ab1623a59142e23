"""Every number of a training run in one place. A run folder belongs to one recipe."""

from dataclasses import dataclass
from enum import StrEnum

from pipelines.training.loop import Pace
from pipelines.training.pictures import PictureSet
from pipelines.training.world.scene import Style


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
class Crops:
    """How many squares of which side (pixels) a VAE step sees, and which share of them (0-1) is on a subject."""

    side: int
    batch: int
    on_subject: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What the stages of a run do. Seeds: the pictures of the VAE, of the UNet and of the examination differ."""

    seed: int
    style: Style
    native_side: int  # pixels; what the UNet's config declares
    texts: int  # captions the tokenizer learns from
    text: Pace
    text_batch: int
    vae_sets: tuple[PictureSet, ...]  # a set named twice is seen twice as often
    vae: Pace
    vae_crops: Crops
    refine: Pace  # further steps on the subjects' details; the UNet may begin on the latents from before
    refine_crops: Crops
    polish: Pace  # further steps for the decoder alone, on the same crops
    buckets: tuple[BucketPlan, ...]
    unet: Pace
    judge: Pace
    judge_batch: int

    def picture_sets(self) -> tuple[PictureSet, ...]:
        """What the UNet is shown, bucket by bucket."""
        return tuple(PictureSet(self.seed + 6, b.count, b.width, b.height, self.style) for b in self.buckets)


# The larger sizes come late: what a prompt means is learnt sixteen times cheaper on 16x16 latents.
STARTER = Recipe(
    seed=1,
    style=Style.FLAT,
    native_side=128,
    texts=6000,
    text=Pace(steps=700, rate=1.5e-3, fall_from=0.4, bf16=0.0),
    text_batch=96,
    vae_sets=(PictureSet(1, 4000), PictureSet(1, 4000), PictureSet(1, 1000, 256, 256)),
    vae=Pace(steps=6300, rate=1.5e-3, bf16=0.8, fall_from=0.72),
    vae_crops=Crops(side=64, batch=8),
    refine=Pace(steps=3600, rate=1e-3, bf16=0.85, fall_from=0.6),
    refine_crops=Crops(side=96, batch=4, on_subject=0.8),
    polish=Pace(steps=5000, rate=1e-3, bf16=0.8, fall_from=0.4),
    buckets=(
        BucketPlan(128, 128, 8000, batch=16, weight=0.36),
        BucketPlan(160, 128, 800, batch=13, weight=0.04, enters=0.59),
        BucketPlan(128, 160, 800, batch=13, weight=0.04, enters=0.59),
        BucketPlan(192, 128, 800, batch=10, weight=0.04, enters=0.59),
        BucketPlan(128, 192, 800, batch=10, weight=0.04, enters=0.59),
        BucketPlan(224, 128, 800, batch=9, weight=0.04, enters=0.59),
        BucketPlan(128, 224, 800, batch=9, weight=0.02, enters=0.59),
        BucketPlan(192, 192, 1500, batch=8, weight=0.20, enters=0.62),
        BucketPlan(256, 256, 1500, batch=6, weight=0.22, enters=0.62),
    ),
    unet=Pace(steps=5600, rate=1.5e-3, fall_from=0.72),
    judge=Pace(steps=900, rate=2e-3, fall_from=0.4, bf16=0.0),
    judge_batch=64,
)

# The same stages in seconds, to see that they run; its pictures are mud.
TOY = Recipe(
    seed=1,
    style=Style.FLAT,
    native_side=64,
    texts=300,
    text=Pace(steps=4, rate=1.5e-3, warmup=2, bf16=0.0),
    text_batch=8,
    vae_sets=(PictureSet(1, 8, 64, 64),),
    vae=Pace(steps=6, rate=1.5e-3, warmup=2, bf16=0.5),
    vae_crops=Crops(side=32, batch=2),
    refine=Pace(steps=3, rate=1e-3, warmup=2, bf16=0.0),
    refine_crops=Crops(side=32, batch=2, on_subject=0.5),
    polish=Pace(steps=3, rate=1e-3, warmup=2, bf16=0.0),
    buckets=(BucketPlan(64, 64, 8, batch=4, weight=1.0), BucketPlan(64, 128, 8, batch=2, weight=0.5, enters=0.5)),
    unet=Pace(steps=4, rate=1.5e-3, warmup=2, bf16=0.7),
    judge=Pace(steps=4, rate=2e-3, warmup=2, bf16=0.0),
    judge_batch=4,
)


class RecipeName(StrEnum):
    """The recipes there are."""

    STARTER = "starter"
    TOY = "toy"


RECIPES: dict[RecipeName, Recipe] = {RecipeName.STARTER: STARTER, RecipeName.TOY: TOY}
