"""What stands on the mixing desk, as the rest of Easel sees it. No torch here."""

from pipelines.core.desk import Mixture
from pipelines.core.model import ModelInfo


def as_one(mixture: Mixture, parts: tuple[ModelInfo, ...]) -> ModelInfo:
    """What a mixture of `parts` (in the order of `Mixture.parts`) is to paint with: a model like its first."""
    return parts[0].model_copy(
        update={
            "name": mixture.name, "made_of": tuple(one.path for one in parts), "ingredients": (), "starter": False,
        }
    )  # fmt: skip
