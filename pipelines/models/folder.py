"""A model as a folder: which files it needs, what they say, and what is wrong with them.

Only JSON and headers are read. Class names in the folder are compared with this file's table; code that a folder
brings along is never run.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.core.error import ModelUnusable
from pipelines.core.model import Family, Prediction, Task
from pipelines.models.architecture import Part
from pipelines.models.blueprint import PIXELS_PER_LATENT, Blueprint, Network, Tower
from pipelines.models.headers import DamagedFile, Header, read_header
from pipelines.models.names import Origin, View
from pipelines.models.recognise import recognise

INDEX = "model_index.json"
COPY_AGAIN = "copy the folder again"
OTHERS_RUN = "use a Stable Diffusion 1.x, 2.x or XL model"

USED = (".json", ".txt", ".safetensors")
"""Endings of the files that a model is made of."""
WIDEST = 8192
"""Channels of a block; the widest there is has 1,280."""
Fingerprint = frozenset[tuple[str, int, int]]
"""(path, time of the last change in ns, bytes) of every file a model is made of."""


def files_of(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The files of a model's parts, and its index; where there is none, what is used of the files in the folder itself.

    Those that may not be looked at are left out.
    """
    for at, below, names in os.walk(folder, followlinks=True):
        in_part, has_parts = Path(at) != folder, INDEX in names
        if in_part or not has_parts:
            below.clear()
        mine = names if in_part else [INDEX] if has_parts else [name for name in names if name.endswith(USED)]
        for file in (Path(at, name) for name in mine):
            with suppress(OSError):  # unreadable, or gone since a moment: whoever needs the file will say so
                yield file, file.stat()


def fingerprint(*paths: Path) -> Fingerprint:
    """What changes whenever a weights or config file of these models does, also one overwritten by another as large."""
    return frozenset(
        (str(file), state.st_mtime_ns, state.st_size)
        for path in paths
        for file, state in states_of(path)
        if file.suffix.casefold() in USED
    )


def states_of(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The files of the model at `path`, itself a file or a folder."""
    if path.is_dir():
        yield from files_of(path)
        return
    with suppress(OSError):  # gone since a moment: whoever needs the file will say so
        yield path, path.stat()


@dataclass(frozen=True, slots=True)
class Piece:
    """One subfolder: the classes it may name in model_index.json, and its files."""

    name: str
    classes: frozenset[str]
    config: str | None = "config.json"
    weights: str | None = None
    """File name without `.safetensors`."""


UNET = Piece("unet", frozenset({"UNet2DConditionModel"}), weights="diffusion_pytorch_model")
VAE = Piece("vae", frozenset({"AutoencoderKL"}), weights="diffusion_pytorch_model")
SCHEDULER = Piece(
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
)  # fmt: skip
TOKENIZERS = frozenset({"CLIPTokenizer", "CLIPTokenizerFast"})


@dataclass(frozen=True, slots=True)
class TowerKind:
    """A text encoder's subfolder, its tokenizer's, and what the UNet takes of it."""

    encoder: Piece
    tokenizer: Piece
    last_layer: int
    normed: bool
    projects: bool
    may_lack: bool = False


TOWER = TowerKind(
    Piece("text_encoder", frozenset({"CLIPTextModel"}), weights="model"),
    Piece("tokenizer", TOKENIZERS, config=None),
    last_layer=1, normed=True, projects=False,
)  # fmt: skip
XL_TOWERS = (
    replace(TOWER, last_layer=2, normed=False, may_lack=True),  # SDXL's refiner has only the second
    TowerKind(
        Piece("text_encoder_2", frozenset({"CLIPTextModelWithProjection"}), weights="model"),
        Piece("tokenizer_2", TOKENIZERS, config=None),
        last_layer=2, normed=False, projects=True,
    ),
)  # fmt: skip
PIPELINES: Mapping[str, tuple[TowerKind, ...]] = {
    "StableDiffusionPipeline": (TOWER,),
    "StableDiffusionImg2ImgPipeline": (TOWER,),
    "StableDiffusionInpaintPipeline": (TOWER,),
    "StableDiffusionXLPipeline": XL_TOWERS,
    "StableDiffusionXLImg2ImgPipeline": XL_TOWERS,
    "StableDiffusionXLInpaintPipeline": XL_TOWERS,
}
"""What `model_index.json` may say it is, and the text encoders it then has."""

PREDICTIONS = (Prediction.EPSILON, Prediction.V)
RUNS = (Family.SD1, Family.SD2, Family.SDXL, Family.SDXL_REFINER)
TASKS = {4: Task.TEXT_TO_IMAGE, 9: Task.INPAINTING}
"""Channels of a UNet's input, of those that can run."""
DTYPES = ("fp16", "bf16", "fp32", "fp8", "fp8 e5m2")


class FolderFiles:
    """The files of one folder; every method raises ModelUnusable, naming the file at fault."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name

    def _check_tokenizer(self, name: str) -> None:
        """Its words stand in one file, or in the two of older models."""
        at = self.folder / name
        self._must_exist(at / "tokenizer_config.json")
        two = [at / "vocab.json", at / "merges.txt"]
        if not (at / "tokenizer.json").is_file():
            for file in two if any(file.is_file() for file in two) else [at / "tokenizer.json"]:
                self._must_exist(file)

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


class FolderReader(FolderFiles):
    """Reads the folder of a diffusers model."""

    def blueprint(self) -> Blueprint:
        """Everything about a folder that can be loaded."""
        try:
            return self._blueprint()
        except OSError as error:  # also `is_file` raises it, for a file in a folder that may not be entered
            raise self._unreadable(error) from error

    def _blueprint(self) -> Blueprint:
        index = self._json(INDEX)
        kinds = self._kinds(index)
        unet, vae = self._network(UNET), self._network(VAE)
        towers = tuple(self._tower(kind) for kind in kinds)
        blueprint = Blueprint(
            family=self._family(unet),
            task=self._task(unet),
            native_size=_native_size(unet),
            unet=unet,
            vae=vae,
            towers=towers,
            scheduler=self._json(f"{SCHEDULER.name}/{SCHEDULER.config}"),
        )
        self._check(blueprint)
        return blueprint

    def _kinds(self, index: Mapping[str, Any]) -> tuple[TowerKind, ...]:
        """The towers there are, once all classes named are known ones."""
        pipeline = str(index.get("_class_name"))
        if pipeline not in PIPELINES:
            raise self._unusable(f"is of a kind that cannot run yet ({pipeline})", fix=OTHERS_RUN)
        kinds = tuple(k for k in PIPELINES[pipeline] if not (k.may_lack and _class(index, k.encoder) is None))
        self._check_classes(index, (UNET, VAE, *pieces_of(kinds), SCHEDULER))
        return kinds

    def _check_classes(self, index: Mapping[str, Any], pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            named = _class(index, piece)
            if named not in piece.classes:
                raise self._unusable(
                    f"names an unknown {piece.name} ({named})",
                    fix=f"in model_index.json use {min(piece.classes)}, or choose another model",
                )

    def _network(self, piece: Piece) -> Network:
        config = self._json(f"{piece.name}/{piece.config}")
        file = self._weights(piece)
        header = self._header(file)
        return Network(file, header, Part(config, _spelling(header)))

    def _tower(self, kind: TowerKind) -> Tower:
        network = self._network(kind.encoder)
        self._check_tokenizer(kind.tokenizer.name)
        return Tower(
            network, self.folder / kind.tokenizer.name, pad="",
            last_layer=kind.last_layer, normed=kind.normed, projects=kind.projects,
        )  # fmt: skip

    def _family(self, unet: Network) -> Family:
        family = recognise(unet.header).family
        if family not in RUNS:
            raise self._unusable(
                f"is of a kind that cannot run yet ({family or 'its UNet is unknown'})", fix=OTHERS_RUN
            )
        return family

    def _task(self, unet: Network) -> Task:
        channels = unet.part.config.get("in_channels", 4)
        if channels not in TASKS:
            raise self._unusable(f"cannot run yet: its UNet takes {channels} channels", fix="use one that takes 4 or 9")
        return TASKS[channels]

    def _check(self, blueprint: Blueprint) -> None:
        """The parts go together, and the numbers are numbers."""
        self._check_prediction(blueprint, PREDICTIONS)
        self._check_numbers(blueprint)
        if len(blueprint.vae.part.config["block_out_channels"]) != 4:
            raise self._unusable("cannot be used: its VAE does not reduce pictures eightfold")
        self._check_betas(blueprint.scheduler, SCHEDULER.name)

    def _check_prediction(self, blueprint: Blueprint, known: Sequence[str]) -> None:
        said = blueprint.scheduler.get("prediction_type", Prediction.EPSILON)
        if said not in known:
            raise self._unusable(
                f"predicts {said!r}, which cannot run yet",
                fix=f"set prediction_type in scheduler/scheduler_config.json to {' or '.join(known)}",
            )

    def _check_numbers(self, blueprint: Blueprint) -> None:
        """Their format, and the widths of words and of blocks."""
        dtype = blueprint.unet.header.dtype
        if dtype not in DTYPES:
            raise self._unusable(
                f"keeps its weights as {dtype}, which cannot run yet", fix=f"convert it to {DTYPES[0]}"
            )
        reads = blueprint.unet.part.config.get("cross_attention_dim", 1280)
        writes = sum(tower.network.part.config.get("hidden_size", 512) for tower in blueprint.towers)
        if reads != writes and blueprint.towers:
            raise self._unusable(
                f"mixes two families: its UNet reads {reads} numbers a word, its text encoder writes {writes}"
            )
        for network in (blueprint.unet, blueprint.vae):
            blocks = network.part.config.get("block_out_channels")
            if not isinstance(blocks, list) or not all(type(b) is int and 0 < b <= WIDEST for b in blocks):
                raise self._unusable(
                    f"cannot be used: block_out_channels in {network.file.parent.name}/config.json are no widths"
                )

    def _check_betas(self, config: Mapping[str, Any], folder: str) -> None:
        for key, kind in {"beta_start": float | int, "beta_end": float | int, "num_train_timesteps": int}.items():
            value = config.get(key, 0)
            if not isinstance(value, kind):
                raise self._unusable(f"cannot be used: {key} in {folder}/scheduler_config.json is {value!r}, no number")

    def _weights(self, part: Piece) -> Path:
        """The plain file, else its fp16 variant (files ending in `.bin` or `.ckpt` are pickles, never opened)."""
        plain = self.folder / part.name / f"{part.weights}.safetensors"
        half = plain.with_name(f"{part.weights}.fp16.safetensors")
        pickle = plain.with_suffix(".bin")
        if pickle.is_file() and not (plain.is_file() or half.is_file()):
            raise self._unusable(
                f"lacks {self._relative(plain)}: its {pickle.name} is a pickle, and opening it can run code",
                fix=f"convert that with app.py models convert, to {plain.name} beside it",
            )
        return self._must_exist(half if half.is_file() and not plain.is_file() else plain)


def pieces_of(kinds: Iterable[TowerKind]) -> Iterator[Piece]:
    """The subfolders of text encoders and tokenizers."""
    for kind in kinds:
        yield kind.encoder
        yield kind.tokenizer


def _class(index: Mapping[str, Any], piece: Piece) -> str | None:
    """The class that `model_index.json` names for a subfolder; None where it names none."""
    entry = index.get(piece.name)
    return str(entry[1]) if isinstance(entry, list) and len(entry) == 2 and entry[1] is not None else None


OLD_ATTENTION = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
"""How diffusers before 0.18 named the attention in a VAE, and in a UNet that reads no words."""


def _spelling(header: Header) -> Callable[[str], Origin]:
    """Where a tensor is in a file of diffusers or transformers, of whatever release."""
    nested = "text_model." if any(name.startswith("text_model.") for name in header.tensors) else ""
    attentions = [name.removesuffix(".query.weight") for name in header.tensors if name.endswith(".query.weight")]
    old = {f"{at}.{new}": f"{at}.{was}" for at in attentions for new, was in OLD_ATTENTION.items()}

    def origin(name: str) -> Origin:
        module, _, kind = name.rpartition(".")
        if module in old:
            was = f"{old[module]}.{kind}"
            return Origin(was, View.MATRIX if len(header.tensors[was].shape) == 4 else View.WHOLE)
        return Origin(name if name.startswith("text_projection") else nested + name)

    return origin


def _native_size(unet: Network) -> int:
    """Pixels: the UNet's sample size times the VAE's eightfold reduction."""
    size = unet.part.config.get("sample_size")
    return PIXELS_PER_LATENT * size if isinstance(size, int) else 512  # it may be left out, or give both sides


def as_text(text: str) -> str:
    """`text` with a question mark for each character that cannot be written down as UTF-8.

    File names may hold bytes that are no text, and JSON may spell half a character.
    """
    return text.encode(errors="replace").decode()
