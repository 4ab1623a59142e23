"""What is known about a model without loading it: plain data that the web process, the journal and the tests share."""

from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from pipelines.core.error import Problem
from pipelines.core.ingredient import Ingredient


class Kind(StrEnum):
    """What a file or folder holds."""

    CHECKPOINT = "checkpoint"
    DENOISER = "unet"
    """A UNet, or the transformer in its place, alone."""
    VAE = "vae"
    TEXT_ENCODER = "text encoder"
    LORA = "lora"
    EMBEDDING = "embedding"
    UPSCALER = "upscaler"
    CONTROLNET = "controlnet"
    ADAPTER = "adapter"
    SEGMENTER = "segmenter"
    """Finds in a picture what a text names."""
    UNKNOWN = "unknown"


PAINTS = frozenset({Kind.CHECKPOINT, Kind.DENOISER})
"""The kinds that can paint a picture, if need be with parts of others."""


class Family(StrEnum):
    """Models whose parts and LoRAs fit together, by the name that people use."""

    SD1 = "SD 1.x"
    SD2 = "SD 2.x"
    SDXL = "SDXL"
    SDXL_REFINER = "SDXL refiner"
    UNCLIP = "SD 2.x unCLIP"
    X4_UPSCALER = "SD x4 upscaler"
    LATENT_UPSCALER = "SD x2 latent upscaler"
    LDM = "LDM"
    IF = "DeepFloyd IF"
    SD3 = "SD 3"
    FLUX = "Flux"
    FLUX2 = "Flux 2"
    CHROMA = "Chroma"
    QWEN_IMAGE = "Qwen-Image"
    PIXART = "PixArt"
    SANA = "Sana"
    AURAFLOW = "AuraFlow"
    LUMINA2 = "Lumina 2"
    Z_IMAGE = "Z-Image"
    CASCADE = "Stable Cascade"
    HIDREAM = "HiDream"
    VIDEO = "video"


class Task(StrEnum):
    """What a model was trained to do."""

    TEXT_TO_IMAGE = "text to image"
    INPAINTING = "inpainting"
    EDITING = "editing"
    """A picture and an instruction to a picture: InstructPix2Pix."""
    DEPTH = "depth to image"
    UPSCALING = "upscaling"
    UNCONDITIONAL = "unconditional"
    CLASSES = "class to image"


class Prediction(StrEnum):
    """What the network's output is, in diffusers' words."""

    EPSILON = "epsilon"
    V = "v_prediction"
    EDM = "edm"


class ModelInfo(BaseModel):
    """A model as found in a models folder, from its headers and configs alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """What requests call it; unique in the library."""
    kind: Kind
    family: Family | None
    """None: not known."""
    task: Task = Task.TEXT_TO_IMAGE
    detail: str = ""
    """What else people call it: `LoCon, rank 16`, `ESRGAN`, `CLIP`."""
    triggers: tuple[str, ...] = ()
    """Words that call up what a LoRA or embedding has learnt, as its file says."""
    path: str
    """Absolute path; stays on this machine, never sent to the page."""
    size: int
    """Bytes on disk."""
    dtype: str
    """Number format of most weights: `fp16`, `bf16`, `fp32`."""
    native_size: int
    """Side in pixels of the square pictures it was trained on; 0 where that means nothing."""
    prediction: Prediction | None
    """None: nothing that predicts, or not known."""
    lacks: tuple[Kind, ...] = ()
    """Parts that another file must bring along."""
    vae_from: str = ""
    """Path of the file that brings the VAE along, if it is another."""
    text_from: str = ""
    """Path of the file that brings the text encoders along, if it is another."""
    ingredients: tuple[Ingredient, ...] = ()
    """Of a recipe, which is mixed when it is wanted: the files that go in, in its order."""
    made_of: tuple[str, ...] = ()
    """Paths of those files; empty until all are found."""
    starter: bool = False
    """Ships with Easel."""
    problem: Problem | None = None
    """Why it cannot be used, if so."""
    damaged: bool = False
    """The problem lies in the file, and not in what Easel can do."""

    @property
    def paints(self) -> bool:
        """Whether it is of a kind to paint pictures with; one that was trained to enlarge them is not."""
        return self.kind in PAINTS and self.task is not Task.UPSCALING


@dataclass(frozen=True, slots=True)
class Seen:
    """What a scan found at a path."""

    stamp: str
    """Changes whenever the files do."""
    info: ModelInfo | None
    """None: no model."""
