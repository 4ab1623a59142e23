"""What a file is, told from its header alone: kind, family, task, prediction, number format."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipelines.core.model import Family, Kind, Prediction, Task
from pipelines.models.headers import Header, TensorEntry
from pipelines.models.layouts import (
    CHANNELS,
    CONTROLNETS,
    DENOISERS,
    FIRST,
    OTHER_FIRST,
    OTHERS,
    ROOTS,
    TEXT_ENCODERS,
    TEXT_ROOTS,
    VAE_ROOTS,
    VAES,
    Layout,
)
from pipelines.models.upscalers import architecture_of

Tensors = Mapping[str, TensorEntry]


@dataclass(frozen=True, slots=True)
class Found:
    """A network in a file: its layout, and the name it stands under."""

    layout: Layout
    root: str
    """`model.diffusion_model.`, or nothing."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a file is."""

    kind: Kind
    family: Family | None = None
    task: Task = Task.TEXT_TO_IMAGE
    prediction: Prediction | None = None
    """None: the file does not say."""
    zero_snr: bool = False
    """Trained down to pure noise (Lin et al. 2023)."""
    detail: str = ""
    """What else people call it: `LoCon`, `ESRGAN`, `CLIP`."""
    rank: int | None = None
    """Of a LoRA, the commonest."""
    denoiser: Found | None = None
    vae: Found | None = None
    text_encoders: tuple[Found, ...] = ()


def recognise(header: Header) -> Recognised:
    """The first layout of the table that fits; `unknown` when none does."""
    tensors = header.tensors
    if control := find(CONTROLNETS, tensors, ("",)):
        return Recognised(Kind.CONTROLNET, control.layout.family)
    if denoiser := find(DENOISERS, tensors, ROOTS):
        return _model(header, denoiser)
    if kinds := _lora_parts(tensors):
        return _lora(header, kinds)
    alone = find(OTHERS, tensors, ("",)) or find(VAES, tensors, VAE_ROOTS) or find(TEXT_ENCODERS, tensors, TEXT_ROOTS)
    if alone:
        layout = alone.layout
        return Recognised(
            layout.kind,
            layout.family or _family_of_embedding(header),
            detail=layout.detail,
            vae=alone if layout.kind is Kind.VAE else None,
            text_encoders=(alone,) if layout.kind is Kind.TEXT_ENCODER else (),
        )
    if _is_embedding(tensors):
        return Recognised(Kind.EMBEDDING, _family_of_embedding(header))
    architecture = architecture_of(tensors.keys())
    return Recognised(Kind.UPSCALER if architecture else Kind.UNKNOWN, detail=architecture)


def find(layouts: Iterable[Layout], tensors: Tensors, roots: Iterable[str]) -> Found | None:
    """The first of `layouts` that fits below any of `roots`."""
    roots = tuple(roots)
    return next((Found(lay, root) for lay in layouts for root in roots if fits(lay, tensors, root)), None)


def fits(layout: Layout, tensors: Tensors, root: str) -> bool:
    """Whether `tensors` below `root` are as `layout` says."""
    return (
        all(root + name in tensors for name in layout.has)
        and not any(root + name in tensors for name in layout.lacks)
        and all(_alike(tensors.get(root + name), shape) for name, shape in layout.shapes)
    )


def _alike(entry: TensorEntry | None, shape: tuple[int | None, ...]) -> bool:
    if entry is None or len(entry.shape) != len(shape):
        return False
    return all(wanted in (None, side) for wanted, side in zip(shape, entry.shape, strict=True))


def _model(header: Header, denoiser: Found) -> Recognised:
    """A UNet or transformer, with its companions or alone."""
    tensors, root = header.tensors, denoiser.root
    vae = find(VAES, tensors, [some for some in VAE_ROOTS if some])
    texts = [find(TEXT_ENCODERS, tensors, [some]) for some in TEXT_ROOTS if some]
    text_encoders = tuple(text for text in texts if text)
    family = denoiser.layout.family
    if any(text.layout.family is Family.LDM for text in text_encoders):
        family = Family.LDM
    return Recognised(
        kind=Kind.CHECKPOINT if vae or text_encoders else Kind.DENOISER,
        family=family,
        task=_task(family, tensors, root, text_encoders),
        prediction=_prediction(header),
        zero_snr="ztsnr" in tensors,
        denoiser=denoiser,
        vae=vae,
        text_encoders=text_encoders,
    )


def _task(family: Family | None, tensors: Tensors, root: str, text_encoders: tuple[Found, ...]) -> Task:
    first = tensors.get(root + FIRST) or tensors.get(root + OTHER_FIRST)
    channels = first.shape[1] if first and len(first.shape) == 4 else 0
    if family in (Family.X4_UPSCALER, Family.LATENT_UPSCALER):
        return Task.UPSCALING
    if family is Family.LDM:
        if channels == 6:
            return Task.UPSCALING
        if any(text.layout.detail == "classes" for text in text_encoders):
            return Task.CLASSES
        return Task.TEXT_TO_IMAGE if text_encoders else Task.UNCONDITIONAL
    return CHANNELS.get(channels, Task.TEXT_TO_IMAGE)


def _prediction(header: Header) -> Prediction | None:
    """From the marks that trainers leave: an empty tensor, or a line of metadata."""
    if "v_pred" in header.tensors:
        return Prediction.V
    if any(name.startswith(("edm_mean", "edm_vpred")) for name in header.tensors):
        return Prediction.EDM
    said = header.metadata.get("modelspec.prediction_type", "").casefold()
    if said in ("v", "v-prediction", "v_prediction") or header.metadata.get("ss_v_parameterization") == "True":
        return Prediction.V
    return Prediction.EPSILON if said in ("epsilon", "eps") else None


MARKS = ("v_pred", "ztsnr", "edm_mean", "edm_std", "edm_vpred.sigma_max", "edm_vpred.sigma_min")
"""Tensors that are no weights but tell how a model was trained."""

LORA_WORDS: Mapping[str, str] = {
    "lora_down": "LoRA", "lora_A": "LoRA", "lora_mid": "LoCon", "hada_w1_a": "LoHa", "lokr_w1": "LoKr",
    "lokr_w1_a": "LoKr", "oft_blocks": "OFT", "oft_diag": "OFT", "on_input": "IA3", "a1": "GLoRA",
    "diff": "full difference", "lora_linear_layer": "LoRA", "to_q_lora": "LoRA", "dora_scale": "DoRA",
    "lora_magnitude_vector": "DoRA",
}  # fmt: skip
"""A part of a tensor's name, and the kind of adapter it belongs to."""
MOST_SPECIAL = ("DoRA", "LoHa", "LoKr", "OFT", "IA3", "GLoRA", "LoCon", "LoRA", "full difference")


def _lora_parts(tensors: Tensors) -> set[str]:
    words = {part for name in tensors for part in name.rsplit(".", 3)[1:]}
    kinds = {LORA_WORDS[word] for word in words & LORA_WORDS.keys()}
    if "GLoRA" in kinds and not {"b1", "b2", "a2"} <= words:
        kinds.discard("GLoRA")
    return kinds


def _lora(header: Header, kinds: set[str]) -> Recognised:
    down = [entry for name, entry in header.tensors.items() if _is_down(name)]
    if "LoRA" in kinds and any(len(entry.shape) == 4 and entry.shape[-1] > 1 for entry in down):
        kinds.add("LoCon")
    ranks = Counter(entry.shape[0] for entry in down if entry.shape).most_common(1)
    detail = next(kind for kind in MOST_SPECIAL if kind in kinds)
    return Recognised(Kind.LORA, family_of_lora(header), detail=detail, rank=ranks[0][0] if ranks else None)


def _is_down(name: str) -> bool:
    return any(f".{word}" in name or name.startswith(word) for word in ("lora_down.", "lora_A.", "lora.down.")) or (
        name.endswith(("_lora.down.weight", "hada_w1_b", "lokr_w2_b"))
    )


READS: Mapping[int, Family] = {768: Family.SD1, 1024: Family.SD2, 2048: Family.SDXL, 1280: Family.SDXL_REFINER}
"""Numbers a word that the cross-attention of a family reads."""
LORA_MARKS: tuple[tuple[str, Family], ...] = (
    ("lora_te2_", Family.SDXL),
    ("lora_te1_", Family.SDXL),
    ("text_encoder_2.", Family.SDXL),
    ("double_blocks_", Family.FLUX),
    ("double_blocks.", Family.FLUX),
    ("single_transformer_blocks", Family.FLUX),
    ("joint_blocks", Family.SD3),
    ("img_mod", Family.QWEN_IMAGE),
    ("adaln_single", Family.PIXART),
)
"""A part of a name that only one family has."""
ARCHITECTURES: tuple[tuple[str, Family], ...] = (
    ("stable-diffusion-xl-v1-refiner", Family.SDXL_REFINER),
    ("stable-diffusion-xl", Family.SDXL),
    ("stable-diffusion-v1", Family.SD1),
    ("stable-diffusion-v2", Family.SD2),
    ("stable-diffusion-3", Family.SD3),
    ("stable-diffusion-v3", Family.SD3),
    ("flux-2", Family.FLUX2),
    ("flux", Family.FLUX),
    ("sdxl", Family.SDXL),
    ("sd_v1", Family.SD1),
    ("sd_v2", Family.SD2),
    ("sd3", Family.SD3),
)
"""How `modelspec.architecture` and kohya's `ss_base_model_version` begin."""


def family_of_lora(header: Header) -> Family | None:
    """From what its cross-attention reads, else from names, else from what its metadata says."""
    for name, entry in header.tensors.items():
        if _is_down(name) and "attn2" in name and ("to_k" in name or "to_v" in name) and len(entry.shape) >= 2:
            if entry.shape[1] in READS:
                return READS[entry.shape[1]]
            break
    for mark, family in LORA_MARKS:
        if any(mark in name for name in header.tensors):
            return family
    return _family_said(header)


def _family_said(header: Header) -> Family | None:
    said = [header.metadata.get(key, "").casefold() for key in ("modelspec.architecture", "ss_base_model_version")]
    return next((family for begin, family in ARCHITECTURES if any(s.startswith(begin) for s in said)), None)


def _is_embedding(tensors: Tensors) -> bool:
    """diffusers keeps a learned word as one tensor under its name."""
    return 0 < len(tensors) <= 2 and all(
        1 <= len(e.shape) <= 2 and e.shape[-1] in WORD_WIDTHS for e in tensors.values()
    )


WORD_WIDTHS: Mapping[int, Family] = {768: Family.SD1, 1024: Family.SD2, 1280: Family.SDXL}


def _family_of_embedding(header: Header) -> Family | None:
    words = header.tensors.get("emb_params") or (
        next(iter(header.tensors.values())) if len(header.tensors) == 1 else None
    )
    family = WORD_WIDTHS.get(words.shape[-1]) if words and words.shape else None
    return family or _family_said(header)
