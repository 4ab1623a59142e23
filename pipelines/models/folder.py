"""A model as a diffusers folder: which files it needs, what they say, and what is wrong with them.

Only JSON and headers are read. Class names in the folder are compared with this file's table; code that a folder
brings along is never run.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.core.error import ModelUnusable
from pipelines.models.headers import DamagedFile, Header, read_header

INDEX = "model_index.json"
COPY_AGAIN = "copy the folder again"

Fingerprint = frozenset[tuple[str, int, int]]
"""(path, time of the last change in ns, bytes) of every file a model is made of."""


def files_of(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The files of a model's parts, and its index; those that may not be looked at are left out."""
    for at, below, names in os.walk(folder, followlinks=True):
        in_part = Path(at) != folder
        if in_part:
            below.clear()
        for file in (Path(at, name) for name in names if in_part or name == INDEX):
            with suppress(OSError):  # unreadable, or gone since a moment: whoever needs the file will say so
                yield file, file.stat()


def fingerprint(folder: Path) -> Fingerprint:
    """What changes whenever a weights or config file does, also one overwritten by another of the same size."""
    return frozenset(
        (str(file), state.st_mtime_ns, state.st_size)
        for file, state in files_of(folder)
        if file.suffix in (".json", ".txt", ".safetensors")
    )


@dataclass(frozen=True, slots=True)
class Part:
    """One subfolder: the classes it may name in model_index.json, and its files."""

    name: str
    classes: frozenset[str]
    config: str | None = "config.json"
    weights: str | None = None
    """File name without `.safetensors`."""


PARTS = (
    Part("unet", frozenset({"UNet2DConditionModel"}), weights="diffusion_pytorch_model"),
    Part("vae", frozenset({"AutoencoderKL"}), weights="diffusion_pytorch_model"),
    Part("text_encoder", frozenset({"CLIPTextModel"}), weights="model"),
    Part("tokenizer", frozenset({"CLIPTokenizer", "CLIPTokenizerFast"}), config=None),
    Part(
        "scheduler",
        # Only the numbers in its config are used: the sampler is chosen by the request.
        frozenset(
            {"DDIMScheduler", "DDPMScheduler", "DEISMultistepScheduler", "DPMSolverMultistepScheduler",
             "DPMSolverSDEScheduler", "DPMSolverSinglestepScheduler", "EulerAncestralDiscreteScheduler",
             "EulerDiscreteScheduler", "HeunDiscreteScheduler", "KDPM2AncestralDiscreteScheduler",
             "KDPM2DiscreteScheduler", "LCMScheduler", "LMSDiscreteScheduler", "PNDMScheduler", "TCDScheduler",
             "UniPCMultistepScheduler"}
        ),
        config="scheduler_config.json",
    ),
)  # fmt: skip

PIPELINES = frozenset({"StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline"})
PREDICTIONS = ("epsilon", "v_prediction")
DTYPES = ("fp16", "bf16", "fp32")
SD2_TEXT_WIDTH = 1024
"""OpenCLIP-H's width, which only the SD 2.x family was trained with."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a sound folder says about itself."""

    unet: Mapping[str, Any]
    scheduler: Mapping[str, Any]
    weights: Mapping[str, Path]
    """Part name -> weights file."""
    headers: Mapping[str, Header]

    @property
    def family(self) -> str:
        return "SD 2.x" if self.unet.get("cross_attention_dim") == SD2_TEXT_WIDTH else "SD 1.x"

    @property
    def native_size(self) -> int:
        """Pixels: the UNet's sample size times the VAE's eightfold reduction."""
        size = self.unet.get("sample_size")
        return 8 * size if isinstance(size, int) else 512  # a config may leave it out, or give both sides

    @property
    def dtype(self) -> str:
        return self.headers["unet"].dtype

    @property
    def prediction(self) -> str:
        return str(self.scheduler.get("prediction_type", "epsilon"))


class FolderReader:
    """Reads one folder; every method raises ModelUnusable, naming the file at fault."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name

    def facts(self) -> Facts:
        """Everything about a folder that can be loaded."""
        try:
            return self._facts()
        except OSError as error:  # also `is_file` raises it, for a file in a folder that may not be entered
            raise self._unreadable(error) from error

    def _facts(self) -> Facts:
        self._check_classes(self._json(INDEX))
        configs = {p.name: self._json(f"{p.name}/{p.config}") for p in PARTS if p.config}
        weights = {p.name: self._weights(p) for p in PARTS if p.weights}
        headers = {name: self._header(path) for name, path in weights.items()}
        self._check_tokenizer()
        facts = Facts(configs["unet"], configs["scheduler"], weights, headers)
        self._check_kind(facts)
        self._check_fit(configs)
        return facts

    def _check_classes(self, index: Mapping[str, Any]) -> None:
        pipeline = str(index.get("_class_name"))
        if pipeline not in PIPELINES:
            raise self._unusable(
                f"is of a kind that cannot run yet ({pipeline})", fix="use a Stable Diffusion 1.x or 2.x model"
            )
        for part in PARTS:
            entry = index.get(part.name)
            named = str(entry[1]) if isinstance(entry, list) and len(entry) == 2 else None
            if named not in part.classes:
                raise self._unusable(
                    f"names an unknown {part.name} ({named})",
                    fix=f"in model_index.json use {min(part.classes)}, or choose another model",
                )

    def _check_tokenizer(self) -> None:
        """Its words stand in one file, or in the two of older models."""
        at = self.folder / "tokenizer"
        self._must_exist(at / "tokenizer_config.json")
        two = [at / "vocab.json", at / "merges.txt"]
        if not (at / "tokenizer.json").is_file():
            for file in two if any(file.is_file() for file in two) else [at / "tokenizer.json"]:
                self._must_exist(file)

    def _check_kind(self, facts: Facts) -> None:
        """Of all models of these classes, those that the loop can run."""
        channels = facts.unet.get("in_channels", 4)
        if channels != 4:
            raise self._unusable(
                f"is not a plain text-to-image model (its UNet takes {channels} channels)", fix="use one that takes 4"
            )
        if facts.prediction not in PREDICTIONS:
            raise self._unusable(
                f"predicts {facts.prediction!r}, which cannot run yet",
                fix=f"set prediction_type in scheduler/scheduler_config.json to {' or '.join(PREDICTIONS)}",
            )
        if facts.dtype not in DTYPES:
            raise self._unusable(
                f"keeps its weights as {facts.dtype}, which cannot run yet", fix=f"convert it to {', '.join(DTYPES)}"
            )

    def _check_fit(self, configs: Mapping[str, Mapping[str, Any]]) -> None:
        """The parts go together: the UNet reads what the text encoder writes, the VAE reduces eightfold."""
        reads, writes = (
            configs["unet"].get("cross_attention_dim", 1280),
            configs["text_encoder"].get("hidden_size", 512),
        )
        if reads != writes:
            raise self._unusable(
                f"mixes two families: its UNet reads {reads} numbers a word, its text encoder writes {writes}"
            )
        blocks = configs["vae"].get("block_out_channels", [])
        if not isinstance(blocks, list) or len(blocks) != 4:
            raise self._unusable("cannot be used: its VAE does not reduce pictures eightfold")
        for key, kind in {"beta_start": float | int, "beta_end": float | int, "num_train_timesteps": int}.items():
            value = configs["scheduler"].get(key, 0)
            if not isinstance(value, kind):
                raise self._unusable(
                    f"cannot be used: {key} in scheduler/scheduler_config.json is {value!r}, no number"
                )

    def _weights(self, part: Part) -> Path:
        """The plain file, else its fp16 variant (files ending in `.bin` or `.ckpt` are pickles, never opened)."""
        plain = self.folder / part.name / f"{part.weights}.safetensors"
        half = plain.with_name(f"{part.weights}.fp16.safetensors")
        return self._must_exist(half if half.is_file() and not plain.is_file() else plain)

    def _header(self, path: Path) -> Header:
        try:
            return read_header(path)
        except DamagedFile as error:
            raise self._unusable(f"cannot be used: {self._relative(path)} {error}") from error

    def _json(self, relative: str) -> Mapping[str, Any]:
        path = self._must_exist(self.folder / relative)
        try:
            data = json.loads(path.read_bytes())
        except (ValueError, RecursionError) as error:
            raise self._unusable(f"cannot be used: {relative} is not JSON", detail=str(error)) from error
        if not isinstance(data, dict):
            raise self._unusable(f"cannot be used: {relative} holds no settings")
        return data

    def _must_exist(self, path: Path) -> Path:
        if not path.is_file():
            raise self._unusable(f"lacks {self._relative(path)}")
        return path

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _unreadable(self, error: OSError) -> ModelUnusable:
        file = self._relative(Path(error.filename)) if error.filename else "a file"
        return self._unusable(
            f"cannot be read ({file}: {error.strerror})", fix="allow reading it, or copy the folder again",
            detail=str(error),
        )  # fmt: skip

    def _unusable(self, problem: str, *, fix: str = COPY_AGAIN, detail: str | None = None) -> ModelUnusable:
        return ModelUnusable(
            as_text(f"The model {self.name!r} {problem}"), fix=fix, field="model", detail=as_text(detail or "") or None
        )


def as_text(text: str) -> str:
    """`text` with a question mark for each character that cannot be written down as UTF-8.

    File names may hold bytes that are no text, and JSON may spell half a character.
    """
    return text.encode(errors="replace").decode()
