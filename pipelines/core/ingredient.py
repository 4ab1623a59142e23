"""How a recipe names a file."""

from pydantic import BaseModel, ConfigDict, Field


class Ingredient(BaseModel):
    """A file that went in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """What it was called; nobody's folders are told."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)
    """Bytes."""
