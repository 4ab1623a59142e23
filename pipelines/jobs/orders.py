"""What is asked of the merging engine. No torch here: much can be refused before it is loaded."""

from dataclasses import dataclass
from pathlib import Path

from pipelines.core.blocks import Blocks, blocks_of, family_by_names
from pipelines.core.desk import Mixture
from pipelines.core.model import ModelInfo
from pipelines.core.recipe import Mix, Recipe
from pipelines.core.request import LoraChoice
from pipelines.merging.weighting import Weighting
from pipelines.models.folder import FolderReader
from pipelines.models.lora.strength import Strength, check_strength
from pipelines.models.single import read_single

NOWHERE = Path("a mix in memory.safetensors")
"""What stands for the file of a mix that is in none."""


def blocks_in(info: ModelInfo) -> Blocks:
    """The blocks of a model. Raises InvalidRequest for one that has none, ModelUnusable."""
    path = Path(info.made_of[0] if info.made_of else info.path)
    if path.is_dir():
        return blocks_of(FolderReader(path, info.name).blueprint().family)
    single = read_single(path, info.name)
    return blocks_of(single.found.family or family_by_names(single.header.tensors))


@dataclass(frozen=True, slots=True)
class Order:
    """What to mix, of what, and where it shall lie."""

    mix: Mix
    models: tuple[ModelInfo, ...]
    """As the method wants them; the base last."""
    target: Path
    vae_from: ModelInfo | None = None
    overwrite: bool = False
    """A file of that name is replaced; never one of the models."""
    loras: tuple[tuple[ModelInfo, Strength], ...] = ()
    """Added to the mix, in this order."""
    notes: str = ""
    """For whoever has the model; they travel with it."""
    recipe: Recipe | None = None
    """That is followed to the letter; else one is written."""

    @property
    def files(self) -> tuple[ModelInfo, ...]:
        """Everything that goes in."""
        vae = (self.vae_from,) if self.vae_from else ()
        return (*self.models, *vae, *(info for info, _ in self.loras))

    def __post_init__(self) -> None:
        """Raises InvalidRequest for weights that do not fit the models, ModelUnusable."""
        for info, strength in self.loras:
            check_strength(strength, info.name)
        self.mix.for_models(len(self.models))
        Weighting(self.mix, blocks_in(self.models[0]))


def strength_of(asked: LoraChoice) -> Strength:
    """As the engine has it."""
    return Strength(asked.unet, asked.text, asked.blocks)


def ordered(mixture: Mixture, parts: tuple[ModelInfo, ...], target: Path = NOWHERE) -> Order:
    """What to do with `parts`, in the order of `Mixture.parts`. Raises what `Order` does."""
    models, rest = parts[: len(mixture.models)], list(parts[len(mixture.models) :])
    vae = rest.pop(0) if mixture.vae_from else None
    loras = tuple((info, strength_of(asked)) for info, asked in zip(rest, mixture.loras, strict=True))
    return Order(mixture.mix, models, target, vae, loras=loras)
