"""The ways to compute attention, described for people; how each is done stands in `pipelines/models/attention.py`."""

from dataclasses import dataclass

from pipelines.core.registry import Catalogue

AUTO = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """One way to compute softmax(q k^T / sqrt(d)) v."""

    key: str
    label: str
    meaning: str
    aliases: tuple[str, ...] = ()


ATTENTIONS: Catalogue[Attention] = Catalogue(
    "attention",
    (
        Attention(key=AUTO, label="Automatic", meaning="PyTorch's, with the fastest kernel that runs here."),
        Attention(key="sdpa", label="SDPA", meaning="PyTorch's scaled dot-product attention; it picks the kernel."),
        Attention(
            key="flash", label="SDPA flash", aliases=("sdpa_flash",),
            meaning="PyTorch's FlashAttention kernel only: halves on newer NVIDIA and AMD cards.",
        ),
        Attention(
            key="efficient", label="SDPA memory-efficient", aliases=("sdpa_efficient", "mem_efficient"),
            meaning="PyTorch's memory-efficient kernel only: any NVIDIA card.",
        ),
        Attention(
            key="cudnn", label="SDPA cuDNN", aliases=("sdpa_cudnn",),
            meaning="NVIDIA's own kernel only: halves on the newest cards.",
        ),
        Attention(key="xformers", label="xFormers", meaning="The xformers package, where it is installed."),
        Attention(
            key="chunked", label="Chunked", aliases=("sliced", "sub_quadratic"),
            meaning="A few queries at a time: little memory on every machine.",
        ),
        Attention(
            key="naive", label="Naive", aliases=("math", "none"),
            meaning="The whole matrix at once: for comparing; needs the most memory.",
        ),
    ),
)  # fmt: skip
