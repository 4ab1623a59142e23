"""What is known about a model without loading it: plain data that the web process, the journal and the tests share."""

from pydantic import BaseModel, ConfigDict

from pipelines.core.error import Problem


class ModelInfo(BaseModel):
    """A model as found in a models folder, from its headers and configs alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """What requests call it; unique in the library."""
    kind: str
    """`checkpoint`, ..."""
    family: str
    """The family's label, e.g. `SD 1.x`."""
    path: str
    """Absolute path; stays on this machine, never sent to the page."""
    size: int
    """Bytes on disk."""
    dtype: str
    """Number format of the UNet's weights: `fp16`, `bf16`, `fp32`."""
    native_size: int
    """Side in pixels of the square pictures it was trained on."""
    prediction: str
    """`epsilon` or `v_prediction`."""
    starter: bool = False
    """Ships with Easel."""
    problem: Problem | None = None
    """Why it cannot be used, if so."""
