"""Events: everything that flows back up from work. A closed union of frozen plain values.

`pipelines/jobs/queue.py` journals what matters (queued, started, picture, the three ends) and passes all of them on to
whoever watches: the page, a reloaded page, the command line, a REST client.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from pipelines.core.error import Problem


class BaseEvent(BaseModel):
    """What all events share."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")


class Queued(BaseEvent):
    """The job waits. Sent again whenever its place changes."""

    type: Literal["queued"] = "queued"
    position: int
    """1: next."""


class Loading(BaseEvent):
    """The model is being brought into memory."""

    type: Literal["loading"] = "loading"
    model: str
    size: int
    """Bytes on disk."""


class Progress(BaseEvent):
    """Step `step` of `steps` of picture `picture` of `count` is done (both from 1; step 0: the picture begins)."""

    type: Literal["progress"] = "progress"
    picture: int
    count: int
    step: int
    steps: int
    seconds_left: float | None = None
    """Estimate for the whole job; None until it can be made."""


class Preview(BaseEvent):
    """A small look at picture `picture` after `step`: the model's present estimate of the finished picture."""

    type: Literal["preview"] = "preview"
    picture: int
    step: int
    jpeg: bytes = Field(repr=False)
    box: tuple[int, int, int, int] | None = None
    """Of a picture that is painted over: left, top, right and bottom of the part that is seen here, in its pixels."""


class Worked(BaseEvent):
    """So much of something that is no picture is done."""

    type: Literal["worked"] = "worked"
    done: int
    """Bytes."""
    total: int


class Noted(BaseEvent):
    """Something the person should know of a model: what was found, or what was made."""

    type: Literal["noted"] = "noted"
    text: str


class Compared(BaseEvent):
    """How far two models lie apart."""

    type: Literal["compared"] = "compared"
    blocks: dict[str, tuple[float, float]]
    """Of each block |B - A| / |A|, and the cosine of the angle between A and B."""


class Masked(BaseEvent):
    """What was looked for in a picture was found."""

    type: Literal["masked"] = "masked"
    mask: str
    """The mask, white where it was found: its id among the pictures that the studio keeps."""
    share: float
    """Of the picture that it covers, 0 to 1."""


class Hashed(BaseEvent):
    """The hashes of a single file, in lower-case hex."""

    type: Literal["hashed"] = "hashed"
    sha256: str
    """Its first ten digits are AUTOMATIC1111's short hash and Civitai's AutoV2."""
    weights: str
    """Of what follows a safetensors header, the same when metadata was edited; its first twelve are AutoV3."""


class PictureSaved(BaseEvent):
    """Picture `index` (from 0) is on disk with its whole request. `image` is its id, or 0 outside a library."""

    type: Literal["picture"] = "picture"
    index: int
    seed: int
    file: str
    """Path below the outputs folder, with forward slashes."""
    seconds: float
    """Time this picture took."""
    image: int = 0


class Restarted(BaseEvent):
    """The worker was lost and a new one takes the job up again, at its first missing picture."""

    type: Literal["restarted"] = "restarted"
    problem: Problem
    attempt: int


class Finished(BaseEvent):
    """All is done."""

    type: Literal["finished"] = "finished"
    seconds: float


class Stopped(BaseEvent):
    """A person stopped the job; the pictures made so far are kept."""

    type: Literal["stopped"] = "stopped"


class Failed(BaseEvent):
    """The job cannot go on; the pictures made so far are kept."""

    type: Literal["failed"] = "failed"
    problem: Problem


OfPictures = Progress | Preview | PictureSaved
OfModels = Loading | Worked | Noted | Compared | Hashed
Event = Queued | OfModels | OfPictures | Masked | Restarted | Finished | Stopped | Failed
End = Finished | Stopped | Failed
"""Exactly one of these is the last event of every job."""


class DeviceStatus(BaseEvent):
    """What the worker computes on, for the gauge in the header. Belongs to no job."""

    type: Literal["device"] = "device"
    label: str
    """`NVIDIA RTX 4070`, `CPU`, ..."""
    kind: str = "cpu"
    """`cpu`, `cuda` or `mps`."""
    used: int
    """Bytes in use on the device (on a CPU: of the machine's memory)."""
    total: int
    """Bytes."""
    room: int = 0
    """Bytes that a job may use: what is free, and what models hold that could be freed."""
    models: tuple[str, ...] = ()
    """The models in memory, the one used last first."""
    problem: Problem | None = None
    """Why the worker cannot work just now, if so."""
