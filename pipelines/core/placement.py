"""Where a model's weights wait while it paints, and what is being done meanwhile."""

from enum import StrEnum


class Placement(StrEnum):
    """From the quickest to the one that needs least of the device's memory."""

    WHOLE = "whole"
    """All on the device."""
    TURNS = "turns"
    """The UNet on the device; text encoders and VAE wait in main memory, and come when it is their turn."""
    STREAMED = "streamed"
    """All wait in main memory; each layer comes when it is its turn."""


class Phase(StrEnum):
    """A part of the work that memory can run out in."""

    LOADING = "loading"
    DENOISING = "denoising"
    DECODING = "decoding"
